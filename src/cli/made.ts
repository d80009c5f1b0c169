// Whether what was made ahead of a command (scripts/make-commands.ts) is still what its sources say.
// Law: every file it was made of has the time and size that it had; one that differs, or is gone, and the sources run.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Time of change in milliseconds, size in bytes. */
export type Stamp = readonly [number, number]

/** By path from the package's folder. */
export type Stamps = Readonly<Record<string, Stamp>>

export interface Made {
  /** Beside this file. */
  readonly entry: string
  readonly inputs: Stamps
}

export const madeFolder = 'generated/commands'

export const madeFile = (command: string): string => `made-${command}.json`

/** The file to load instead of the sources. */
export function madeEntry(home: string, command: string): string | undefined {
  try {
    const { entry, inputs } = JSON.parse(readFileSync(join(home, madeFolder, madeFile(command)), 'utf8')) as Made
    const file = join(home, madeFolder, entry)
    return existsSync(file) && areCurrent(home, inputs) ? file : undefined
  } catch {
    return undefined
  }
}

export function areCurrent(home: string, inputs: Stamps): boolean {
  try {
    for (const path in inputs) {
      const [mtimeMs, size] = inputs[path] as Stamp
      const now = statSync(`${home}/${path}`)
      if (now.mtimeMs !== mtimeMs || now.size !== size) return false
    }
    return true
  } catch {
    return false
  }
}
