// One text for one value: keys sorted, so that equal data has equal bytes and equal hashes.
import { createHash } from 'node:crypto'

/** JSON with sorted keys; `undefined` fields are left out. Maps, sets and class instances have no place in plain data. Written by hand: JSON.stringify with a replacer takes several times as long, and every resource of every proxy goes through here. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) {
    let items = ''
    for (let i = 0; i < value.length; i++) items += (i === 0 ? '' : ',') + (isWritten(value[i]) ? canonicalJson(value[i]) : 'null')
    return `[${items}]`
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return canonicalJson((value as { toJSON: () => unknown }).toJSON())
  const from = value as Record<string, unknown>
  let fields = ''
  for (const key of Object.keys(from).sort()) {
    const field = from[key]
    if (isWritten(field)) fields += `${fields === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(field)}`
  }
  return `{${fields}}`
}

function isWritten(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
}

/** First 16 hex digits of SHA-256 over the canonical JSON: a version, not a signature. */
export function canonicalHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16)
}
