// Upstreams → clusters; and the clusters that every proxy has.
import type { ConnectionPool, Endpoint, InboundPort, ProxyPlan, Upstream } from '#plan'
import { localityEndpoints } from './endpoints.ts'
import { seconds, some, typed, type Obj } from './json.ts'
import { kithMetadata } from './reasons.ts'
import { rawBuffer, upstreamMtls, upstreamUserTls } from './tls.ts'

const unlimited = 4_294_967_295

export function upstreamCluster(plan: ProxyPlan, u: Upstream): Obj {
  const type = u.discovery
  const dns: readonly Endpoint[] = u.dnsEndpoints ?? []
  return some({
    name: u.name, type, connectTimeout: seconds(u.connectionPool.connectTimeoutMs ?? plan.mesh.connectTimeoutMs), ...balancing(u), ...tls(u),
    edsClusterConfig: type === 'EDS' ? { edsConfig: { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' }, serviceName: u.name } : undefined,
    loadAssignment: type === 'STRICT_DNS' ? { clusterName: u.name, endpoints: localityEndpoints(dns) } : undefined,
    dnsLookupFamily: type === 'STRICT_DNS' ? 'V4_ONLY' : undefined, respectDnsTtl: type === 'STRICT_DNS' ? true : undefined, dnsRefreshRate: type === 'STRICT_DNS' ? '60s' : undefined,
    circuitBreakers: circuitBreakers(u.connectionPool), outlierDetection: outlier(u), typedExtensionProtocolOptions: protocolOptions(u),
    upstreamConnectionOptions: keepalive(u.connectionPool), maxRequestsPerConnection: undefined,
    commonLbConfig: u.outlier?.minHealthPercent === undefined ? {} : { healthyPanicThreshold: { value: u.outlier.minHealthPercent } },
    metadata: { filterMetadata: { kith: kithMetadata(u.tls), istio: some({ services: [{ host: u.host, name: u.host.split('.')[0] ?? u.host, namespace: namespaceOf(u.host, plan) }], subset: u.subset ?? undefined, default_original_port: u.port }) } },
  })
}

function namespaceOf(host: string, plan: ProxyPlan): string {
  const suffix = `.svc.${plan.mesh.domain}`
  return host.endsWith(suffix) ? (host.slice(0, -suffix.length).split('.')[1] ?? '') : ''
}

function balancing(u: Upstream): Obj {
  const slowStart = u.balancing.warmupMs === undefined ? undefined : { slowStartWindow: seconds(u.balancing.warmupMs) }
  switch (u.discovery === 'ORIGINAL_DST' ? 'PASSTHROUGH' : u.balancing.policy) {
    case 'PASSTHROUGH':
      return { lbPolicy: 'CLUSTER_PROVIDED' }
    case 'ROUND_ROBIN':
      return some({ lbPolicy: 'ROUND_ROBIN', roundRobinLbConfig: slowStart === undefined ? undefined : { slowStartConfig: slowStart } })
    case 'RING_HASH':
      return { lbPolicy: 'RING_HASH', ringHashLbConfig: { minimumRingSize: String(u.balancing.ringSize ?? 1024) } }
    case 'MAGLEV':
      return some({ lbPolicy: 'MAGLEV', maglevLbConfig: u.balancing.ringSize === undefined ? undefined : { tableSize: String(u.balancing.ringSize) } })
    case 'RANDOM':
      return { lbPolicy: 'RANDOM' }
    case 'LEAST_REQUEST':
      return some({ lbPolicy: 'LEAST_REQUEST', leastRequestLbConfig: slowStart === undefined ? undefined : { slowStartConfig: slowStart } })
  }
}

const speaksHttp2 = (u: Upstream): boolean => u.protocol === 'http2' || u.protocol === 'grpc' || u.connectionPool.h2Upgrade === true

/** AUTO: each endpoint's mark decides between mesh mTLS and plaintext. */
function tls(u: Upstream): Obj {
  const { value } = u.tls
  const meshAlpn = speaksHttp2(u) ? ['istio', 'h2'] : ['istio']
  if (value.mode === 'AUTO') {
    return { transportSocketMatches: [{ name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: upstreamMtls(value, meshAlpn) }, { name: 'tlsMode-disabled', match: {}, transportSocket: rawBuffer }] }
  }
  if (value.mode === 'ISTIO_MUTUAL') return { transportSocket: upstreamMtls(value, meshAlpn) }
  return value.mode === 'SIMPLE' || value.mode === 'MUTUAL' ? { transportSocket: upstreamUserTls(value, speaksHttp2(u)) } : {}
}

function circuitBreakers(pool: ConnectionPool): Obj {
  return { thresholds: [{ maxConnections: pool.maxConnections ?? unlimited, maxPendingRequests: pool.maxPendingRequests ?? unlimited, maxRequests: pool.maxRequests ?? unlimited, maxRetries: pool.maxRetries ?? unlimited, trackRemaining: true }] }
}

function outlier(u: Upstream): Obj | undefined {
  const o = u.outlier
  if (o === undefined) return undefined
  return some({
    consecutive5xx: o.consecutive5xx, consecutiveGatewayFailure: o.consecutiveGatewayErrors, enforcingConsecutiveGatewayFailure: o.consecutiveGatewayErrors === undefined ? undefined : o.consecutiveGatewayErrors > 0 ? 100 : 0,
    enforcingConsecutive5xx: o.consecutive5xx === 0 ? 0 : undefined, interval: o.intervalMs === undefined ? undefined : seconds(o.intervalMs), baseEjectionTime: o.baseEjectionMs === undefined ? undefined : seconds(o.baseEjectionMs),
    maxEjectionPercent: o.maxEjectionPercent, enforcingSuccessRate: 0, splitExternalLocalOriginErrors: o.splitExternalLocalOriginErrors, consecutiveLocalOriginFailure: o.consecutiveLocalOriginFailures,
  })
}

function protocolOptions(u: Upstream): Obj | undefined {
  if (u.protocol === 'tcp' || u.protocol === 'tls') return undefined
  const pool = u.connectionPool
  const common = some({ idleTimeout: pool.idleTimeoutMs === undefined ? undefined : seconds(pool.idleTimeoutMs), maxConnectionDuration: pool.maxConnectionDurationMs === undefined ? undefined : seconds(pool.maxConnectionDurationMs), maxRequestsPerConnection: pool.maxRequestsPerConnection })
  const http2 = some({ maxConcurrentStreams: pool.maxConcurrentStreams })
  const how = pool.useClientProtocol === true ? { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: http2 } }
    : speaksHttp2(u) ? { explicitHttpConfig: { http2ProtocolOptions: http2 } }
    : u.protocol === 'auto' ? { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: http2 } } : { explicitHttpConfig: { httpProtocolOptions: {} } }
  return { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', some({ ...how, commonHttpProtocolOptions: Object.keys(common).length === 0 ? undefined : common })) }
}

function keepalive(pool: ConnectionPool): Obj | undefined {
  const k = pool.tcpKeepalive
  return k === undefined ? undefined : { tcpKeepalive: some({ keepaliveProbes: k.probes, keepaliveTime: k.timeMs === undefined ? undefined : Math.round(k.timeMs / 1000), keepaliveInterval: k.intervalMs === undefined ? undefined : Math.round(k.intervalMs / 1000) }) }
}

/** Istio's own source address: what comes from it is the sidecar talking to its application. */
const fromSidecar: Obj = { sourceAddress: { address: '127.0.0.6', portValue: 0 } }

/** Clusters of every proxy: inbound ports, what passes through, what ends here. */
export function fixedClusters(plan: ProxyPlan): Obj[] {
  const original = (name: string, more: Obj = {}): Obj => ({
    name, type: 'ORIGINAL_DST', lbPolicy: 'CLUSTER_PROVIDED', connectTimeout: seconds(plan.mesh.connectTimeoutMs), circuitBreakers: circuitBreakers({}),
    typedExtensionProtocolOptions: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: {} } }) }, ...more,
  })
  const inbound = (p: InboundPort): Obj => original(p.cluster, {
    upstreamBindConfig: fromSidecar, circuitBreakers: circuitBreakers(p.connectionPool ?? {}),
    metadata: { filterMetadata: { istio: { services: p.service === undefined ? [] : [{ host: p.service.host, name: p.service.name, namespace: p.service.namespace }] } } },
  })
  const own = plan.inbound.filter((p) => p.cluster !== 'InboundPassthroughCluster').map(inbound)
  return [...own, original('InboundPassthroughCluster', { upstreamBindConfig: fromSidecar }), original('PassthroughCluster'), { name: 'BlackHoleCluster', type: 'STATIC', connectTimeout: seconds(plan.mesh.connectTimeoutMs) }]
}
