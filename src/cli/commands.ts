// The table of commands. Each has a file of its own, loaded only when asked for: `build()` returns commander's Command.
import type { Command } from 'commander'

interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly hidden?: boolean
  load(): Promise<{ build(): Command }>
}

export const commands: readonly CommandEntry[] = [
  { name: 'explain', summary: 'both ends of a call: the verdict, and which line of which policy did it', load: () => import('./commands/explain.ts') },
  { name: 'validate', summary: 'whether a cluster would take these files', load: () => import('./commands/validate.ts') },
  { name: 'kube-inject', summary: 'adds the sidecar to the workloads of a file', load: () => import('./commands/kube-inject.ts') },
  { name: 'analyze', summary: 'what is wrong with these files, as a mesh', load: () => import('./commands/analyze.ts') },
]
