// How much a peer may make a server of xDS remember. Law: what is asked for is bounded by what can exist; a stream that
// goes
// beyond ends. A peer proves who it is, not that it means well.
import { servedTypes } from './resource.ts'

export interface StreamLimits {
  /**
   * Names that exist of a type, as far as is known now. Names that are asked for may be a few more: of what was, of
   * what may come.
   */
  existing(typeUrl: string): number
  /** Types that are served; of any other a client may ask for a handful. */
  readonly known: ReadonlySet<string>
}

/**
 * So many names may always be asked for: a client that was away asks for what it held, and the mesh may be smaller now.
 */
export const leastNames = 5000
const unknownTypeNames = 16
const mostTypes = 16
/** On average; a name of a service with its subset has 60 to 120. */
const bytesAName = 128
const longestName = 4096

/** Where nothing is known of what exists. */
export const usualLimits: StreamLimits = { existing: () => 0, known: servedTypes }

/** Names of one type that one stream holds, counted before they are kept. */
export class NameBudget {
  readonly #limits: StreamLimits
  readonly #typeUrl: string
  /** The most that it ever was: what existed may still be held. */
  #most = 0
  #names = 0
  #bytes = 0

  constructor(limits: StreamLimits, typeUrl: string) {
    this.#limits = limits
    this.#typeUrl = typeUrl
  }

  /** Why the name is one too many; undefined: it is counted. */
  add(name: string): string | undefined {
    this.#names++
    this.#bytes += name.length
    if (name.length > longestName) return `a name of ${name.length} characters, at most ${longestName} are taken`
    const most = this.#update()
    if (this.#names > most) return `more than ${most} names of ${short(this.#typeUrl)}`
    return this.#bytes > most * bytesAName
      ? `names of ${short(this.#typeUrl)} with more than ${most * bytesAName} characters`
      : undefined
  }

  remove(name: string): void {
    this.#names--
    this.#bytes -= name.length
  }

  #update(): number {
    const { known, existing } = this.#limits
    const now = known.has(this.#typeUrl) ? leastNames + 2 * existing(this.#typeUrl) : unknownTypeNames
    this.#most = Math.max(this.#most, now)
    return this.#most
  }
}

/** Why a stream that has asked for `types` types may not ask for another one. */
export function typeExcess(types: number, typeUrl: string): string | undefined {
  if (typeUrl.length > longestName) return `a type of ${typeUrl.length} characters`
  return types >= mostTypes ? `more than ${mostTypes} types` : undefined
}

/** Why a set of names is too large to be kept even for a moment. */
export function namesExcess(limits: StreamLimits, typeUrl: string, names: Iterable<string>): string | undefined {
  const budget = new NameBudget(limits, typeUrl)
  for (const name of names) {
    const excess = budget.add(name)
    if (excess !== undefined) return excess
  }
  return undefined
}

function short(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1).slice(0, 80)
}
