// Who is at the other end. Only this file makes a VerifiedPeer: whoever holds one can't have forgotten the check.
// https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md section 5
import type { X509Certificate } from 'node:crypto'
import { altNamesOf } from './alt-names.ts'
import { parseSpiffeId, type SpiffeId } from './spiffe.ts'
import { chainProblem, timeProblem, type TrustBundle } from './trust-bundle.ts'

declare const verified: unique symbol
/** A peer whose certificate chains to a root of the mesh, is valid now, and names exactly one SPIFFE id of a trusted domain. */
export interface VerifiedPeer {
  readonly [verified]: true
  readonly id: SpiffeId
  readonly uri: string
  readonly notBeforeMs: number
  /** Until when the proof holds (epoch, ms): the certificate's end. */
  readonly notAfterMs: number
}

export type PeerCheck = { readonly peer: VerifiedPeer } | { readonly refused: string }

export interface PeerExpectation {
  /** Compared as they stand: a trust domain has no capitals. */
  readonly trustDomains: readonly string[]
  readonly nowMs: number
}

/** For a certificate whose chain TLS has verified already (`authorized`); names and time are checked here, also for resumed sessions. */
export function verifyPeer(certificate: X509Certificate, { trustDomains, nowMs }: PeerExpectation): PeerCheck {
  const late = timeProblem(certificate, nowMs)
  if (late !== undefined) return { refused: late }
  // TLS takes such a certificate as a leaf; its holder could vouch for others.
  if (certificate.ca) return { refused: 'the certificate is an authority’s own' }
  const names = altNamesOf(certificate)
  if (names === undefined || names.some((n) => n.type === 'othername')) return { refused: 'the certificate’s names can’t be read' }
  const uris = names.filter((n) => n.type === 'URI').map((n) => n.value)
  if (uris.length !== 1) return { refused: `the certificate names ${uris.length} URIs, one is needed` }
  const uri = uris[0] as string
  const id = parseSpiffeId(uri)
  if (id === undefined) return { refused: `${JSON.stringify(uri)} is no SPIFFE id of this mesh` }
  if (!trustDomains.includes(id.trustDomain)) return { refused: `the trust domain ${id.trustDomain} is not one of ${trustDomains.join(', ')}` }
  return { peer: { id, uri, notBeforeMs: Date.parse(certificate.validFrom), notAfterMs: Date.parse(certificate.validTo) } as unknown as VerifiedPeer }
}

/** For certificates that nobody has verified yet, leaf first: the chain up to a root of the bundle, then the name. */
export function verifyPresented(chain: readonly X509Certificate[], expectation: PeerExpectation & { readonly bundle: TrustBundle }): PeerCheck {
  const problem = chainProblem(chain, expectation.bundle, expectation.nowMs)
  return problem === undefined ? verifyPeer(chain[0] as X509Certificate, expectation) : { refused: problem }
}
