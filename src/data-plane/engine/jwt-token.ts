// One JSON Web Token: read strictly, judged by time, name and signature. Envoy's words for what is wrong (jwt_verify_lib).
// Law: pure: `nowMs` is an argument; an algorithm counts only with a key of its own kind; what can't be read is refused.
import { constants, createHmac, createPublicKey, timingSafeEqual, verify, type KeyObject } from 'node:crypto'

export type Claims = Readonly<Record<string, unknown>>

export interface Token {
  readonly algorithm: string
  /** '' = none. */
  readonly keyId: string
  readonly claims: Claims
  /** base64url, as it came. */
  readonly payload: string
  readonly signed: string
  readonly signature: Buffer
}

export interface Jwk {
  readonly keyId: string
  readonly algorithm: string
  /** RSA, EC curve, Ed25519, or oct. */
  readonly kind: string
  readonly key: KeyObject | Buffer
}

interface Algorithm {
  readonly kind: string
  readonly hash: string | null
  readonly pss?: true
}

const algorithms: ReadonlyMap<string, Algorithm> = new Map(Object.entries({
  RS256: { kind: 'RSA', hash: 'sha256' }, RS384: { kind: 'RSA', hash: 'sha384' }, RS512: { kind: 'RSA', hash: 'sha512' },
  PS256: { kind: 'RSA', hash: 'sha256', pss: true }, PS384: { kind: 'RSA', hash: 'sha384', pss: true }, PS512: { kind: 'RSA', hash: 'sha512', pss: true },
  ES256: { kind: 'P-256', hash: 'sha256' }, ES384: { kind: 'P-384', hash: 'sha384' }, ES512: { kind: 'P-521', hash: 'sha512' },
  EdDSA: { kind: 'Ed25519', hash: null }, HS256: { kind: 'oct', hash: 'sha256' }, HS384: { kind: 'oct', hash: 'sha384' }, HS512: { kind: 'oct', hash: 'sha512' },
} satisfies Record<string, Algorithm>))

const base64url = /^[A-Za-z0-9_-]+$/
/** A head of a request holds no more. */
const longest = 64 * 1024

/** The token, or what is wrong with it. */
export function readToken(text: string): Token | string {
  const [head = '', payload = '', signature = '', more] = text.split('.')
  if (text.length > longest || head === '' || payload === '' || signature === '' || more !== undefined) return 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections'
  const header = jsonOf(head)
  if (typeof header === 'string') return `Jwt header is an invalid ${header}`
  const { alg, kid, crit } = header
  if (typeof alg !== 'string') return 'Jwt header [alg] field is required and must be a string'
  // Extensions that must be understood and are not: RFC 7515 4.1.11.
  if (!algorithms.has(alg) || crit !== undefined) return 'Jwt header [alg] is not supported'
  if (kid !== undefined && typeof kid !== 'string') return 'Jwt header [kid] field is not a string'
  const claims = jsonOf(payload)
  if (typeof claims === 'string') return `Jwt payload is an invalid ${claims}`
  for (const name of ['iss', 'sub', 'jti']) if (claims[name] !== undefined && typeof claims[name] !== 'string') return `Jwt payload [${name}] field is not a string`
  for (const name of ['iat', 'nbf', 'exp']) {
    const time = claims[name]
    if (time === undefined) continue
    if (typeof time !== 'number') return `Jwt payload [${name}] field is not an integer`
    if (time < 0 || time >= 2 ** 63) return `Jwt payload [${name}] field is not a positive 64 bit integer`
  }
  const { aud } = claims
  if (aud !== undefined && typeof aud !== 'string' && !(Array.isArray(aud) && aud.every((a) => typeof a === 'string'))) return 'Jwt payload [aud] field is not a string or string list'
  if (!base64url.test(signature)) return 'Jwt signature is an invalid Base64url encoded'
  return { algorithm: alg, keyId: kid ?? '', claims, payload, signed: `${head}.${payload}`, signature: Buffer.from(signature, 'base64url') }
}

function jsonOf(part: string): Record<string, unknown> | 'Base64url encoded' | 'JSON' {
  if (!base64url.test(part)) return 'Base64url encoded'
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : 'JSON'
  } catch {
    return 'JSON'
  }
}

/** undefined: it holds now. */
export function timeFault({ exp, nbf }: Claims, nowMs: number, skewSeconds: number): string | undefined {
  const now = nowMs / 1000
  if (typeof nbf === 'number' && now + skewSeconds < nbf) return 'Jwt not yet valid'
  return typeof exp === 'number' && exp > 0 && now > exp + skewSeconds ? 'Jwt is expired' : undefined
}

export function audiencesOf({ aud }: Claims): readonly string[] {
  return typeof aud === 'string' ? [aud] : Array.isArray(aud) ? (aud as string[]) : []
}

/** undefined: one of the keys made the signature. */
export function signatureFault(token: Token, keys: readonly Jwk[]): string | undefined {
  const algorithm = algorithms.get(token.algorithm) as Algorithm
  const fitting = keys.filter((k) => k.kind === algorithm.kind && (k.algorithm === '' || k.algorithm === token.algorithm) && (k.keyId === '' || token.keyId === '' || k.keyId === token.keyId))
  if (fitting.length === 0) return "Jwks doesn't have key to match kid or alg from Jwt"
  return fitting.some((k) => signedBy(token, k.key, algorithm)) ? undefined : 'Jwt verification fails'
}

function signedBy({ signed, signature }: Token, key: KeyObject | Buffer, { hash, pss, kind }: Algorithm): boolean {
  const data = Buffer.from(signed, 'latin1')
  if (Buffer.isBuffer(key)) {
    const made = createHmac(hash ?? 'sha256', key).update(data).digest()
    return made.length === signature.length && timingSafeEqual(made, signature)
  }
  try {
    if (kind === 'RSA') return verify(hash, data, pss === true ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : key, signature)
    return verify(hash, data, hash === null ? key : { key, dsaEncoding: 'ieee-p1363' }, signature)
  } catch {
    return false
  }
}

/** The keys of a set (or the one that stands alone) that can be used; undefined: no set at all. */
export function readKeys(text: string): readonly Jwk[] | undefined {
  try {
    const parsed = JSON.parse(text) as { readonly keys?: unknown } | null
    const keys = typeof parsed === 'object' && parsed !== null ? (parsed.keys ?? [parsed]) : undefined
    return Array.isArray(keys) ? keys.flatMap((k: unknown) => keyOf(k)) : undefined
  } catch {
    return undefined
  }
}

function keyOf(given: unknown): Jwk[] {
  const jwk = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>
  const { kty, crv, kid, alg, use, n, e, x, y, k } = jwk
  const common = { keyId: typeof kid === 'string' ? kid : '', algorithm: typeof alg === 'string' ? alg : '' }
  if (use !== undefined && use !== 'sig') return []
  try {
    if (kty === 'oct' && typeof k === 'string') return [{ ...common, kind: 'oct', key: Buffer.from(k, 'base64url') }]
    const kind = kty === 'RSA' ? 'RSA' : typeof crv === 'string' ? crv : ''
    if (![...algorithms.values()].some((a) => a.kind === kind)) return []
    // The public part alone: what else stands there is nobody's business.
    return [{ ...common, kind, key: createPublicKey({ key: { kty, crv, n, e, x, y } as never, format: 'jwk' }) }]
  } catch {
    return []
  }
}
