// In: resources by name and version. Out: the xDS protocol, delta (both sides) and state of the world (server); the CA's call beside it.
// Law: the protocol is a pure state machine; sockets stand at its edge. The only contract between the wings.
// Read first: resource.ts, delta-server.ts, delta-client.ts.
export { createCertificateMethod, type CertificateChain, type CertificateRequest } from './ca-method.ts'
export { DeltaClientState, type Refusal } from './delta-client.ts'
export { DeltaServerState, type DeltaRequest, type DeltaResponse, type Feedback } from './delta-server.ts'
export { levelName, levelOf, resourceLevel, skew } from './level.ts'
export { missingKeys, missingKeysId } from './missing-keys.ts'
export { pushOrder, servedTypes, typeUrls, type Resource } from './resource.ts'
export { leastNames, type StreamLimits } from './stream-limits.ts'
export { SotwServerState, type SotwRequest, type SotwResponse } from './sotw-server.ts'
export { issuedMs, issueSkewMs, renewalMark, renewalMarkOf, trustName } from './trust.ts'
export { deltaMethod, secretsMethod, sotwMethod, type SotwWireRequest, type WireRequest, type XdsNode } from './wire.ts'
