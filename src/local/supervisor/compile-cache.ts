// Node's cache of compiled code, for a sidecar that runs as a user of its own: half of its start is compiling.
// Law: what that user writes is read by that user alone; root's own cache is copied, never shared.
import { chownSync, cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { mount } from '#netlink'

/** Where the sidecar sees it: inside the sandbox's own /run. */
export const sidecarCacheDir = '/run/kith/node-cache'

/**
 * Prepares the sidecar's share of the cache below `cache` (NODE_COMPILE_CACHE), and shows it at `sidecarCacheDir`. Node names each folder
 * `<version>-<arch>-<flags>-<uid>`; the sidecar's begins as a copy of ours. False where there is none yet: the next start has it.
 */
export function shareCompileCache(cache: string | undefined, uid: number): boolean {
  if (cache === undefined || cache === '' || !existsSync(cache)) return false
  const own = `-${process.getuid?.() ?? 0}`
  const ours = readdirSync(cache).filter((n) => n.startsWith('v') && n.endsWith(own))
  if (ours.length === 0) return false
  for (const name of ours) {
    const theirs = join(cache, `${name.slice(0, -own.length)}-${uid}`)
    if (existsSync(theirs)) continue
    cpSync(join(cache, name), theirs, { recursive: true })
    for (const file of ['', ...readdirSync(theirs)]) chownSync(join(theirs, file), uid, uid)
  }
  mkdirSync(sidecarCacheDir, { recursive: true })
  mount(cache, sidecarCacheDir, { flags: ['bind'] })
  return true
}
