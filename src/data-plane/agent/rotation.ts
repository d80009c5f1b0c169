// The workload's certificate: got at start, renewed with a new key at half its life; a failure keeps the last one and tries again.
import { createPrivateKey, type X509Certificate } from 'node:crypto'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import type { Secret } from '#lib/secret.ts'
import { parseCertificates, parseTrustBundle, verifyPresented } from '#identity'

export interface WorkloadCertificate {
  /** PEM, leaf first, without roots. */
  readonly chain: string
  readonly key: Secret<string>
  /** PEM, as the CA gave them. */
  readonly roots: string
  /** PEM of roots that the pod's mount has: they count beside those of the CA, which may be silent while others are made known. */
  readonly mounted?: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

export interface RotationOptions {
  /** The SPIFFE id that the certificate must have. */
  readonly identity: string
  readonly trustDomain: string
  /** A new key and its certificate. */
  readonly fetch: () => Promise<{ readonly chain: readonly string[]; readonly key: Secret<string> }>
  readonly onCertificate: (certificate: WorkloadCertificate) => void
  readonly now: () => number
  /** 0 ≤ n < 1. */
  readonly pick: () => number
  readonly log: Logger
}

/** Istio's SECRET_GRACE_PERIOD_RATIO, and its jitter. */
const renewAt = 0.5
const jitter = 0.01
const firstRetryMs = 100
const longestRetryMs = 10_000

export class Rotation {
  readonly #options: RotationOptions
  #timer: NodeJS.Timeout | undefined
  #current: WorkloadCertificate | undefined
  #retryMs = firstRetryMs
  #stopped = false

  constructor(options: RotationOptions) {
    this.#options = options
  }

  get current(): WorkloadCertificate | undefined {
    return this.#current
  }

  /** Resolves when the first certificate is there; until then it tries for ever. */
  async start(): Promise<void> {
    while (!this.#stopped && !(await this.#renew())) await new Promise((resolve) => setTimeout(resolve, this.#backOff()))
  }

  /** Because what peers trust has changed; nothing where the first one is still to come. */
  renewNow(): void {
    if (this.#current !== undefined) this.#schedule(0)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #backOff(): number {
    const wait = this.#retryMs * (0.8 + 0.4 * this.#options.pick())
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs)
    return wait
  }

  async #renew(): Promise<boolean> {
    const { fetch, onCertificate, log, now } = this.#options
    try {
      const { chain, key } = await fetch()
      const certificate = this.#accept(chain, key)
      this.#current = certificate
      this.#retryMs = firstRetryMs
      onCertificate(certificate)
      log.info({ identity: this.#options.identity, until: new Date(certificate.notAfterMs).toISOString() }, 'certificate received')
      this.#schedule((certificate.notAfterMs - now()) * (renewAt + jitter * (2 * this.#options.pick() - 1)))
      return true
    } catch (error) {
      const left = this.#current === undefined ? undefined : Math.round((this.#current.notAfterMs - now()) / 1000)
      log.warn({ reason: (error as Error).message, secondsLeft: left }, 'certificate could not be had, trying again')
      if (this.#current !== undefined) this.#schedule(this.#backOff())
      return false
    }
  }

  /** What the CA gave must be ours: this key, this identity, a chain to its roots. Throws CERTIFICATE_ODD. */
  #accept(pems: readonly string[], key: Secret<string>): WorkloadCertificate {
    const { identity, trustDomain, now } = this.#options
    const roots = pems.at(-1) as string
    const chain = pems.slice(0, -1).join('')
    const certificates = parseCertificates(chain)
    const leaf = certificates[0] as X509Certificate
    const check = verifyPresented(certificates, { bundle: parseTrustBundle(roots), trustDomains: [trustDomain], nowMs: now() })
    const odd = 'refused' in check ? check.refused : check.peer.uri !== identity ? `it is for ${check.peer.uri}, not for ${identity}` : leaf.checkPrivateKey(createPrivateKey(key.reveal())) ? undefined : 'it is for another key'
    if (odd !== undefined) throw new KithError('CERTIFICATE_ODD', `the certificate that the CA gave can't be used: ${odd}`)
    return { chain, key, roots, notBeforeMs: Date.parse(leaf.validFrom), notAfterMs: Date.parse(leaf.validTo) }
  }

  #schedule(ms: number): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    // setTimeout takes 32 bits of milliseconds.
    this.#timer = setTimeout(() => void this.#renew(), Math.min(Math.max(ms, 50), 2 ** 31 - 1))
  }
}
