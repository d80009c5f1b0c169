// The server's side of a state-of-the-world xDS stream (and of SDS), as a pure state machine: each response is all that is wanted of a type.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#four-variants
import { canonicalHash } from '#lib/canonical.ts'
import type { Feedback } from './delta-server.ts'
import type { Resource } from './resource.ts'
import { namesExcess, typeExcess, usualLimits, type StreamLimits } from './stream-limits.ts'

export interface SotwRequest {
  readonly typeUrl: string
  /** All names that are wanted from now on; empty: everything, for wildcard types. */
  readonly names: readonly string[]
  /** '' in the first request of a stream. */
  readonly nonce: string
  /** Set: the client refuses the response of that nonce. */
  readonly error?: string
}

export interface SotwResponse {
  readonly typeUrl: string
  readonly nonce: string
  /** Of the whole set. */
  readonly version: string
  readonly resources: readonly Resource[]
}

interface Watch {
  names: ReadonlySet<string>
  wildcard: boolean
  sentVersion: string
  sentNames: number
  lastNonce: string
  pending: boolean
}

export class SotwServerState {
  readonly #watches = new Map<string, Watch>()
  readonly #wildcardTypes: ReadonlySet<string>
  readonly #limits: StreamLimits
  #nonce = 0

  constructor(wildcardTypes: ReadonlySet<string>, limits: StreamLimits = usualLimits) {
    this.#wildcardTypes = wildcardTypes
    this.#limits = limits
  }

  /** Takes a request in; one with a nonce that is not the last is stale, and ignored. `push` must follow for its type. */
  request(r: SotwRequest): Feedback {
    const known = this.#watches.get(r.typeUrl)
    if (known !== undefined && r.nonce !== '' && r.nonce !== known.lastNonce) return undefined
    const excess = (known === undefined ? typeExcess(this.#watches.size, r.typeUrl) : undefined) ?? namesExcess(this.#limits, r.typeUrl, r.names)
    if (excess !== undefined) return { kind: 'excess', typeUrl: r.typeUrl, nonce: r.nonce, error: excess }
    const watch = known ?? { names: new Set<string>(), wildcard: false, sentVersion: '', sentNames: 0, lastNonce: '', pending: false }
    this.#watches.set(r.typeUrl, watch)
    watch.names = new Set(r.names.filter((n) => n !== '*'))
    watch.wildcard = r.names.includes('*') || (r.names.length === 0 && this.#wildcardTypes.has(r.typeUrl))
    const answered = watch.pending && r.nonce === watch.lastNonce && r.nonce !== ''
    if (answered) watch.pending = false
    if (!answered) return undefined
    return r.error === undefined ? { kind: 'ack', typeUrl: r.typeUrl, nonce: r.nonce } : { kind: 'nack', typeUrl: r.typeUrl, nonce: r.nonce, error: r.error }
  }

  /** Names that the client wants of a type; undefined: all; null: it never asked. */
  wanted(typeUrl: string): ReadonlySet<string> | undefined | null {
    const watch = this.#watches.get(typeUrl)
    return watch === undefined ? null : watch.wildcard ? undefined : watch.names
  }

  /** Everything wanted of `resources`, all there are of the type; undefined: the client has it, or has not answered the last response yet. */
  push(typeUrl: string, resources: ReadonlyMap<string, Resource>): SotwResponse | undefined {
    const watch = this.#watches.get(typeUrl)
    if (watch === undefined || watch.pending) return undefined
    const wanted = watch.wildcard ? [...resources.values()] : [...watch.names].flatMap((n) => resources.get(n) ?? [])
    // Of types that are asked for by name, what is not there is not mentioned.
    if (wanted.length === 0 && !watch.wildcard) return undefined
    const version = canonicalHash(wanted.map((r) => `${r.name}\0${r.version}`).sort())
    if (version === watch.sentVersion) return undefined
    watch.sentVersion = version
    watch.sentNames = wanted.length
    watch.lastNonce = String(++this.#nonce)
    watch.pending = true
    return { typeUrl, nonce: watch.lastNonce, version, resources: wanted }
  }

  settled(): boolean {
    return [...this.#watches.values()].every((w) => !w.pending)
  }

  status(): { readonly typeUrl: string; readonly pending: boolean; readonly resources: number }[] {
    return [...this.#watches].map(([typeUrl, w]) => ({ typeUrl, pending: w.pending, resources: w.sentNames }))
  }
}
