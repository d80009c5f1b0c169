// The client's side of delta xDS, as a pure state machine: it holds resources over reconnections and says what to ask for.
import type { DeltaRequest, DeltaResponse } from './delta-server.ts'
import type { Resource } from './resource.ts'

/** Why a resource was refused. */
export interface Refusal {
  readonly type: string
  readonly name: string
  readonly message: string
}

interface Held {
  readonly wildcard: boolean
  readonly names: Set<string>
  readonly resources: Map<string, Resource>
  /** Names that the server has spoken of, be it to say that there is no such thing. */
  readonly answered: Set<string>
}

export class DeltaClientState {
  readonly #types = new Map<string, Held>()
  readonly #order: readonly string[]

  /** `types` in the order of asking; `wildcard`: those of which everything is wanted. */
  constructor(types: readonly string[], wildcard: ReadonlySet<string>) {
    this.#order = types
    for (const type of types) this.#types.set(type, { wildcard: wildcard.has(type), names: new Set(), resources: new Map(), answered: new Set() })
  }

  /** The first requests of a new stream: what is wanted, and what is held already. */
  connect(): DeltaRequest[] {
    return this.#order.flatMap((typeUrl): DeltaRequest[] => {
      const held = this.#types.get(typeUrl) as Held
      if (!held.wildcard && held.names.size === 0) return []
      return [{ typeUrl, subscribe: held.wildcard ? [] : [...held.names], unsubscribe: [], initialVersions: Object.fromEntries([...held.resources].map(([n, r]) => [n, r.version])), nonce: '' }]
    })
  }

  /** The names of `type` wanted from now on; undefined where nothing changes. */
  want(typeUrl: string, names: ReadonlySet<string>): DeltaRequest | undefined {
    const held = this.#types.get(typeUrl) as Held
    const subscribe = [...names].filter((n) => !held.names.has(n))
    const unsubscribe = [...held.names].filter((n) => !names.has(n))
    if (subscribe.length === 0 && unsubscribe.length === 0) return undefined
    for (const n of subscribe) held.names.add(n)
    for (const n of unsubscribe) {
      held.names.delete(n)
      held.resources.delete(n)
      held.answered.delete(n)
    }
    return { typeUrl, subscribe, unsubscribe, initialVersions: {}, nonce: '' }
  }

  /**
   * Takes a response in. `apply` gets everything that would then be held, and returns what it refuses, all of it at once.
   * A refused resource keeps its last good version. The answer is the ACK, or a NACK that names every refusal.
   */
  response(r: DeltaResponse, apply: (resources: readonly Resource[]) => readonly Refusal[]): { readonly reply: DeltaRequest; readonly refused: readonly Refusal[] } {
    const held = this.#types.get(r.typeUrl)
    const reply = { typeUrl: r.typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, nonce: r.nonce }
    if (held === undefined) return { reply: { ...reply, error: `${r.typeUrl} was not asked for` }, refused: [] }
    const before = new Map(held.resources)
    // What was sent before the server read that it is no longer wanted is acknowledged and dropped.
    for (const resource of r.resources) if (held.wildcard || held.names.has(resource.name)) held.resources.set(resource.name, resource)
    for (const name of r.removed) held.resources.delete(name)
    for (const name of [...r.resources.map((x) => x.name), ...r.removed]) if (held.names.has(name)) held.answered.add(name)
    const refused = apply(this.all())
    const mine = refused.filter((f) => f.type === r.typeUrl)
    for (const { name } of mine) {
      const good = before.get(name)
      if (good === undefined) held.resources.delete(name)
      else held.resources.set(name, good)
    }
    return mine.length === 0 ? { reply, refused } : { reply: { ...reply, error: mine.map((f) => `${f.name}: ${f.message}`).join('; ') }, refused }
  }

  /** True where everything that was asked for by name has been answered: what is held is whole. */
  complete(): boolean {
    return [...this.#types.values()].every((h) => h.answered.size === h.names.size)
  }

  all(): Resource[] {
    return this.#order.flatMap((t) => [...(this.#types.get(t) as Held).resources.values()])
  }

  of(typeUrl: string): ReadonlyMap<string, Resource> {
    return (this.#types.get(typeUrl) as Held).resources
  }
}
