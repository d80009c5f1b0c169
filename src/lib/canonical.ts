// One text for one value: keys sorted, so that equal data has equal bytes and equal hashes.
import { createHash } from 'node:crypto'

/** JSON with sorted keys; `undefined` fields are left out. Maps, sets and class instances have no place in plain data. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => {
    if (v === null || typeof v !== 'object' || Array.isArray(v)) return v
    const from = v as Record<string, unknown>
    const to: Record<string, unknown> = {}
    for (const key of Object.keys(from).sort()) to[key] = from[key]
    return to
  })
}

/** First 16 hex digits of SHA-256 over the canonical JSON: a version, not a signature. */
export function canonicalHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16)
}
