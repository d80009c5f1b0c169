// In: xDS resources, then connections and requests as plain facts. Out: a RuntimeConfig with every error, and decisions.
// Law: no sockets, no clock, no chance: `now`, `pick` and `turn` are arguments. Knows Envoy's semantics, none of Istio's objects.
// Read first: compile.ts, then filter-chain-match.ts and routes.ts (matchRoute).
export { addressBytes, cidrContains, formatAddress, plainAddress, type SocketAddress } from './address.ts'
export { defaultFormat, type AccessLog, type JsonFormat } from './access-log.ts'
export { choose, type Candidate } from './balance.ts'
export { chooseGroup, servingGroups, type Group } from './localities.ts'
export { hash32 } from './hash-policy.ts'
export { chooseSocket, type LbPolicy, type Outlier, type RuntimeCluster, type SocketChoice } from './clusters.ts'
export {
  clusterUrl,
  compile,
  compileRoutes,
  emptyConfig,
  endpointUrl,
  listenerUrl,
  routeUrl,
  type Compiled,
  type CompileInput, type DecodedInput,
  type RuntimeConfig,
} from './compile.ts'
export type { RuntimeEndpoint, RuntimeEndpoints } from './endpoints.ts'
export { decideCors, type Cors, type CorsDecision } from './cors.ts'
export { decideFault, type Fault, type FaultDecision } from './fault.ts'
export type { ConnectionFacts } from './filter-chain-match.ts'
export { findListener, inspectsFor } from './find-listener.ts'
export { compileFormat, renderFormat, type Format, type FormatOperator } from './format.ts'
export type { HeaderOp, HeaderOps } from './header-ops.ts'
export { claimAt, decideJwt, type JwtAuthn, type JwtPassed, type JwtVerdict } from './jwt.ts'
export { readKeys, type Claims } from './jwt-token.ts'
export type { HttpConnection } from './http-connection.ts'
export { chooseChain, type RuntimeChain, type RuntimeListener } from './listeners.ts'
export type { IstioService, KithMetadata } from './metadata.ts'
export { Notes, type CompileProblem } from './notes.ts'
export { lastForwarded } from './forwarded-for.ts'
export { asBytes } from './string-match.ts'
export { isMethodRefused, normalizePath, type NormalPath } from './path-normalize.ts'
export { decideRbac, type Rbac, type RbacFacts, type RbacVerdict } from './rbac.ts'
export { mayRetry, retryDelayMs, type RetryRules, type TryOutcome } from './retry.ts'
export { forwardedAuthority, forwardedPath, redirectLocation, type DirectResponse, type ForwardAction, type Mirror, type Redirect, type WeightedTarget } from './route-action.ts'
export { pathOnly, type RouteRequest } from './route-match.ts'
export { findVirtualHost, matchRoute, type RouteMatched, type RuntimeRoute, type RuntimeRoutes, type RuntimeVirtualHost } from './routes.ts'
export { chooseTcpTarget, type TcpProxy } from './tcp-proxy.ts'
export type { DownstreamTls, Material, SanMatch, TlsSettings, UpstreamTls, Validation } from './tls-context.ts'
