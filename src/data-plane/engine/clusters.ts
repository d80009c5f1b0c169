// Clusters, compiled: how endpoints are found, chosen, dialled and verified.
import { compileEndpoints, type RuntimeEndpoint, type RuntimeEndpoints } from './endpoints.ts'
import { istioService, kithMetadata, notServedHere, type IstioService, type KithMetadata } from './metadata.ts'
import { durationMs, fields, type Notes } from './notes.ts'
import { compileSocketMatcher, type SocketMatcher } from './socket-matcher.ts'
import { compileUpstreamTls, type UpstreamTls } from './tls-context.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { Cluster } from '../../../generated/types/envoy/config/cluster/v3/cluster_pb.ts'
import type { Http2ProtocolOptions } from '../../../generated/types/envoy/config/core/v3/protocol_pb.ts'
import type { HttpProtocolOptions } from '../../../generated/types/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts'

export type LbPolicy = 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM' | 'RING_HASH' | 'MAGLEV' | 'CLUSTER_PROVIDED'

export interface SocketChoice {
  readonly name: string
  /** All must be equal in the endpoint's metadata; empty = any endpoint. */
  readonly match: Readonly<Record<string, string>>
  readonly tls: UpstreamTls | null
}

export interface Outlier {
  readonly consecutive5xx: number
  /** 0 = not counted. */
  readonly consecutiveGateway: number
  readonly consecutiveLocal: number
  readonly splitLocal: boolean
  readonly intervalMs: number
  readonly baseEjectionMs: number
  readonly maxEjectionMs: number
  readonly maxEjectionPercent: number
}

export interface RuntimeCluster {
  readonly name: string
  readonly metadata: KithMetadata
  readonly service?: IstioService
  readonly discovery: 'STATIC' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'EDS' | 'ORIGINAL_DST'
  /** EDS resource that holds the endpoints. */
  readonly edsName: string
  readonly inline?: RuntimeEndpoints
  readonly connectTimeoutMs: number
  readonly lbPolicy: LbPolicy
  readonly choiceCount: number
  readonly ringSize: number
  /** Below this share of healthy endpoints all are used; 0 = never. */
  readonly panicPercent: number
  /** Localities count by their weights, not by their endpoints. */
  readonly byLocality: boolean
  readonly tls: UpstreamTls | null
  readonly matches: readonly SocketChoice[]
  /** ORIGINAL_DST: the match by the address that was chosen; then labels do not count. */
  readonly byAddress?: SocketMatcher
  readonly http: 'http1' | 'http2' | 'downstream' | 'auto'
  /** Where HTTP/2 is spoken and something is said of it. */
  readonly http2?: { readonly maxConcurrentStreams?: number; readonly keepalive?: { readonly intervalMs: number; readonly timeoutMs: number } }
  readonly autoSni: boolean
  readonly autoSanValidation: boolean
  readonly idleTimeoutMs: number
  /** 0 = without limit. */
  readonly maxRequestsPerConnection: number
  readonly maxConnectionMs: number
  readonly limits: { readonly connections: number; readonly pending: number; readonly requests: number; readonly retries: number }
  readonly outlier?: Outlier
  readonly bindAddress?: string
  readonly portOverride?: number
  readonly keepalive?: { readonly timeMs: number }
  readonly dnsFamily: 'V4_ONLY' | 'V6_ONLY' | 'ALL'
  readonly dnsRefreshMs: number
}

const served = fields(`name alt_stat_name type eds_cluster_config connect_timeout lb_policy load_assignment max_requests_per_connection circuit_breakers common_http_protocol_options
  typed_extension_protocol_options dns_refresh_rate dns_failure_refresh_rate respect_dns_ttl dns_lookup_family cleanup_interval outlier_detection upstream_bind_config
  ring_hash_lb_config maglev_lb_config original_dst_lb_config least_request_lb_config round_robin_lb_config common_lb_config transport_socket transport_socket_matches metadata
  upstream_connection_options per_connection_buffer_limit_bytes close_connections_on_host_health_failure protocol_selection http_protocol_options http2_protocol_options track_cluster_stats ignore_health_on_host_removal
  wait_for_warm_on_init filters transport_socket_matcher`)
const protocolOptionsUrl = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

export function compileCluster(cluster: Cluster, notes: Notes): RuntimeCluster | undefined {
  notes.onlyServes(cluster, served)
  for (const filter of cluster.filters) if (!/^istio\.(metadata_exchange|stats)/.test(filter.name)) notes.error(`unknown upstream network filter ${filter.name}`)
  const type = cluster.clusterDiscoveryType
  const discovery = type.case === 'clusterType' ? undefined : (['STATIC', 'STRICT_DNS', 'LOGICAL_DNS', 'EDS', 'ORIGINAL_DST'] as const)[type.value ?? 0]
  if (discovery === undefined) {
    notes.error(`cluster type ${type.case === 'clusterType' ? type.value.name : type.value} is unknown`)
    return undefined
  }
  const lbPolicy = ({ 0: 'ROUND_ROBIN', 1: 'LEAST_REQUEST', 2: 'RING_HASH', 3: 'RANDOM', 5: 'MAGLEV', 6: 'CLUSTER_PROVIDED' } as const)[cluster.lbPolicy as number]
  if (lbPolicy === undefined) notes.error(`lb_policy ${cluster.lbPolicy} is unknown`)
  const tls = notes.at('transport_socket', () => compileUpstreamTls(cluster.transportSocket, notes))
  const matches = cluster.transportSocketMatches.flatMap((m): SocketChoice[] =>
    notes.at(`transport_socket_matches[${m.name}]`, () => {
      const compiled = compileUpstreamTls(m.transportSocket, notes)
      return compiled === undefined ? [] : [{ name: m.name, match: Object.fromEntries(Object.entries(m.match ?? {}).map(([k, v]) => [k, String(v)])), tls: compiled }]
    }),
  )
  const matcher = cluster.transportSocketMatcher
  if (matcher !== undefined && discovery !== 'ORIGINAL_DST') notes.error(`transport_socket_matcher of a ${discovery} cluster is not understood`)
  const byAddress = matcher === undefined ? undefined : compileSocketMatcher(matcher, new Set(matches.map((m) => m.name)), notes)
  nestedFields(cluster, notes)
  const options = compileOptions(cluster, notes)
  const service = istioService(cluster.metadata)
  for (const said of notServedHere(cluster.metadata)) notes.passOn(said)
  const bind = cluster.upstreamBindConfig?.sourceAddress?.address
  const keepalive = cluster.upstreamConnectionOptions?.tcpKeepalive
  const original = cluster.lbConfig.case === 'originalDstLbConfig' ? cluster.lbConfig.value : undefined
  if (original?.useHttpHeader === true) notes.notServed('original_dst_lb_config.use_http_header')
  const edsName = cluster.edsClusterConfig?.serviceName ?? ''
  return {
    name: cluster.name,
    metadata: kithMetadata(cluster.metadata),
    ...(service === undefined ? {} : { service }),
    discovery,
    edsName: edsName === '' ? cluster.name : edsName,
    ...(cluster.loadAssignment === undefined ? {} : { inline: notes.at('load_assignment', () => compileEndpoints(cluster.loadAssignment as NonNullable<Cluster['loadAssignment']>, notes)) }),
    connectTimeoutMs: durationMs(cluster.connectTimeout, 5000),
    lbPolicy: lbPolicy ?? 'ROUND_ROBIN',
    choiceCount: cluster.lbConfig.case === 'leastRequestLbConfig' ? (cluster.lbConfig.value.choiceCount ?? 2) : 2,
    ringSize: cluster.lbConfig.case === 'ringHashLbConfig' ? Number(cluster.lbConfig.value.minimumRingSize ?? 1024n) : cluster.lbConfig.case === 'maglevLbConfig' ? Number(cluster.lbConfig.value.tableSize ?? 65537n) : 1024,
    byLocality: cluster.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig',
    panicPercent: cluster.commonLbConfig?.healthyPanicThreshold?.value ?? 50,
    tls: tls ?? null,
    matches,
    ...(byAddress === undefined ? {} : { byAddress }),
    ...options,
    limits: compileLimits(cluster, notes),
    ...compileOutlier(cluster, notes),
    ...(bind === undefined || bind === '' ? {} : { bindAddress: bind }),
    ...(original?.upstreamPortOverride === undefined ? {} : { portOverride: original.upstreamPortOverride }),
    ...(keepalive === undefined ? {} : { keepalive: { timeMs: (keepalive.keepaliveTime ?? 7200) * 1000 } }),
    dnsFamily: cluster.dnsLookupFamily === 1 ? 'V4_ONLY' : cluster.dnsLookupFamily === 2 ? 'V6_ONLY' : 'ALL',
    dnsRefreshMs: durationMs(cluster.dnsRefreshRate, 5000),
  }
}

/** What stands one level deeper and is not served. */
function nestedFields(cluster: Cluster, notes: Notes): void {
  const lb = cluster.lbConfig
  if (lb.case !== undefined) notes.at(lb.case, () => notes.onlyServes(lb.value, fields('choice_count minimum_ring_size maximum_ring_size hash_function table_size upstream_port_override use_http_header')))
  if (cluster.commonLbConfig !== undefined) notes.at('common_lb_config', () => notes.onlyServes(cluster.commonLbConfig as NonNullable<Cluster['commonLbConfig']>, fields('healthy_panic_threshold update_merge_window locality_weighted_lb_config')))
  if (cluster.upstreamConnectionOptions !== undefined) notes.at('upstream_connection_options', () => notes.onlyServes(cluster.upstreamConnectionOptions as NonNullable<Cluster['upstreamConnectionOptions']>, fields('tcp_keepalive')))
}

type HttpSide = Pick<RuntimeCluster, 'http' | 'http2' | 'autoSni' | 'autoSanValidation' | 'idleTimeoutMs' | 'maxRequestsPerConnection' | 'maxConnectionMs'>

function compileOptions(cluster: Cluster, notes: Notes): HttpSide {
  let options: HttpProtocolOptions | undefined
  for (const [name, any] of Object.entries(cluster.typedExtensionProtocolOptions) as [string, Any][]) {
    if (any.typeUrl.endsWith(protocolOptionsUrl)) options = notes.unpack<HttpProtocolOptions>(any, protocolOptionsUrl)
    else notes.notServed(`typed_extension_protocol_options[${name}]`)
  }
  if (options !== undefined) notes.onlyServes(options, fields('common_http_protocol_options upstream_http_protocol_options explicit_http_config use_downstream_protocol_config auto_config http_filters'))
  const common = options?.commonHttpProtocolOptions ?? cluster.commonHttpProtocolOptions
  const choice = options?.upstreamProtocolOptions
  const explicit = choice?.case === 'explicitHttpConfig' ? choice.value.protocolConfig.case : undefined
  if (explicit === 'http3ProtocolOptions') notes.error('HTTP/3 upstream is not understood')
  if (choice?.case === 'autoConfig') notes.notServed('auto_config (requests go as HTTP/1.1)')
  const http2 = choice?.case === 'explicitHttpConfig' && choice.value.protocolConfig.case === 'http2ProtocolOptions' ? choice.value.protocolConfig.value : choice?.case === 'useDownstreamProtocolConfig' ? choice.value.http2ProtocolOptions : cluster.http2ProtocolOptions
  return {
    http: choice?.case === 'useDownstreamProtocolConfig' || cluster.protocolSelection === 1 ? 'downstream' : choice?.case === 'autoConfig' ? 'auto' : explicit === 'http2ProtocolOptions' || cluster.http2ProtocolOptions !== undefined ? 'http2' : 'http1',
    ...compileHttp2(http2, notes),
    autoSni: options?.upstreamHttpProtocolOptions?.autoSni ?? false,
    autoSanValidation: options?.upstreamHttpProtocolOptions?.autoSanValidation ?? false,
    idleTimeoutMs: durationMs(common?.idleTimeout, 3_600_000),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? cluster.maxRequestsPerConnection ?? 0,
    maxConnectionMs: durationMs(common?.maxConnectionDuration, 0),
  }
}

function compileHttp2(options: Http2ProtocolOptions | undefined, notes: Notes): Pick<RuntimeCluster, 'http2'> {
  if (options === undefined) return {}
  notes.at('http2_protocol_options', () => notes.onlyServes(options, fields('max_concurrent_streams connection_keepalive')))
  const { maxConcurrentStreams, connectionKeepalive: ping } = options
  if (maxConcurrentStreams === undefined && ping === undefined) return {}
  return { http2: { ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }), ...(ping === undefined ? {} : { keepalive: { intervalMs: durationMs(ping.interval, 0), timeoutMs: durationMs(ping.timeout, 20_000) } }) } }
}

function compileLimits(cluster: Cluster, notes: Notes): RuntimeCluster['limits'] {
  const thresholds = cluster.circuitBreakers?.thresholds.find((t) => t.priority === 0)
  if (thresholds !== undefined) notes.onlyServes(thresholds, fields('priority max_connections max_pending_requests max_requests max_retries track_remaining max_connection_pools'))
  return { connections: thresholds?.maxConnections ?? 1024, pending: thresholds?.maxPendingRequests ?? 1024, requests: thresholds?.maxRequests ?? 1024, retries: thresholds?.maxRetries ?? 3 }
}

function compileOutlier(cluster: Cluster, notes: Notes): { outlier?: Outlier } {
  const o = cluster.outlierDetection
  if (o === undefined) return {}
  notes.onlyServes(o, fields(`consecutive_5xx interval base_ejection_time max_ejection_time max_ejection_percent enforcing_consecutive_5xx consecutive_gateway_failure enforcing_consecutive_gateway_failure
    split_external_local_origin_errors consecutive_local_origin_failure enforcing_consecutive_local_origin_failure enforcing_success_rate enforcing_local_origin_success_rate success_rate_minimum_hosts`))
  const base = durationMs(o.baseEjectionTime, 30_000)
  return {
    outlier: {
      consecutive5xx: o.enforcingConsecutive5xx === 0 ? 0 : (o.consecutive5xx ?? 5),
      consecutiveGateway: (o.enforcingConsecutiveGatewayFailure ?? 0) === 0 ? 0 : (o.consecutiveGatewayFailure ?? 5),
      consecutiveLocal: o.enforcingConsecutiveLocalOriginFailure === 0 ? 0 : (o.consecutiveLocalOriginFailure ?? 5),
      splitLocal: o.splitExternalLocalOriginErrors,
      intervalMs: durationMs(o.interval, 10_000),
      baseEjectionMs: base,
      maxEjectionMs: Math.max(base, durationMs(o.maxEjectionTime, 300_000)),
      maxEjectionPercent: o.maxEjectionPercent ?? 10,
    },
  }
}

/** Which transport socket an endpoint gets: the one that its address is given, or the first match whose every entry its metadata has; else the cluster's own. */
export function chooseSocket(cluster: RuntimeCluster, endpoint: Pick<RuntimeEndpoint, 'socketMatch' | 'address' | 'port'>): { readonly name: string; readonly tls: UpstreamTls | null } {
  if (cluster.byAddress !== undefined) {
    const name = cluster.byAddress(endpoint)
    return cluster.matches.find((m) => m.name === name) ?? { name: '', tls: cluster.tls }
  }
  for (const choice of cluster.matches) {
    if (Object.entries(choice.match).every(([k, v]) => endpoint.socketMatch[k] === v)) return choice
  }
  return { name: '', tls: cluster.tls }
}
