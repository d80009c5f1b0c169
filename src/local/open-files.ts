// How many files a process may hold open (`ulimit -n`). Node itself raises the soft limit to the hard one at its start.
import { readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'

/** The limit in force. undefined: the system does not say (no /proc), or there is none. */
export function openFilesLimit(): number | undefined {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return undefined
  }
  const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1]
  return soft === undefined || soft === 'unlimited' ? undefined : Number(soft)
}

/** The supervisor holds some 30 files, and up to 8 for each container and pod: pipes, probes, namespaces. */
export function openFilesNeeded(containers: number): number {
  return 64 + 8 * containers
}

/** @throws KithError OPEN_FILES_LIMIT where the limit is too low for a mesh of so many containers */
export function checkOpenFiles(containers: number, limit = openFilesLimit()): void {
  const needed = openFilesNeeded(containers)
  if (limit === undefined || limit >= needed) return
  throw new KithError(
    'OPEN_FILES_LIMIT',
    `the limit of open files is ${limit}, and a mesh of ${containers} containers needs ${needed}; raise it: ulimit -n 4096`,
  )
}

/** The reason why a program could not be started, with the limit where that was the cause. */
export function startFailure(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EMFILE') return `${error.message}: the limit of open files is ${openFilesLimit() ?? 'reached'} (ulimit -n)`
  if (code === 'ENFILE') return `${error.message}: the machine's limit of open files is reached (fs.file-max)`
  return error.message
}
