// One kind, followed: listed once, then watched; what to do next after anything that may happen. Client-go calls this a reflector.
// Law: no clock, no socket. What is held is never dropped because the API server is lost; only its own word takes an object away.
import type { KubernetesObject, WatchEvent } from '#lib/kubernetes/types.ts'

export type Step = { readonly do: 'list' } | { readonly do: 'watch'; readonly from: string } | { readonly do: 'wait'; readonly ms: number; readonly to: 'list' | 'watch' }

export interface Changes {
  readonly put: readonly KubernetesObject[]
  /** Keys, see `keyOf`. */
  readonly gone: readonly string[]
}

export interface Refused {
  readonly code: string
  readonly message: string
}

const nothing: Changes = { put: [], gone: [] }
const firstRetryMs = 200
const longestRetryMs = 30_000
/** A kind that is not there, or that we may not read: somebody must do something first. */
const firstRefusedMs = 2000
const longestRefusedMs = 60_000

export function keyOf(object: KubernetesObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`
}

export class Reflector {
  /** Key → uid and resourceVersion of what is held. */
  readonly #held = new Map<string, string>()
  #listing = new Map<string, string>()
  #resourceVersion = ''
  #failures = 0
  #refused: Refused | undefined
  #lost: Refused | undefined
  #synced = false
  /** Something came over the watch that is open now. */
  #heard = false
  #next: Step = { do: 'list' }

  /** What shall be done now. */
  get next(): Step {
    return this.#next
  }
  /** Listed whole at least once. */
  get synced(): boolean {
    return this.#synced
  }
  /** The API server's own no: the kind is unknown, or not ours to read. */
  get refused(): Refused | undefined {
    return this.#refused
  }
  /** Why nothing comes at the moment. */
  get lost(): Refused | undefined {
    return this.#refused ?? this.#lost
  }
  get resourceVersion(): string {
    return this.#resourceVersion
  }
  get size(): number {
    return this.#held.size
  }

  /** A list begins (again): pages of an earlier one that broke off count nothing. */
  begin(): void {
    this.#listing = new Map()
  }

  page(items: readonly KubernetesObject[]): Changes {
    const put: KubernetesObject[] = []
    for (const item of items) {
      const key = keyOf(item)
      const version = versionOf(item)
      this.#listing.set(key, version)
      if (this.#held.get(key) === version) continue
      this.#held.set(key, version)
      put.push(item)
    }
    return { put, gone: [] }
  }

  /** The last page has come. What a whole list does not name is gone. */
  listed(resourceVersion: string): Changes {
    const gone = [...this.#held.keys()].filter((key) => !this.#listing.has(key))
    for (const key of gone) this.#held.delete(key)
    this.#listing = new Map()
    this.#resourceVersion = resourceVersion
    this.#synced = true
    this.#refused = undefined
    this.#lost = undefined
    this.#heard = false
    this.#next = { do: 'watch', from: resourceVersion }
    return { put: [], gone }
  }

  event({ type, object }: WatchEvent, pick: number): Changes {
    if (type === 'ERROR') {
      const { code, message } = object as unknown as { code?: number; message?: string }
      this.failed(code === 410 ? 'K8S_GONE' : 'K8S_FAILED', message ?? 'the watch broke off', pick)
      return nothing
    }
    this.#heard = true
    this.#failures = 0
    this.#lost = undefined
    const version = object.metadata.resourceVersion
    if (version !== undefined) {
      this.#resourceVersion = version
      this.#next = { do: 'watch', from: version }
    }
    if (type === 'BOOKMARK') return nothing
    const key = keyOf(object)
    if (type === 'DELETED') return this.#held.delete(key) ? { put: [], gone: [key] } : nothing
    if (this.#held.get(key) === versionOf(object)) return nothing
    this.#held.set(key, versionOf(object))
    return { put: [object], gone: [] }
  }

  /** The watch's head has come: the API server answers. */
  opened(): void {
    this.#lost = undefined
    this.#refused = undefined
  }

  /** The watch ended as it must; one that ends before anything came is asked for again a little later. */
  ended(pick: number): void {
    if (this.#next.do !== 'watch') return
    if (this.#heard) this.#failures = 0
    this.#next = this.#heard ? { do: 'watch', from: this.#resourceVersion } : { do: 'wait', ms: this.#backOff(pick, firstRetryMs, longestRetryMs), to: 'watch' }
    this.#heard = false
  }

  /** `pick`: 0 ≤ n < 1, so that not all come back at one moment. */
  failed(code: string, message: string, pick: number): void {
    const wasListing = this.#next.do === 'list'
    this.#lost = { code, message }
    if (code === 'K8S_FORBIDDEN' || code === 'K8S_NOT_FOUND') {
      this.#refused = { code, message }
      this.#next = { do: 'wait', ms: this.#backOff(pick, firstRefusedMs, longestRefusedMs), to: 'list' }
    } else if (code === 'K8S_GONE') {
      // What we know is too old to go on from. The first time at once; where it comes again and again, with patience.
      const again = this.#failures > 0 || wasListing
      this.#next = again ? { do: 'wait', ms: this.#backOff(pick, firstRetryMs, longestRetryMs), to: 'list' } : { do: 'list' }
      if (!again) this.#failures = 1
    } else {
      this.#next = { do: 'wait', ms: this.#backOff(pick, firstRetryMs, longestRetryMs), to: wasListing || this.#resourceVersion === '' ? 'list' : 'watch' }
    }
    this.#heard = false
  }

  /** The time to wait has passed. */
  waited(): void {
    if (this.#next.do === 'wait') this.#next = this.#next.to === 'list' ? { do: 'list' } : { do: 'watch', from: this.#resourceVersion }
  }

  #backOff(pick: number, first: number, longest: number): number {
    const ms = Math.min(first * 2 ** Math.min(this.#failures, 16), longest)
    this.#failures++
    return Math.round(ms * (0.5 + pick / 2))
  }
}

/** An object made anew under an old name is another one, whatever its version says. */
function versionOf(object: KubernetesObject): string {
  return `${object.metadata.uid ?? ''} ${object.metadata.resourceVersion ?? ''}`
}
