// Where an authority comes from on one machine: its own (in memory, or kept), or the plugged-in one, taken anew whenever its folder changes.
// Law: an authority that does not hang together is refused, and the last one goes on.
import { existsSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '#lib/log.ts'
import { isSameCertificate, keptAuthority, pluggedInAuthority, selfSignedAuthority, type Authority } from '#ca'

export interface AuthoritySourceOptions {
  /** `cacerts/` here is the plugged-in authority, `root/` the kept one. */
  readonly stateDir: string
  readonly keepRoot: boolean
  readonly trustDomain: string
  readonly now: () => number
  readonly log: Logger
  readonly onChange: (authority: Authority) => void
}

export interface AuthoritySource {
  readonly first: Authority
  /** PEM of roots that peers may still go by. */
  readonly held?: string
  /** An authority that may have signed before `first`. */
  readonly former?: Authority
  close(): void
}

/** The files of an authority are written one after another; they are read after this much quiet. */
const quietMs = 200

export async function authoritySource(options: AuthoritySourceOptions): Promise<AuthoritySource> {
  const { stateDir, keepRoot, trustDomain, now } = options
  const plugged = join(stateDir, 'cacerts')
  if (existsSync(plugged)) return pluggedInSource(plugged, options)
  return { first: keepRoot ? await keptAuthority(join(stateDir, 'root'), trustDomain, now()) : await selfSignedAuthority(trustDomain, now()), close() {} }
}

export async function pluggedInSource(folder: string, { now, log, onChange }: Pick<AuthoritySourceOptions, 'now' | 'log' | 'onChange'>): Promise<AuthoritySource> {
  const first = await pluggedInAuthority(folder, now())
  let last = first
  let timer: NodeJS.Timeout | undefined
  const take = async (): Promise<void> => {
    try {
      const next = await pluggedInAuthority(folder, now())
      if (isUnchanged(next, last)) return
      last = next
      onChange(next)
    } catch (error) {
      log.error({ reason: (error as Error).message }, 'certificate authority refused, the last one goes on')
    }
  }
  const watcher: FSWatcher = watch(folder, () => {
    clearTimeout(timer)
    timer = setTimeout(() => void take(), quietMs)
  })
  watcher.on('error', (error) => log.error({ folder, reason: error.message }, 'folder can no longer be watched'))
  return {
    first,
    close() {
      clearTimeout(timer)
      watcher.close()
    },
  }
}

/** Nor has it taken back anything else. */
export function isUnchanged(a: Authority, b: Authority): boolean {
  return isSameAuthority(a, b) && a.revocations === b.revocations
}

export function isSameAuthority(a: Authority, b: Authority): boolean {
  return a.roots === b.roots && isSameCertificate(a, b) && a.intermediates.join() === b.intermediates.join()
}
