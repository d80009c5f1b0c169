// Who is at the other end of a TLS connection, as its certificate has proved it; and whether it is one of those expected.
// Law: names are read from SANs alone, whole and unquoted; a certificate with two URI SANs, a NUL or an odd string is nobody.
import type { X509Certificate } from 'node:crypto'
import type { SanMatch, Validation } from '#engine'
import { altNamesOf, verifyPeer, type Revocations } from '#identity'
import { isMeshSecret } from './secret-names.ts'

export interface PeerIdentity {
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  /** RFC 2253; '' in mesh certificates. */
  readonly subject: string
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  readonly notAfterMs: number
  /** The SPIFFE id, or ''. */
  readonly principal: string
  readonly certificate: X509Certificate
}

const seen = new WeakMap<X509Certificate, PeerIdentity>()

export function identify(certificate: X509Certificate): PeerIdentity {
  const known = seen.get(certificate)
  if (known !== undefined) return known
  const names = altNamesOf(certificate) ?? []
  const uriSans = names.filter((n) => n.type === 'URI').map((n) => n.value)
  const identity: PeerIdentity = {
    uriSans,
    dnsSans: names.filter((n) => n.type === 'DNS').map((n) => n.value),
    subject: certificate.subject === undefined ? '' : certificate.subject.split('\n').reverse().join(','),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfterMs: Date.parse(certificate.validTo),
    principal: uriSans.length === 1 && (uriSans[0] as string).startsWith('spiffe://') ? (uriSans[0] as string) : '',
    certificate,
  }
  seen.set(certificate, identity)
  return identity
}

export type PeerProblem = { readonly code: 'expired' | 'unexpected-name' | 'no-identity' | 'revoked'; readonly expected: string; readonly presented: string }

/** undefined: the peer is one of those expected. The chain has been verified by TLS; here it's names, time and what was revoked, also for resumed sessions. */
export function checkPeer(certificate: X509Certificate, validation: Validation, extraSans: readonly SanMatch[], nowMs: number, revoked?: Revocations): PeerProblem | undefined {
  const identity = identify(certificate)
  const presented = [...identity.uriSans, ...identity.dnsSans].join(', ') || '(no name)'
  if (!(identity.notAfterMs > nowMs)) return { code: 'expired', expected: `valid at ${new Date(nowMs).toISOString()}`, presented: `valid until ${certificate.validTo}` }
  const named = revoked?.named(certificate)
  if (named !== undefined) return { code: 'revoked', expected: 'what its authority has not taken back', presented: `${presented} (${named})` }
  const wanted = validation.sans.length > 0 ? validation.sans : extraSans
  const names = altNamesOf(certificate)
  if (names === undefined) return { code: 'no-identity', expected: 'names that can be read', presented }
  const uris = names.filter((n) => n.type === 'URI')
  // Roots that come by SDS are the mesh's: whoever they vouch for names exactly one SPIFFE id. Which trust domains count, the SAN matchers say.
  if (validation.roots !== null && validation.roots !== 'none' && 'sds' in validation.roots && isMeshSecret(validation.roots.sds)) {
    const domain = /^spiffe:\/\/([^/]+)\//.exec(uris[0]?.value ?? '')?.[1] ?? ''
    const check = verifyPeer(certificate, { trustDomains: [domain], nowMs })
    if ('refused' in check) return { code: 'no-identity', expected: 'one SPIFFE id', presented: `${presented} (${check.refused})` }
  } else if (uris.filter((n) => n.value.toLowerCase().startsWith('spiffe:')).length > 1) {
    return { code: 'no-identity', expected: 'one SPIFFE id', presented }
  }
  if (wanted.length === 0) return undefined
  const match = (san: SanMatch) => names.some((n) => (san.type === 'ANY' || san.type === (n.type === 'IP Address' ? 'IP_ADDRESS' : n.type)) && (n.type === 'DNS' ? dnsMatches(n.value, san) : san.test(n.value)))
  return wanted.some(match) ? undefined : { code: 'unexpected-name', expected: wanted.map((s) => s.text).join(', '), presented }
}

/** A wildcard certificate covers one label. */
function dnsMatches(presented: string, san: SanMatch): boolean {
  if (san.test(presented)) return true
  if (!presented.startsWith('*.')) return false
  const dot = san.text.indexOf('.')
  return dot > 0 && san.text.slice(dot).toLowerCase() === presented.slice(1).toLowerCase()
}

/** An exact DNS name as a SAN match: what auto SAN validation wants. */
export function exactDns(name: string): SanMatch {
  const want = name.toLowerCase()
  return { type: 'DNS', text: name, test: (v) => v.toLowerCase() === want }
}
