// Keys that tokens are verified by, fetched for every proxy in common and kept fresh. Istio: pilot/pkg/model/jwks_resolver.go.
// Law: what was fetched last stays while an issuer can't be asked; of a key its public part alone is kept.
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { isRecord } from '#api'
import type { KeySource } from '#plan'
import { fetchDocument } from './fetch-document.ts'

export interface IssuerKeysOptions {
  /** Other keys are there. */
  readonly onChange: () => void
  readonly log: Logger
  /** May URLs lead to this machine itself? Default false. */
  readonly loopback?: boolean
  /** Default 20 minutes, as Istio's. */
  readonly refreshMs?: number
  /** After a failure: twice as long after each. Default 1 s, at most 1 minute. */
  readonly retryMs?: number
  readonly pick?: () => number
}

interface Issuer {
  source: KeySource
  keys: string | undefined
  tried: Promise<void>
  timer: NodeJS.Timeout | undefined
  failures: number
}

const usualRefreshMs = 20 * 60_000
const longestRetryMs = 60_000

export class IssuerKeys {
  readonly #options: IssuerKeysOptions
  readonly #issuers = new Map<string, Issuer>()
  #closed = false

  constructor(options: IssuerKeysOptions) {
    this.#options = options
  }

  /** Those are asked from now on, and no others. A promise where some were never asked before: it resolves when they have been. */
  want(sources: ReadonlyMap<string, KeySource>): Promise<unknown> | undefined {
    for (const [name, issuer] of this.#issuers) {
      if (sources.has(name)) continue
      clearTimeout(issuer.timer)
      this.#issuers.delete(name)
    }
    const young: Promise<void>[] = []
    for (const [name, source] of sources) {
      const known = this.#issuers.get(name)
      if (known !== undefined) known.source = source
      else {
        const issuer: Issuer = { source, keys: undefined, tried: Promise.resolve(), timer: undefined, failures: 0 }
        this.#issuers.set(name, issuer)
        young.push((issuer.tried = this.#fetch(name, issuer)))
      }
    }
    return young.length === 0 ? undefined : Promise.all(young)
  }

  held(): ReadonlyMap<string, string> {
    return new Map([...this.#issuers].flatMap(([name, { keys }]) => (keys === undefined ? [] : [[name, keys] as const])))
  }

  close(): void {
    this.#closed = true
    for (const { timer } of this.#issuers.values()) clearTimeout(timer)
    this.#issuers.clear()
  }

  /** Never rejects. */
  async #fetch(name: string, issuer: Issuer): Promise<void> {
    const { log, refreshMs = usualRefreshMs, retryMs = 1000, pick = Math.random, onChange } = this.#options
    let waitMs = refreshMs
    let changed = false
    try {
      const keys = await this.#keysOf(issuer.source)
      issuer.failures = 0
      changed = keys !== issuer.keys
      issuer.keys = keys
    } catch (error) {
      issuer.failures++
      waitMs = Math.min(longestRetryMs, retryMs * 2 ** Math.min(issuer.failures - 1, 16))
      log.warn({ reason: (error as Error).message, heldBefore: issuer.keys !== undefined, failures: issuer.failures }, 'keys of an issuer could not be fetched')
    }
    if (this.#closed || this.#issuers.get(name) !== issuer) return
    issuer.timer = setTimeout(() => void this.#fetch(name, issuer), waitMs * (0.9 + 0.2 * pick()))
    issuer.timer.unref()
    if (changed) {
      log.info({ keys: (JSON.parse(issuer.keys as string) as { keys: unknown[] }).keys.length, url: issuer.source.url.split('?')[0] }, 'keys of an issuer are other ones')
      onChange()
    }
  }

  async #keysOf({ url, discovery, timeoutMs }: KeySource): Promise<string> {
    const options = { timeoutMs, loopback: this.#options.loopback === true }
    if (!discovery) return publicKeys(await fetchDocument(url, options))
    const found = parsed(await fetchDocument(url, options))
    const uri = isRecord(found) ? found['jwks_uri'] : undefined
    if (typeof uri !== 'string') throw new KithError('FETCH_FAILED', 'the issuer’s OpenID configuration names no jwks_uri')
    return publicKeys(await fetchDocument(uri, options))
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const members = ['kty', 'kid', 'alg', 'use', 'crv', 'n', 'e', 'x', 'y'] as const

/** In a form that is the same for the same keys. Throws KithError where there is none. */
export function publicKeys(text: string): string {
  const found = parsed(text)
  const all = isRecord(found) && Array.isArray(found['keys']) ? found['keys'].filter(isRecord) : []
  // A secret that is served to everybody is none.
  const keys = all.filter((k) => k['kty'] === 'RSA' || k['kty'] === 'EC' || k['kty'] === 'OKP').map((k) => Object.fromEntries(members.flatMap((m) => (typeof k[m] === 'string' ? [[m, k[m]]] : []))))
  if (keys.length === 0) throw new KithError('FETCH_FAILED', 'what was fetched holds no public key')
  return JSON.stringify({ keys })
}
