// The keys in a RequestAuthentication's `jwks`: a JSON Web Key Set or a single key, as Istio's library reads them.
import { isRecord } from '../decode-fields.ts'

const needed: Readonly<Record<string, readonly string[]>> = { RSA: ['n', 'e'], EC: ['crv', 'x', 'y'], OKP: ['crv', 'x'], oct: ['k'] }
const notBase64: ReadonlySet<string> = new Set(['crv'])

export function jwksFault(text: string): string | undefined {
  const keys = keysOf(text)
  return keys === undefined ? 'jwks must be a JSON Web Key Set: {"keys": […]}' : keys.map(keyFault).find((fault) => fault !== undefined)
}

/** Index of the first key that is no public one. */
export function privateKeyAt(text: string): number {
  return (keysOf(text) ?? []).findIndex((key) => isRecord(key) && (key['kty'] === 'oct' || key['d'] !== undefined))
}

function keysOf(text: string): readonly unknown[] | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(parsed)) return undefined
  const keys = Object.hasOwn(parsed, 'keys') ? (parsed['keys'] ?? []) : [parsed]
  return Array.isArray(keys) ? keys : undefined
}

function keyFault(key: unknown, index: number): string | undefined {
  const kind = isRecord(key) ? String(key['kty']) : ''
  const names = Object.hasOwn(needed, kind) ? needed[kind] : undefined
  if (!isRecord(key) || names === undefined) return `key ${index} has none of the types RSA, EC, OKP and oct (kty)`
  for (const name of names) {
    const value = key[name]
    if (typeof value !== 'string') return `key ${index} (${kind}) needs the text ${name}`
    if (!notBase64.has(name) && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) return `${name} of key ${index} is no base64`
  }
  const odd = ['kid', 'alg', 'use'].find((name) => key[name] !== undefined && typeof key[name] !== 'string')
  return odd === undefined ? undefined : `${odd} of key ${index} must be text`
}
