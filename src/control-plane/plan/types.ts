// The named middle: what one proxy should do, and why. Plain, sorted data: no protobuf types, no closures, no Kubernetes types.
import type { Decided } from '#lib/decided.ts'
import type { Problem, Ref } from '#lib/problem.ts'
import type { PathRules } from './path-rules.ts'

export type MtlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE'
export type PortProtocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tls' | 'auto' | 'udp'

export interface ProxyPlan {
  readonly proxy: ProxyRef
  readonly mesh: MeshSettings
  readonly inbound: readonly InboundPort[]
  readonly outbound: readonly OutboundListener[]
  readonly routeTables: readonly RouteTable[]
  readonly upstreams: readonly Upstream[]
  /** What happens to a destination that the mesh does not know. */
  readonly egress: Decided<'ALLOW_ANY' | 'REGISTRY_ONLY'>
  /** Pods that the client may call by an address that no listener knows, and that take mutual TLS. Everything else is passed on as it is. */
  readonly passthrough: readonly PodTls[]
  /** Who may call this workload; absent: nobody has said anything, so everybody. */
  readonly authorization?: Authorization
  /** Whose tokens of end users count; absent: nobody asks for any. */
  readonly authentication?: readonly JwtRule[]
  readonly problems: readonly Problem[]
}

export interface ProxyRef {
  /** `<pod>.<namespace>` */
  readonly id: string
  readonly namespace: string
  /** The pod's name. */
  readonly pod: string
  /** The workload's name (Deployment and the like). */
  readonly workload: string
  readonly serviceAccount: string
  /** `spiffe://<trust domain>/ns/<ns>/sa/<sa>` */
  readonly identity: string
  readonly labels: Readonly<Record<string, string>>
  readonly addresses: readonly string[]
}

/** What meshConfig says that a proxy must know. */
export interface MeshSettings {
  readonly trustDomain: string
  readonly trustDomainAliases: readonly string[]
  /** '' = off; '/dev/stdout'. */
  readonly accessLogFile: string
  /** Lowest TLS version of mesh mTLS. */
  readonly minTlsVersion: 'TLSV1_2' | 'TLSV1_3'
  /** TLS 1.2 cipher suites in OpenSSL's names; empty = Istio's list. */
  readonly cipherSuites: readonly string[]
  /** 0 = wait for ever (Istio's default). */
  readonly protocolDetectionTimeoutMs: number
  readonly connectTimeoutMs: number
  /** Automatic mutual TLS looks at each pod by its address; false: off, or as Istio does it. */
  readonly tlsByAddress: boolean
  /** No pod's rules lead these to a sidecar. */
  readonly sidecarPorts: readonly number[]
  /** Short DNS domain of the cluster: `cluster.local`. */
  readonly domain: string
  /** How paths are normalised; absent: as by BASE. */
  readonly paths?: PathRules
}

/** One set of inbound filter chains. `port` null: every port that has no entry of its own (Istio's passthrough chains). */
export interface InboundPort {
  /** Container (target) port. */
  readonly port: number | null
  readonly protocol: PortProtocol
  /** The Service that exposes it, oldest first; absent for ports without one. */
  readonly service?: { readonly host: string; readonly name: string; readonly namespace: string; readonly port: number }
  readonly mtls: Decided<MtlsMode>
  /** A Sidecar's own TLS for this port, in place of the mesh's; only where mesh mTLS is off. */
  readonly tls?: ServerTls
  /** Where a Sidecar says that the application listens; absent: at the pod's own address. */
  readonly endpoint?: { readonly address: string; readonly port: number }
  /** Cluster name: `inbound|80||` or `InboundPassthroughCluster`. */
  readonly cluster: string
  readonly connectionPool?: ConnectionPool
}

export interface ServerTls {
  /** MUTUAL asks the client for a certificate, OPTIONAL_MUTUAL looks at one that it shows. */
  readonly mode: 'SIMPLE' | 'MUTUAL' | 'OPTIONAL_MUTUAL'
  readonly certificate: string
  readonly privateKey: string
  readonly caCertificates?: string
  readonly sans?: readonly string[]
}

/** One outbound listener; reached by original destination. */
export interface OutboundListener {
  /** Istio's: `0.0.0.0_8000` for HTTP ports, `10.96.0.7_9000` for TCP ones. */
  readonly name: string
  readonly address: string
  readonly port: number
  readonly protocol: 'http' | 'tcp' | 'auto'
  /** HTTP and auto: name of the RouteTable. */
  readonly routeTable?: string
  /** TCP, TLS and auto: in order, first match wins; the listener's last resort is `egress`. */
  readonly tcpRoutes: readonly TcpRoute[]
}

export interface TcpRoute {
  readonly match: { readonly sniHosts?: readonly string[]; readonly destinationSubnets?: readonly string[] }
  readonly targets: readonly WeightedTarget[]
  /** Which rule made this route. */
  readonly because: Decided<string>
}

export interface WeightedTarget {
  /** `Upstream.name`, or 'BlackHoleCluster' / 'PassthroughCluster'. */
  readonly upstream: string
  /** 0..n; relative to the sum. */
  readonly weight: number
  readonly headers?: HeaderOps
}

export interface HeaderOps {
  readonly request?: { readonly set?: Record<string, string>; readonly add?: Record<string, string>; readonly remove?: readonly string[] }
  readonly response?: { readonly set?: Record<string, string>; readonly add?: Record<string, string>; readonly remove?: readonly string[] }
}

/** RDS: `8000` (the port), as Istio names it. */
export interface RouteTable {
  readonly name: string
  readonly virtualHosts: readonly VirtualHost[]
}

export interface VirtualHost {
  /** `httpbin.bar.svc.cluster.local:8000`, `allow_any`, `block_all` */
  readonly name: string
  readonly domains: readonly string[]
  /** First match wins. */
  readonly routes: readonly HttpRoute[]
}

export interface HttpRoute {
  readonly name: string
  /** ANDed; empty = everything. */
  readonly match: HttpMatch
  readonly action: HttpAction
  /** The rule that made this route: value is a short text (`VirtualService foo/reviews http[0]`), the winner first. */
  readonly because: Decided<string>
  readonly headers?: HeaderOps
}

export type StringMatch = { readonly exact: string } | { readonly prefix: string } | { readonly regex: string } | { readonly present: true }

export interface HttpMatch {
  readonly path?: { readonly exact: string } | { readonly prefix: string } | { readonly regex: string }
  readonly ignorePathCase?: boolean
  readonly method?: StringMatch
  readonly scheme?: StringMatch
  readonly authority?: StringMatch
  readonly headers?: Readonly<Record<string, StringMatch>>
  readonly withoutHeaders?: Readonly<Record<string, StringMatch>>
  readonly queryParams?: Readonly<Record<string, StringMatch>>
}

export type HttpAction =
  | {
      readonly kind: 'route'
      readonly targets: readonly WeightedTarget[]
      /** 0 = none. */
      readonly timeoutMs: number
      readonly retries?: RetryPolicy
      readonly rewrite?: { readonly uri?: string; readonly uriRegex?: { readonly match: string; readonly rewrite: string }; readonly authority?: string }
      readonly fault?: Fault
      readonly mirrors?: readonly { readonly upstream: string; readonly percent: number }[]
      readonly cors?: Cors
    }
  | { readonly kind: 'redirect'; readonly uri?: string; readonly prefixRewrite?: string; readonly authority?: string; readonly scheme?: string; readonly port?: number; readonly code: number }
  | { readonly kind: 'direct'; readonly status: number; readonly body?: string }

export interface RetryPolicy {
  readonly attempts: number
  readonly perTryTimeoutMs?: number
  /** Envoy's names. */
  readonly retryOn: readonly string[]
  readonly retriableStatusCodes: readonly number[]
  readonly backoffMs?: number
  readonly ignorePreviousHosts?: boolean
  readonly retryRemoteLocalities?: boolean
}

export interface Fault {
  readonly delay?: { readonly ms: number; readonly percent: number }
  readonly abort?: { readonly httpStatus?: number; readonly grpcStatus?: string; readonly percent: number }
}

export interface Cors {
  readonly allowOrigins: readonly StringMatch[]
  readonly allowMethods: readonly string[]
  readonly allowHeaders: readonly string[]
  readonly exposeHeaders: readonly string[]
  readonly maxAgeSeconds?: number
  readonly allowCredentials?: boolean
  readonly forwardUnmatchedPreflights?: boolean
}

/** One cluster: a host's port (and subset). */
export interface Upstream {
  /** Istio's: `outbound|8000|v1|httpbin.bar.svc.cluster.local` */
  readonly name: string
  readonly host: string
  /** Service port. */
  readonly port: number
  readonly subset: string | null
  readonly protocol: PortProtocol
  readonly meshExternal: boolean
  /** EDS: endpoints come by EndpointsPlan; the others as in Envoy. */
  readonly discovery: 'EDS' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'ORIGINAL_DST' | 'STATIC'
  /** STRICT_DNS and LOGICAL_DNS: host names and ports to resolve. */
  readonly dnsEndpoints?: readonly Endpoint[]
  readonly dnsLocalityWeights?: Readonly<Record<string, number>>
  readonly tls: Decided<UpstreamTls>
  /** ORIGINAL_DST with AUTO: the pods that the client may have chosen. An address that is not among them gets plaintext. */
  readonly pods?: readonly PodTls[]
  /** The DestinationRule whose policy applies, or null. */
  readonly destinationRule: Ref | null
  readonly balancing: { readonly policy: 'LEAST_REQUEST' | 'ROUND_ROBIN' | 'RANDOM' | 'RING_HASH' | 'MAGLEV' | 'PASSTHROUGH'; readonly ringSize?: number; readonly warmup?: { readonly ms: number; readonly minimumPercent?: number; readonly aggression?: number }; /** Localities have weights of their own. */ readonly byLocality?: boolean }
  /** RING_HASH and MAGLEV: what of a call decides where it goes; absent: nothing, so chance does. */
  readonly hashOn?: HashOn
  readonly connectionPool: ConnectionPool
  readonly outlier?: OutlierDetection
}

export type HashOn =
  | { readonly header: string }
  /** Without a ttl nobody but the application makes the cookie; 0: it ends with the browser's session. */
  | { readonly cookie: { readonly name: string; readonly path?: string; readonly ttlMs?: number; readonly attributes?: readonly { readonly name: string; readonly value: string }[] } }
  | { readonly sourceIp: true }
  | { readonly queryParameter: string }

/** What goes to one pod that the client has chosen by its address. */
export interface PodTls {
  readonly address: string
  /** Whom it must prove to be, the trust domain's aliases included; empty: anybody of the mesh. */
  readonly sans: readonly string[]
  readonly tls: Decided<'ISTIO_MUTUAL' | 'DISABLE'>
  /** Ports of which something else holds. */
  readonly except: readonly { readonly port: number; readonly tls: Decided<'ISTIO_MUTUAL' | 'DISABLE'> }[]
}

/**
 * What the client puts on the wire.
 * AUTO: mTLS to each endpoint (or pod) whose `tls` says ISTIO_MUTUAL, plaintext to the others.
 */
export type UpstreamTls =
  | { readonly mode: 'DISABLE' }
  | { readonly mode: 'AUTO' | 'ISTIO_MUTUAL'; readonly sni: string; readonly sans: readonly string[] }
  | {
      readonly mode: 'SIMPLE' | 'MUTUAL'
      /** absent: from the request's Host (auto SNI). */
      readonly sni?: string
      /** absent: verified against SNI (auto SAN); empty list never. */
      readonly sans?: readonly string[]
      /** absent: the system's roots. */
      readonly caCertificates?: string
      /** File of what is revoked. */
      readonly caCrl?: string
      readonly clientCertificate?: string
      readonly privateKey?: string
      readonly credentialName?: string
      readonly insecureSkipVerify?: boolean
    }

export interface ConnectionPool {
  readonly connectTimeoutMs?: number
  readonly maxConnections?: number
  readonly maxPendingRequests?: number
  readonly maxRequests?: number
  readonly maxRetries?: number
  readonly maxRequestsPerConnection?: number
  readonly idleTimeoutMs?: number
  readonly maxConnectionDurationMs?: number
  readonly tcpKeepalive?: { readonly probes?: number; readonly timeMs?: number; readonly intervalMs?: number }
  readonly h2Upgrade?: boolean
  readonly useClientProtocol?: boolean
  readonly maxConcurrentStreams?: number
  readonly http2Keepalive?: { readonly intervalMs?: number; readonly timeoutMs?: number }
  readonly retryBudget?: { readonly percent?: number; readonly minConcurrency?: number }
}

export interface OutlierDetection {
  readonly consecutive5xx?: number
  readonly consecutiveGatewayErrors?: number
  readonly intervalMs?: number
  readonly baseEjectionMs?: number
  readonly maxEjectionPercent?: number
  readonly minHealthPercent?: number
  readonly splitExternalLocalOriginErrors?: boolean
  readonly consecutiveLocalOriginFailures?: number
}

/** EDS of one upstream, a plan of its own: a scale-up touches this alone. */
export interface EndpointsPlan {
  /** `Upstream.name` */
  readonly upstream: string
  readonly endpoints: readonly Endpoint[]
  /** Each locality's share, where a rule distributes; absent: by their endpoints. */
  readonly localityWeights?: Readonly<Record<string, number>>
}

export interface Endpoint {
  /** An IP, or a host name for STRICT_DNS. */
  readonly address: string
  /** Target port. */
  readonly port: number
  /** What automatic mTLS does to this endpoint. */
  readonly tls: Decided<'ISTIO_MUTUAL' | 'DISABLE'>
  /** Mode that the server's port enforces; null without a sidecar. */
  readonly serverMtls: Decided<MtlsMode> | null
  readonly workload?: { readonly namespace: string; readonly name: string; readonly pod?: string }
  readonly serviceAccount?: string
  readonly identity?: string
  readonly weight: number
  readonly healthy: boolean
  readonly locality?: string
  /** 0 first; a later one takes over what the earlier ones can't. Absent: 0. */
  readonly priority?: number
  readonly labels: Readonly<Record<string, string>>
}

/** A token of this issuer, if one is there, must hold. */
export interface JwtRule {
  readonly ref: Ref
  readonly issuer: string
  readonly audiences: readonly string[]
  /** JSON Web Key Set; null: not fetched, so that no token holds. */
  readonly keys: string | null
  /** Where they are fetched; '' = they stand in the rule. */
  readonly keysFrom: string
  /** Places to look in; where none is named, the header Authorization and the parameter access_token. */
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[]
  readonly fromParams: readonly string[]
  readonly fromCookies: readonly string[]
  /** The token goes on to the application. */
  readonly forward: boolean
  readonly payloadHeader?: string
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[]
  /** Text that is a list. */
  readonly spaceDelimitedClaims: readonly string[]
}

/** First what denies, then, where anything allows, only what is allowed. */
export interface Authorization {
  /** Marked for audit where a rule matches, whatever becomes of the call. */
  readonly audit?: readonly AccessPolicy[]
  readonly deny: readonly AccessPolicy[]
  readonly allow: readonly AccessPolicy[]
}

export interface AccessPolicy {
  readonly ref: Ref
  /** Decided and counted, never enforced. */
  readonly dryRun: boolean
  /** Empty: matches nothing. */
  readonly rules: readonly AccessRule[]
}

/** Both sides must hold: one of the callers, one of the calls; an empty list of tests holds always. */
export interface AccessRule {
  readonly ref: Ref
  readonly callers: readonly (readonly AccessTest[])[]
  readonly calls: readonly (readonly AccessTest[])[]
}

export interface AccessTest {
  /** Istio's name: `source.principal`, `request.headers[x-user]`, `destination.port` …; operations are `request.host`, `request.method`, `request.path`. */
  readonly attribute: string
  /** One of them; empty = any. */
  readonly values: readonly string[]
  readonly notValues: readonly string[]
}
