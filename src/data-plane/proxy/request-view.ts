// What routing and policy see of a request: strings made on demand from the head's bytes, each at most once.
import type { RouteRequest } from '#engine'
import type { Head } from './http1/head.ts'

export class RequestView implements RouteRequest {
  readonly #head: Head
  readonly scheme: string
  #path: string | undefined
  #authority: string | undefined

  constructor(head: Head, scheme: string) {
    this.#head = head
    this.scheme = scheme
  }

  get method(): string {
    return this.#head.method
  }

  get path(): string {
    return (this.#path ??= this.#head.method === 'CONNECT' ? '' : this.#head.target())
  }

  /** A normalised path takes the place of the one that came, for policy and forwarding alike. */
  set path(value: string) {
    this.#path = value
  }

  get authority(): string {
    return (this.#authority ??= this.#head.authority())
  }

  set authority(value: string) {
    this.#authority = value
  }

  /** Headers that a filter has set, or taken away (undefined), before policies read them. */
  changed: ReadonlyMap<string, string | undefined> | undefined

  header(name: string): string | undefined {
    if (this.changed?.has(name) === true) return this.changed.get(name)
    return this.#head.get(name)
  }

  lines(name: string): readonly string[] {
    if (this.changed?.has(name) === true) {
      const value = this.changed.get(name)
      return value === undefined ? [] : [value]
    }
    return this.#head.lines(name)
  }
}
