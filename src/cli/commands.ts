// The table of commands. Each has a file of its own, loaded only when asked for: `build()` returns commander's Command.
import type { Command } from 'commander'

interface CommandEntry {
  readonly name: string
  readonly summary: string
  /** Other names that it answers to: istioctl's. Commands below a command name theirs where they are built. */
  readonly aliases?: readonly string[]
  readonly hidden?: boolean
  /** Answers and ends: made ahead, as few files (scripts/make-commands.ts). */
  readonly answers?: boolean
  load(): Promise<{ build(): Command }>
}

export const commands: readonly CommandEntry[] = [
  { name: 'demo', summary: 'the first hour of a mesh, on this machine: measured beside explained', load: () => import('./commands/demo.ts') },
  { name: 'explain', summary: 'both ends of a call: the verdict, and which line of which policy did it', answers: true, load: () => import('./commands/explain.ts') },
  { name: 'validate', aliases: ['v'], summary: 'whether a cluster would take these files', answers: true, load: () => import('./commands/validate.ts') },
  { name: 'kube-inject', summary: 'adds the sidecar to the workloads of a file', answers: true, load: () => import('./commands/kube-inject.ts') },
  { name: 'check-inject', summary: 'which pods get a sidecar, and why or why not', answers: true, load: () => import('./commands/check-inject.ts') },
  { name: 'analyze', summary: 'what is wrong with a mesh: that of files, or a cluster', answers: true, load: () => import('./commands/analyze.ts') },
  { name: 'describe', aliases: ['des'], summary: 'what bears on a pod or a Service, and why', answers: true, load: () => import('./commands/describe.ts') },
  { name: 'proxy-config', aliases: ['pc'], summary: 'what a sidecar holds: clusters, listeners, routes, endpoints, secrets', answers: true, load: () => import('./commands/proxy-config.ts') },
  { name: 'proxy-status', summary: 'which sidecars are connected, and whether they took what they were sent', load: () => import('./commands/proxy-status.ts') },
  { name: 'install', summary: 'brings the control plane into a cluster, or up to date', load: () => import('./commands/install.ts') },
  { name: 'upgrade', summary: 'the same as install', hidden: true, load: async () => ({ build: (await import('./commands/install.ts')).buildUpgrade }) },
  { name: 'uninstall', summary: 'takes the control plane out of a cluster', load: () => import('./commands/uninstall.ts') },
  { name: 'precheck', summary: 'whether a cluster takes an installation', load: () => import('./commands/precheck.ts') },
  { name: 'tag', summary: 'names by which namespaces choose a control plane', load: () => import('./commands/tag.ts') },
  { name: 'version', summary: 'of this command, the control planes and the sidecars', load: () => import('./commands/version.ts') },
  { name: 'dashboard', aliases: ['dash', 'd'], summary: 'a page inside the cluster, on a port of this machine', load: () => import('./commands/dashboard.ts') },
  { name: 'manifest', summary: 'the Kubernetes objects of an installation', load: () => import('./commands/manifest.ts') },
  { name: 'up', summary: 'the mesh of a folder, on this machine', load: () => import('./commands/up.ts') },
  { name: 'down', summary: 'takes a mesh of this machine down', load: () => import('./commands/down.ts') },
  { name: 'ps', summary: 'the pods of the mesh on this machine', load: () => import('./commands/ps.ts') },
  { name: 'exec', summary: 'runs a program inside a pod', load: () => import('./commands/exec.ts') },
  { name: 'logs', summary: 'what a container of a pod said', load: () => import('./commands/logs.ts') },
  { name: 'apply', summary: 'brings objects into the mesh on this machine', load: () => import('./commands/apply.ts') },
  { name: 'delete', summary: 'takes objects out of the mesh on this machine', load: () => import('./commands/delete.ts') },
]
