// The server's side of one delta xDS stream, as a pure state machine: what came in → what to send.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds
import type { Resource } from './resource.ts'
import { NameBudget, namesExcess, typeExcess, usualLimits, type StreamLimits } from './stream-limits.ts'

export interface DeltaRequest {
  readonly typeUrl: string
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  /** Versions that the client holds already; only in a stream's first request of a type. */
  readonly initialVersions: Readonly<Record<string, string>>
  /** '' in a request that answers nothing. */
  readonly nonce: string
  /** Set: the client refuses the response of that nonce. */
  readonly error?: string
}

export interface DeltaResponse {
  readonly typeUrl: string
  readonly nonce: string
  readonly resources: readonly Resource[]
  readonly removed: readonly string[]
}

/** `excess`: the client asks for more than can exist, `error` says what. Nothing of the request counts, and the stream must end. */
export type Feedback = { readonly kind: 'ack' | 'nack' | 'excess'; readonly typeUrl: string; readonly nonce: string; readonly error?: string } | undefined

interface Watch {
  wildcard: boolean
  readonly names: Set<string>
  readonly budget: NameBudget
  /** Name → version that the client was sent; '' = it was told that there is none. */
  readonly sent: Map<string, string>
  /** Nonce that the client has not answered yet; '' = none. */
  pending: string
}

/** `wildcardTypes`: types of which an empty first subscription means all of them. */
export class DeltaServerState {
  readonly #watches = new Map<string, Watch>()
  readonly #wildcardTypes: ReadonlySet<string>
  readonly #limits: StreamLimits
  #nonce = 0

  constructor(wildcardTypes: ReadonlySet<string>, limits: StreamLimits = usualLimits) {
    this.#wildcardTypes = wildcardTypes
    this.#limits = limits
  }

  /** Takes a request in. `push` must follow for its type: there may be something to send. */
  request(r: DeltaRequest): Feedback {
    let watch = this.#watches.get(r.typeUrl)
    const excess = (error: string): Feedback => ({ kind: 'excess', typeUrl: r.typeUrl, nonce: r.nonce, error })
    if (watch === undefined) {
      const many = typeExcess(this.#watches.size, r.typeUrl) ?? namesExcess(this.#limits, r.typeUrl, Object.keys(r.initialVersions))
      if (many !== undefined) return excess(many)
      const budget = new NameBudget(this.#limits, r.typeUrl)
      watch = { wildcard: this.#wildcardTypes.has(r.typeUrl) && r.subscribe.length === 0, names: new Set(), budget, sent: new Map(Object.entries(r.initialVersions)), pending: '' }
      this.#watches.set(r.typeUrl, watch)
    }
    for (const name of r.subscribe) {
      if (name === '*') watch.wildcard = true
      else {
        // Asking again for what one has means: send it again.
        if (watch.names.has(name)) watch.sent.delete(name)
        else {
          const many = watch.budget.add(name)
          if (many !== undefined) return excess(many)
          watch.names.add(name)
        }
      }
    }
    for (const name of r.unsubscribe) {
      if (name === '*') watch.wildcard = false
      else if (watch.names.delete(name)) watch.budget.remove(name)
      if (!(watch.wildcard && name !== '*')) watch.sent.delete(name)
    }
    // A nonce of an earlier stream, or an invented one, answers nothing.
    if (r.nonce === '' || r.nonce !== watch.pending) return undefined
    watch.pending = ''
    if (r.error !== undefined) return { kind: 'nack', typeUrl: r.typeUrl, nonce: r.nonce, error: r.error }
    return { kind: 'ack', typeUrl: r.typeUrl, nonce: r.nonce }
  }

  /** Names that the client wants of a type; undefined: all; null: it never asked. */
  wanted(typeUrl: string): ReadonlySet<string> | undefined | null {
    const watch = this.#watches.get(typeUrl)
    return watch === undefined ? null : watch.wildcard ? undefined : watch.names
  }

  /**
   * What the client lacks of `resources`, all there are of the type; undefined: nothing, or its answer to the last response is outstanding:
   * then push again when it has come. So a slow client gets the newest state once, and never a queue of old ones.
   */
  push(typeUrl: string, resources: ReadonlyMap<string, Resource>): DeltaResponse | undefined {
    const watch = this.#watches.get(typeUrl)
    if (watch === undefined || watch.pending !== '') return undefined
    const changed: Resource[] = []
    const removed: string[] = []
    const names = watch.wildcard ? new Set([...resources.keys(), ...watch.names]) : watch.names
    for (const name of names) {
      const resource = resources.get(name)
      const before = watch.sent.get(name)
      if (resource === undefined) {
        if (before !== '' && (before !== undefined || watch.names.has(name))) removed.push(name)
      } else if (before !== resource.version) changed.push(resource)
    }
    for (const [name, version] of watch.sent) if (version !== '' && !names.has(name)) removed.push(name)
    if (changed.length === 0 && removed.length === 0) return undefined
    for (const r of changed) watch.sent.set(r.name, r.version)
    for (const name of removed) {
      if (watch.names.has(name)) watch.sent.set(name, '')
      else watch.sent.delete(name)
    }
    watch.pending = String(++this.#nonce)
    return { typeUrl, nonce: watch.pending, resources: changed, removed }
  }

  /** These are sent once more though they did not change: a cluster that changed waits for its endpoints anew. */
  again(typeUrl: string, names: Iterable<string>): void {
    const watch = this.#watches.get(typeUrl)
    for (const name of names) watch?.sent.delete(name)
  }

  /** True where the client has answered everything that it was sent. */
  settled(): boolean {
    return [...this.#watches.values()].every((w) => w.pending === '')
  }

  status(): { readonly typeUrl: string; readonly pending: boolean; readonly resources: number }[] {
    return [...this.#watches].map(([typeUrl, w]) => ({ typeUrl, pending: w.pending !== '', resources: w.sent.size }))
  }
}
