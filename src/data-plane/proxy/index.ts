// In: xDS resources, secrets, connections. Out: bytes, log lines, counters.
// Law: decides nothing itself: chains, routes, endpoints and policies are #engine's. Never knows Istio's objects; Envoy could stand in its place.
// Read first: accept.ts (the life of a connection), exchange.ts (the life of a request), start.ts (how it is put together).
export type { DialMap, Interception, Proxy, ProxyIdentity, ProxyOptions, ProxyPorts, ProxyUpdate } from './options.ts'
export type { CertificateSecret, ProxySecret, TrustSecret } from './secrets.ts'
export { credentialNames } from './secret-names.ts'
export { startProxy } from './start.ts'
