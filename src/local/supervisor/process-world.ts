// Questions about processes and files that the supervisor has as the sandbox's first process.
import type { ChildProcess } from 'node:child_process'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { reapOrphans } from '#netlink'

/** True where any user can reach and read these files: else a sidecar under its own user could not start. */
export function othersCanRead(files: readonly string[]): boolean {
  return files.every((file) => {
    if ((statSync(file).mode & 0o004) === 0) return false
    for (let dir = dirname(file); ; dir = dirname(dir)) {
      if ((statSync(dir).mode & 0o001) === 0) return false
      if (dir === '/') return true
    }
  })
}

/** The user and group that a folder belongs to; undefined for root's own. */
export function ownerOf(dir: string): { readonly uid: number; readonly gid: number } | undefined {
  const { uid, gid } = statSync(dir)
  return uid === 0 ? undefined : { uid, gid }
}

const lookEveryMs = 5000
const own = new Set<number>()

/** Says that Node itself will take leave of this child. */
export function track(child: ChildProcess): ChildProcess {
  const { pid } = child
  if (pid === undefined) return child
  own.add(pid)
  child.once('exit', () => own.delete(pid))
  return child
}

/** As process 1: orphans of containers end up here, and nobody but us can bury them. Node buries its own. */
export function reapForever(): void {
  setInterval(() => reapOrphans(own), lookEveryMs).unref()
}
