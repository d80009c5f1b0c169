// The authority that signs now, and the roots that all shall trust now; a change of either goes in steps (#ca staging).
// Law: a step waits until every connected proxy has a certificate that knows it, or until nobody is waited for any longer. Of several replicas the leader decides, and nobody goes a step ahead of what it has written.
import type { Logger } from '#lib/log.ts'
import { beginStaging, heard, offer, type Authority, type Staging } from '#ca'
import { isSameAuthority } from './authority-source.ts'
import type { Share, Turn } from './staging-share.ts'

export interface StagedAuthorityOptions {
  readonly first: Authority
  /** PEM of roots that peers may still go by. */
  readonly held?: string
  /** An authority that may have signed before `first`. */
  readonly former?: Authority
  /** With other replicas. Default: there is none. */
  readonly share?: Share
  readonly now: () => number
  readonly log: Logger
  /** Every proxy that is connected has a certificate from then or later. */
  readonly everyoneSince: (ms: number) => boolean
  readonly onChange: (trust: Trust) => void
  /** A step lasts at least so long. Default 2 s. */
  readonly leastMs?: number
  /** Who has not been heard of until then is left behind. Default 5 min. */
  readonly mostMs?: number
  /** Where no one can sign: pods have the roots of their mount by then (the kubelet's period and its cache's, the agent's look). Default 150 s. */
  readonly muteMs?: number
}

export interface Trust {
  readonly roots: string
  /** Certificates from before shall be renewed; undefined: there is no need. */
  readonly renewBeforeMs?: number
  readonly step: Staging['step']
  /** PEM of the lists of certificates that were taken back; '' where there are none. */
  readonly revocations: string
}

export interface StagedAuthority {
  /** With the roots that hold now. */
  current(): Authority
  /** False while nobody may know the root of what would sign. */
  maySign(): boolean
  trust(): Trust
  /** Another authority takes over in steps; the lists of what the same one has taken back hold at once. While one takes over, the former one's lists count too. */
  offer(authority: Authority): void
  /** It leads now, or no longer. */
  wake(): void
  close(): Promise<void>
}

const lookEveryMs = 250

export function stagedAuthority(options: StagedAuthorityOptions): StagedAuthority {
  const { now, log, share, everyoneSince, onChange, leastMs = 2000, mostMs = 300_000, muteMs = 150_000 } = options
  let wanted = options.first
  let lists = { now: wanted.revocations ?? '', before: '' }
  const alone = share === undefined
  let turn: Turn = share?.begin(wanted, options.former) ?? { number: 0, staging: beginStaging(wanted, now(), options.held, options.former), open: alone, written: alone }
  let timer: NodeJS.Timeout | undefined
  let signer: Authority = { ...turn.staging.signer, roots: turn.staging.roots }
  let writing = false
  let closed = false
  const done = (): boolean => turn.written && turn.open && turn.staging.step === 'steady' && turn.staging.known === turn.staging.roots && turn.staging.target === wanted
  const trust = (): Trust => {
    const { roots, step, mute, sinceMs } = turn.staging
    return { roots, step, revocations: done() ? lists.now : lists.now + lists.before, ...(step === 'steady' || mute || !turn.open ? {} : { renewBeforeMs: sinceMs }) }
  }
  const take = (next: Turn, why: string): void => {
    const { staging: before, open } = turn
    const { staging } = next
    turn = next
    const changed = staging.step !== before.step || staging.roots !== before.roots || staging.signer !== before.signer || staging.mute !== before.mute
    if (changed) {
      signer = { ...staging.signer, roots: staging.roots }
      const { subject, serialNumber, notAfter } = staging.signer.certificate
      log.info({ step: staging.step, why, signer: subject, serial: serialNumber, until: notAfter.toISOString(), ...(staging.mute ? { signs: false } : {}) }, 'certificate authority changed')
    }
    // From when on certificates shall be is known once the step is open.
    if (changed || (next.open !== open && staging.step !== 'steady')) onChange(trust())
    plan()
  }
  /** What only the leader decides goes to all before it holds here. A step is open once all replicas have taken it up: what is done from then on goes along with it. */
  const decide = (kind: 'step' | 'open', staging: Staging, why: string): void => {
    const next: Turn = { number: kind === 'open' ? turn.number : turn.number + 1, staging, open: alone || kind === 'open', written: true }
    if (share === undefined) return take(next, why)
    if (writing) return
    writing = true
    void share.write(next).then((done) => {
      writing = false
      if (done) take(next, why)
    }, (error: unknown) => {
      writing = false
      log.warn({ reason: (error as Error).message }, 'the step of the certificate authority could not be written, trying again')
    })
  }
  const isHeard = (): boolean => {
    const { staging } = turn
    // Certificates tell whole seconds.
    return staging.mute ? now() - staging.sinceMs >= muteMs : everyoneSince(Math.ceil(staging.sinceMs / 1000) * 1000)
  }
  const look = (): void => {
    const { staging, number, open, written } = turn
    if (share !== undefined && written && !done()) share.stand(number, open && isHeard() ? 'heard' : 'taken')
    if (share?.leads() === false) return
    if (!written) return decide('step', staging, 'the first of its kind')
    if (staging.target !== wanted) return decide('step', offer(staging, wanted, now()), 'another authority was put in place')
    const sinceMs = now() - staging.sinceMs
    const tooLong = sinceMs >= Math.max(mostMs, staging.mute ? muteMs : 0)
    if (!open) {
      if (share?.all(number, 'taken') !== false || tooLong) decide('open', { ...staging, sinceMs: now() }, 'all replicas know')
    } else if (sinceMs >= leastMs && isHeard() && share?.all(number, 'heard') !== false) decide('step', heard(staging, now()), 'all have heard')
    else if (tooLong) decide('step', heard(staging, now()), 'some have not been heard of for too long')
  }
  const plan = (): void => {
    clearTimeout(timer)
    if (closed) return
    if (done()) return void share?.stand(turn.number, 'heard')
    timer = setTimeout(() => {
      look()
      plan()
    }, lookEveryMs)
    timer.unref()
  }
  share?.follow((next) => take(next, 'the leader has decided so'))
  plan()
  return {
    current: () => signer, maySign: () => !turn.staging.mute, trust,
    offer(authority) {
      const own = authority.revocations ?? ''
      if (isSameAuthority(authority, wanted)) {
        lists = { ...lists, now: own }
        return onChange(trust())
      }
      wanted = authority
      lists = { now: own, before: lists.now }
      share?.offer(authority)
      if (share === undefined) look()
      plan()
    },
    wake: plan,
    async close() {
      clearTimeout(timer)
      closed = true
      await share?.close()
    },
  }
}
