// Who is at the other end. Only this file makes a VerifiedPeer: whoever holds one can't have forgotten the check.
import type { X509Certificate } from 'node:crypto'
import { altNamesOf } from './alt-names.ts'
import { parseSpiffeId, type SpiffeId } from './spiffe.ts'

declare const verified: unique symbol
/** A peer whose certificate chains to a root of the mesh, is valid now, and names exactly one SPIFFE id of a trusted domain. */
export interface VerifiedPeer {
  readonly [verified]: true
  readonly id: SpiffeId
  readonly uri: string
}

export type PeerCheck = { readonly peer: VerifiedPeer } | { readonly refused: string }

/** `certificate`: its chain has been verified by TLS already, or `issuer` is the certificate that signed it. */
export function verifyPeer(certificate: X509Certificate, options: { readonly trustDomains: readonly string[]; readonly nowMs: number }): PeerCheck {
  const from = Date.parse(certificate.validFrom)
  const to = Date.parse(certificate.validTo)
  if (!(from <= options.nowMs && options.nowMs < to)) return { refused: `the certificate is valid from ${certificate.validFrom} to ${certificate.validTo}` }
  const names = altNamesOf(certificate)
  if (names === undefined) return { refused: 'the certificate’s names can’t be read' }
  const uris = names.filter((n) => n.type === 'URI').map((n) => n.value)
  if (uris.length !== 1) return { refused: `the certificate names ${uris.length} URIs, one is needed` }
  const uri = uris[0] as string
  const id = parseSpiffeId(uri)
  if (id === undefined) return { refused: `${JSON.stringify(uri)} is no SPIFFE id of this mesh` }
  if (!options.trustDomains.includes(id.trustDomain)) return { refused: `the trust domain ${id.trustDomain} is not one of ${options.trustDomains.join(', ')}` }
  return { peer: { id, uri } as unknown as VerifiedPeer }
}
