// Which authority signs now: one of its own (in memory, or kept), or the plugged-in one, taken anew whenever its folder changes.
// Law: an authority that does not hang together is refused, and the last one goes on.
import { existsSync, watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '#lib/log.ts'
import { keptAuthority, pluggedInAuthority, selfSignedAuthority, type Authority } from '#ca'

export interface AuthoritySourceOptions {
  /** `cacerts/` here is the plugged-in authority, `root/` the kept one. */
  readonly stateDir: string
  readonly keepRoot: boolean
  readonly trustDomain: string
  readonly now: () => number
  readonly log: Logger
  /** Another authority signs from now on, or peers trust other roots. */
  readonly onChange: (authority: Authority) => Promise<void>
}

export interface AuthoritySource {
  current(): Authority
  close(): void
}

/** The files of an authority are written one after another; they are read after this much quiet. */
const quietMs = 200

export async function authoritySource(options: AuthoritySourceOptions): Promise<AuthoritySource> {
  const { stateDir, keepRoot, trustDomain, now, log } = options
  const plugged = join(stateDir, 'cacerts')
  if (!existsSync(plugged)) {
    const own = keepRoot ? await keptAuthority(join(stateDir, 'root'), trustDomain, now()) : await selfSignedAuthority(trustDomain, now())
    return { current: () => own, close() {} }
  }
  let authority = await pluggedInAuthority(plugged, now())
  let timer: NodeJS.Timeout | undefined
  const take = async (): Promise<void> => {
    try {
      const next = await pluggedInAuthority(plugged, now())
      if (next.roots === authority.roots && next.certificate.serialNumber === authority.certificate.serialNumber && next.intermediates.join() === authority.intermediates.join()) return
      authority = next
      await options.onChange(next)
      log.info({ signer: next.certificate.subject, serial: next.certificate.serialNumber, until: next.certificate.notAfter.toISOString() }, 'certificate authority changed')
    } catch (error) {
      log.error({ reason: (error as Error).message }, 'certificate authority refused, the last one goes on')
    }
  }
  const watcher: FSWatcher = watch(plugged, () => {
    clearTimeout(timer)
    timer = setTimeout(() => void take(), quietMs)
  })
  watcher.on('error', (error) => log.error({ folder: plugged, reason: error.message }, 'folder can no longer be watched'))
  return {
    current: () => authority,
    close() {
      clearTimeout(timer)
      watcher.close()
    },
  }
}
