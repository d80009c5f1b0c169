// The control plane's own certificate, from its own authority, renewed by itself at half its life.
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { KeyObject } from 'node:crypto'
import type { Logger } from '#lib/log.ts'
import { ecdsaP256, issueCertificate, type Authority } from '#ca'

export interface Pair {
  readonly certificate: Buffer
  readonly privateKey: Buffer
}

const retryMs = 60_000

type Listener = (pair: Pair | null) => void

/** What grpc-js calls a certificate provider: it hands the newest pair and the roots to whoever listens. */
export class ServingCertificate {
  readonly #authority: () => Authority
  readonly #names: readonly string[]
  readonly #now: () => number
  readonly #log: Logger
  readonly #identity = new Set<Listener>()
  readonly #ca = new Set<(update: { caCertificate: Buffer } | null) => void>()
  #pair: Pair | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(authority: () => Authority, names: readonly string[], now: () => number, log: Logger) {
    this.#authority = authority
    this.#names = names
    this.#now = now
    this.#log = log
  }

  async renew(lifetimeMs = 86_400_000): Promise<void> {
    const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
    const csr = (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: ecdsaP256 })).toString('pem')
    const chain = await issueCertificate(this.#authority(), { csr, names: this.#names.map((value) => ({ type: 'dns' as const, value })), lifetimeMs, nowMs: this.#now() })
    const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' })
    this.#pair = { certificate: Buffer.from(chain.slice(0, -1).join('')), privateKey: Buffer.from(key) }
    for (const listener of this.#identity) listener(this.#pair)
    for (const listener of this.#ca) listener({ caCertificate: Buffer.from(this.#authority().roots) })
    this.#renewIn(lifetimeMs / 2, lifetimeMs)
  }

  #renewIn(ms: number, lifetimeMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.renew(lifetimeMs).catch((error: unknown) => {
        this.#log.error({ error: String(error) }, 'serving certificate could not be renewed, the last one goes on')
        this.#renewIn(Math.min(retryMs, lifetimeMs / 10), lifetimeMs)
      })
    }, ms)
    this.#timer.unref()
  }

  /** undefined: not made yet. */
  get current(): Pair | undefined {
    return this.#pair ?? undefined
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  addIdentityCertificateListener(listener: Listener): void {
    this.#identity.add(listener)
    if (this.#pair !== null) process.nextTick(listener, this.#pair)
  }
  removeIdentityCertificateListener(listener: Listener): void {
    this.#identity.delete(listener)
  }
  addCaCertificateListener(listener: (update: { caCertificate: Buffer } | null) => void): void {
    this.#ca.add(listener)
    process.nextTick(listener, { caCertificate: Buffer.from(this.#authority().roots) })
  }
  removeCaCertificateListener(listener: (update: { caCertificate: Buffer } | null) => void): void {
    this.#ca.delete(listener)
  }
}
