// The authority that signs now, and the roots that all shall trust now; a change of either goes in steps (#ca staging).
// Law: a step waits until every connected proxy has a certificate that knows it, or until nobody is waited for any longer.
import type { Logger } from '#lib/log.ts'
import { beginStaging, heard, offer, type Authority, type Staging } from '#ca'

export interface StagedAuthorityOptions {
  readonly first: Authority
  /** PEM of roots that peers may still go by. */
  readonly held?: string
  readonly now: () => number
  readonly log: Logger
  /** Every proxy that is connected has a certificate from then or later. */
  readonly everyoneSince: (ms: number) => boolean
  readonly onChange: (trust: Trust) => void
  /** A step lasts at least so long: proxies may be connected to other replicas. Default 2 s. */
  readonly leastMs?: number
  /** Who has not been heard of until then is left behind. Default 5 min. */
  readonly mostMs?: number
}

export interface Trust {
  readonly roots: string
  /** Certificates from before shall be renewed; undefined: there is no need. */
  readonly renewBeforeMs?: number
  readonly step: Staging['step']
}

export interface StagedAuthority {
  /** With the roots that hold now. */
  current(): Authority
  trust(): Trust
  offer(authority: Authority): void
  close(): void
}

const lookEveryMs = 250

export function stagedAuthority(options: StagedAuthorityOptions): StagedAuthority {
  const { now, log, everyoneSince, onChange, leastMs = 2000, mostMs = 300_000 } = options
  let staging = beginStaging(options.first, now(), options.held)
  let timer: NodeJS.Timeout | undefined
  let signer: Authority = { ...staging.signer, roots: staging.roots }
  const done = (): boolean => staging.step === 'steady' && staging.known === staging.roots
  const take = (next: Staging, why: string): void => {
    const changed = next.step !== staging.step || next.roots !== staging.roots || next.signer !== staging.signer
    staging = next
    if (changed) {
      signer = { ...staging.signer, roots: staging.roots }
      log.info({ step: staging.step, why, signer: staging.signer.certificate.subject, serial: staging.signer.certificate.serialNumber, until: staging.signer.certificate.notAfter.toISOString() }, 'certificate authority changed')
      onChange(trust())
    }
    plan()
  }
  const trust = (): Trust => ({ roots: staging.roots, step: staging.step, ...(staging.step === 'steady' ? {} : { renewBeforeMs: staging.sinceMs }) })
  const plan = (): void => {
    clearTimeout(timer)
    if (done()) return
    timer = setTimeout(() => {
      const sinceMs = now() - staging.sinceMs
      // Certificates tell whole seconds.
      if (sinceMs >= leastMs && everyoneSince(Math.ceil(staging.sinceMs / 1000) * 1000)) take(heard(staging, now()), 'all have heard')
      else if (sinceMs >= mostMs) take(heard(staging, now()), 'some have not been heard of for too long')
      else plan()
    }, lookEveryMs)
    timer.unref()
  }
  plan()
  return {
    current: () => signer, trust,
    offer: (authority) => take(offer(staging, authority, now()), 'another authority was put in place'),
    close: () => clearTimeout(timer),
  }
}
