// Values as templates see them. Go tells a struct (fixed fields, absent ones are zero) from a map (an absent key is a mistake to print); JSON does not, so a struct is wrapped.
import { isRecord } from '#api'

/** Kubernetes' and Istio's types: `.Spec.Containers` reads `containers`, `.HTTPGet` reads `httpGet`, `.GetTracing` reads `tracing`. */
export class Struct {
  readonly raw: Readonly<Record<string, unknown>>
  constructor(raw: Readonly<Record<string, unknown>>) {
    this.raw = raw
  }

  /** undefined: not set, or no such field. */
  field(name: string): unknown {
    const exact = this.#find(name)
    return exact === undefined && name.startsWith('Get') && name.length > 3 ? this.#find(name.slice(3)) : exact
  }

  #find(name: string): unknown {
    const wanted = name.toLowerCase()
    for (const [key, value] of Object.entries(this.raw)) if (key.toLowerCase() === wanted) return mapFields.has(key) ? value : structs(value)
    return undefined
  }
}

/** Fields that are maps in Kubernetes' and Istio's types. */
const mapFields: ReadonlySet<string> = new Set(['labels', 'annotations', 'nodeSelector', 'limits', 'requests', 'proxyMetadata', 'matchLabels', 'data', 'overhead', 'Values'])

export function structs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((v) => structs(v))
  return isRecord(value) && !(value instanceof Struct) ? new Struct(value) : value
}

/** As JSON again. */
export function unwrap(value: unknown): unknown {
  if (value instanceof Struct) return value.raw
  return Array.isArray(value) ? value.map((v) => unwrap(v)) : value
}

export function isTrue(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return false
  if (Array.isArray(value)) return value.length > 0
  return value instanceof Struct || !isRecord(value) || Object.keys(value).length > 0
}

/** fmt.Sprint */
export function printed(value: unknown): string {
  if (value === undefined || value === null) return '<nil>'
  const plain = unwrap(value)
  if (Array.isArray(plain)) return `[${plain.map((v) => printed(v)).join(' ')}]`
  if (isRecord(plain)) return `map[${Object.keys(plain).toSorted().map((k) => `${k}:${printed(plain[k])}`).join(' ')}]`
  return String(plain)
}
