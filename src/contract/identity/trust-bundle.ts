// The roots of a mesh, several at once while one takes over from another, and the chain of a certificate up to one of them.
// Law: every step is signed by a certificate authority that is valid now; a root is trusted because it is in the bundle, never because it signed itself.
import { X509Certificate } from 'node:crypto'
import { KithError } from '#lib/errors.ts'

export interface TrustBundle {
  readonly roots: readonly X509Certificate[]
  /** As it was given. */
  readonly pem: string
}

const certificatePem = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g
/** Leaf, intermediates and root; more is a mistake or an attack. */
const longestChain = 10

/** The certificates of a text, as they stand in it; none where there are none. */
export function certificateBlocks(pem: string): readonly string[] {
  return pem.match(certificatePem) ?? []
}

/** PEM with one or several certificates → their order as written. Throws BUNDLE_INVALID. */
export function parseCertificates(pem: string): X509Certificate[] {
  const blocks = certificateBlocks(pem)
  if (blocks.length === 0) throw new KithError('BUNDLE_INVALID', 'there is no certificate in the text')
  try {
    return blocks.map((b) => new X509Certificate(b))
  } catch (cause) {
    throw new KithError('BUNDLE_INVALID', `a certificate can’t be read: ${(cause as Error).message}`, { cause })
  }
}

/** Throws BUNDLE_INVALID, also where a certificate in it is no authority. */
export function parseTrustBundle(pem: string): TrustBundle {
  const roots = parseCertificates(pem)
  const odd = roots.find((r) => !r.ca)
  if (odd !== undefined) throw new KithError('BUNDLE_INVALID', `${odd.subject ?? odd.serialNumber} is no certificate authority, so it can’t be a root`)
  return { roots, pem }
}

/** Why the chain (its end first, further certificates in any order) leads to no root of the bundle; undefined where it does. `end`: what the first must be. */
export function chainProblem(chain: readonly X509Certificate[], bundle: TrustBundle, nowMs: number, end: 'leaf' | 'authority' = 'leaf'): string | undefined {
  let current = chain[0]
  if (current === undefined) return 'no certificate was presented'
  if (current.ca !== (end === 'authority')) return current.ca ? 'the certificate is an authority’s own' : 'the certificate is no authority’s'
  if (chain.length > longestChain) return `${chain.length} certificates were presented, at most ${longestChain} are looked at`
  const left = new Set(chain.slice(1))
  for (;;) {
    const problem = timeProblem(current, nowMs)
    if (problem !== undefined) return problem
    const signed = (by: X509Certificate): boolean => by.ca && (current as X509Certificate).checkIssued(by) && (current as X509Certificate).verify(by.publicKey)
    const root = bundle.roots.find((r) => r.fingerprint256 === current?.fingerprint256 || signed(r))
    if (root !== undefined) return timeProblem(root, nowMs)
    const next: X509Certificate | undefined = [...left].find(signed)
    if (next === undefined) return `the issuer ${JSON.stringify(current.issuer ?? '')} is not trusted`
    left.delete(next)
    current = next
  }
}

/** Validity covers notBefore ≤ now < notAfter. */
export function timeProblem(certificate: X509Certificate, nowMs: number): string | undefined {
  const from = Date.parse(certificate.validFrom)
  const to = Date.parse(certificate.validTo)
  return from <= nowMs && nowMs < to ? undefined : `the certificate is valid from ${certificate.validFrom} to ${certificate.validTo}`
}
