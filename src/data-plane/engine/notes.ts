// What compiling found: every error at once, so that the caller can NACK with all of them; and what is understood but not served, by name.
// Law: a set field that nobody reads is named here; nothing is silently ignored.
import { isFieldSet, type DescMessage, type Message } from '@bufbuild/protobuf'
import { anyUnpack, type Any } from '@bufbuild/protobuf/wkt'
import { message, registry } from '#proto'

export interface CompileProblem {
  /** Type URL of the resource. */
  readonly type: string
  readonly name: string
  /** One sentence, with the path inside the resource. */
  readonly message: string
}

export class Notes {
  readonly errors: CompileProblem[] = []
  readonly unserved: CompileProblem[] = []
  #type = ''
  #name = ''
  #path: string[] = []

  /** Everything noted from now on concerns this resource. */
  resource(type: string, name: string): void {
    this.#type = type
    this.#name = name
    this.#path = []
  }

  /** Runs `f` one level deeper: `filter_chains[2]`. */
  at<T>(step: string, f: () => T): T {
    this.#path.push(step)
    try {
      return f()
    } finally {
      this.#path.pop()
    }
  }

  error(text: string): void {
    this.errors.push({ type: this.#type, name: this.#name, message: this.#say(text) })
  }

  notServed(text: string): void {
    this.unserved.push({ type: this.#type, name: this.#name, message: this.#say(`${text} is not served by this proxy`) })
  }

  /** What the control plane says is not served: its own words. */
  passOn(text: string): void {
    this.unserved.push({ type: this.#type, name: this.#name, message: text })
  }

  /** Names every set field of `value` that is not in `served` (proto names). */
  onlyServes(value: Message, served: ReadonlySet<string>): void {
    const desc: DescMessage | undefined = registry.getMessage(value.$typeName)
    for (const field of desc?.fields ?? []) {
      if (!served.has(field.name) && isFieldSet(value, field)) this.notServed(field.name)
    }
  }

  /** The message inside an Any, or undefined with an error noted. */
  unpack<T extends Message>(any: Any | undefined, typeName: string): T | undefined {
    if (any === undefined) {
      this.error(`needs a typed config of type ${typeName}`)
      return undefined
    }
    try {
      const found = anyUnpack(any, message<T>(typeName))
      if (found !== undefined) return found
      this.error(`has type ${any.typeUrl} where ${typeName} belongs`)
    } catch (cause) {
      this.error(`${any.typeUrl} cannot be decoded: ${(cause as Error).message}`)
    }
    return undefined
  }

  #say(text: string): string {
    return this.#path.length === 0 ? text : `${this.#path.join('.')}: ${text}`
  }
}

export function fields(names: string): ReadonlySet<string> {
  return new Set(names.trim().split(/\s+/))
}

/** Milliseconds of a google.protobuf.Duration; `absent` where it is not set. */
export function durationMs(duration: { seconds: bigint; nanos: number } | undefined, absent: number): number {
  return duration === undefined ? absent : Number(duration.seconds) * 1000 + Math.round(duration.nanos / 1e6)
}
