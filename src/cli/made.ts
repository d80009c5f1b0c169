// Whether what was made ahead of a command (scripts/bundle-commands.ts) is still what its sources say.
// Law: every file it was made of has the time and size that it had; one that differs, or is gone, and the sources run.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Time of change in milliseconds, size in bytes. */
export type Stamp = readonly [number, number]

export interface Made {
  /** Beside this file. */
  readonly entry: string
  /** By path from the package's folder. */
  readonly inputs: Readonly<Record<string, Stamp>>
}

const folder = 'generated/commands'

export const madeFile = (command: string): string => `made-${command}.json`

/** The file to load instead of the sources. */
export function madeEntry(home: string, command: string): string | undefined {
  try {
    const { entry, inputs } = JSON.parse(readFileSync(join(home, folder, madeFile(command)), 'utf8')) as Made
    for (const [path, [mtimeMs, size]] of Object.entries(inputs)) {
      const now = statSync(`${home}/${path}`)
      if (now.mtimeMs !== mtimeMs || now.size !== size) return undefined
    }
    const file = join(home, folder, entry)
    return existsSync(file) ? file : undefined
  } catch {
    return undefined
  }
}

export function isCurrent(home: string, command: string): boolean {
  return madeEntry(home, command) !== undefined
}
