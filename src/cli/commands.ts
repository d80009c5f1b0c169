// The table of commands. Each has a file of its own, loaded only when asked for: `build()` returns commander's Command.
import type { Command } from 'commander'

interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly hidden?: boolean
  load(): Promise<{ build(): Command }>
}

export const commands: readonly CommandEntry[] = [
]
