// In: certificates. Out: SPIFFE ids, trust bundles, and VerifiedPeer, which only the check can make.
// Law: names come from SANs alone, whole; anything odd is nobody.
// Read first: verify-peer.ts, trust-bundle.ts.
export { altNamesOf, type AltName } from './alt-names.ts'
export { rawSubject } from './certificate-fields.ts'
export { readElement, readElements, tags, writeElement, writeOid } from './der.ts'
export type { Handshake } from './handshake.ts'
export { HeldRevocations, readRevocations, revocationBlocks, type Revocations } from './revocations.ts'
export { formatSpiffeId, parseSpiffeId, type SpiffeId } from './spiffe.ts'
export { strictChainProblem } from './strict-chain.ts'
export { certificateBlocks, chainProblem, parseCertificates, parseTrustBundle, timeProblem, type TrustBundle } from './trust-bundle.ts'
export { verifyPeer, verifyPresented, type PeerCheck, type PeerExpectation, type VerifiedPeer } from './verify-peer.ts'
