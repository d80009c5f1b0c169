// In: certificates. Out: SPIFFE ids, and VerifiedPeer, which only the check can make.
// Law: names come from SANs alone, whole; anything odd is nobody.
// Read first: verify-peer.ts.
export { altNamesOf, type AltName } from './alt-names.ts'
export { formatSpiffeId, parseSpiffeId, type SpiffeId } from './spiffe.ts'
export { verifyPeer, type PeerCheck, type VerifiedPeer } from './verify-peer.ts'
