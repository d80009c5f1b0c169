// Upstreams → clusters; and the clusters that every proxy has: its own ports, what passes through, what ends here.
import type { InboundPort, ProxyPlan, Upstream } from '#plan'
import { circuitBreakers, httpOptions, outlierDetection, tcpKeepalive, type HttpProtocol } from './connection-pool.ts'
import { localityEndpoints } from './endpoints.ts'
import { dnsFamily, fromSidecar } from './families.ts'
import { seconds, some, type Obj } from './json.ts'
import { metadata, notServed } from './reasons.ts'
import { byAddress } from './pod-tls.ts'
import { rawBuffer, upstreamMtls, upstreamUserTls } from './tls.ts'

const speaksHttp2 = (u: Pick<Upstream, 'protocol' | 'connectionPool'>): boolean => u.protocol === 'http2' || u.protocol === 'grpc' || u.connectionPool.h2Upgrade === true
const isTcp = (u: Pick<Upstream, 'protocol'>): boolean => u.protocol === 'tcp' || u.protocol === 'tls' || u.protocol === 'udp'

/** Ports that declare nothing, and useClientProtocol: as the client came. */
export function httpProtocolOf(u: Pick<Upstream, 'protocol' | 'connectionPool'>): HttpProtocol {
  if (u.connectionPool.useClientProtocol === true) return 'downstream'
  if (speaksHttp2(u)) return 'http2'
  return u.protocol === 'auto' ? 'downstream' : 'http1'
}

/** Mesh certificates go to it: to all of its endpoints, or to those that are marked. */
export function usesMeshTls(u: Upstream): boolean {
  return u.tls.value.mode === 'AUTO' || u.tls.value.mode === 'ISTIO_MUTUAL'
}

const byName = new WeakMap<ProxyPlan, ReadonlyMap<string, Upstream>>()

/** The plan's upstreams by name. */
export function upstreamsOf(plan: ProxyPlan): ReadonlyMap<string, Upstream> {
  let found = byName.get(plan)
  if (found === undefined) byName.set(plan, (found = new Map(plan.upstreams.map((u) => [u.name, u]))))
  return found
}

export function upstreamCluster(plan: ProxyPlan, u: Upstream): Obj {
  const pool = u.connectionPool
  return some({
    name: u.name, ...discovery(plan, u), connectTimeout: seconds(pool.connectTimeoutMs ?? plan.mesh.connectTimeoutMs), ...balancing(u), ...transport(u),
    circuitBreakers: circuitBreakers(pool), outlierDetection: u.outlier === undefined ? undefined : outlierDetection(u.outlier), upstreamConnectionOptions: tcpKeepalive(pool),
    // Endpoints that are not ready are told, and never used for want of others.
    commonLbConfig: { healthyPanicThreshold: { value: u.outlier?.minHealthPercent ?? 0 }, ...(u.balancing.byLocality === true ? { localityWeightedLbConfig: {} } : {}) },
    typedExtensionProtocolOptions: isTcp(u) ? undefined : httpOptions(httpProtocolOf(u), pool, upstreamNames(u)),
    metadata: metadata(u.tls, { istio: some({ services: [service(u, plan)], subset: u.subset ?? undefined, default_original_port: u.port }) }),
  })
}

function discovery(plan: ProxyPlan, u: Upstream): Obj {
  const loadAssignment = { clusterName: u.name, endpoints: localityEndpoints(u.dnsEndpoints ?? [], u.dnsLocalityWeights) }
  switch (u.discovery) {
    case 'EDS':
      return { type: 'EDS', edsClusterConfig: { edsConfig: { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' }, serviceName: u.name } }
    case 'STRICT_DNS':
    case 'LOGICAL_DNS':
      return { type: u.discovery, dnsLookupFamily: dnsFamily(plan), loadAssignment }
    case 'STATIC':
      return { type: 'STATIC', loadAssignment }
    case 'ORIGINAL_DST':
      return { type: 'ORIGINAL_DST' }
  }
}

function service(u: Upstream, plan: ProxyPlan): Obj {
  const suffix = `.svc.${plan.mesh.domain}`
  const namespace = u.host.endsWith(suffix) ? (u.host.slice(0, -suffix.length).split('.')[1] ?? '') : ''
  return { host: u.host, name: u.host.split('.')[0] ?? u.host, namespace }
}

function balancing(u: Upstream): Obj {
  const { warmup, ringSize } = u.balancing
  const slowStart = warmup === undefined ? undefined : { slowStartConfig: some({
    slowStartWindow: seconds(warmup.ms), minWeightPercent: warmup.minimumPercent === undefined ? undefined : { value: warmup.minimumPercent },
    aggression: warmup.aggression === undefined ? undefined : { defaultValue: warmup.aggression, runtimeKey: 'kith.warmup.aggression' },
  }) }
  switch (u.discovery === 'ORIGINAL_DST' ? 'PASSTHROUGH' : u.balancing.policy) {
    case 'PASSTHROUGH':
      return { lbPolicy: 'CLUSTER_PROVIDED' }
    case 'ROUND_ROBIN':
      return some({ lbPolicy: 'ROUND_ROBIN', roundRobinLbConfig: slowStart })
    case 'LEAST_REQUEST':
      return some({ lbPolicy: 'LEAST_REQUEST', leastRequestLbConfig: slowStart })
    case 'RANDOM':
      return { lbPolicy: 'RANDOM' }
    case 'RING_HASH':
      return { lbPolicy: 'RING_HASH', ringHashLbConfig: { minimumRingSize: String(ringSize ?? 1024) } }
    case 'MAGLEV':
      return some({ lbPolicy: 'MAGLEV', maglevLbConfig: ringSize === undefined ? undefined : { tableSize: String(ringSize) } })
  }
}

/** AUTO: each endpoint's mark decides between mesh mTLS and plaintext. */
function transport(u: Upstream): Obj {
  const tls = u.tls.value
  const meshAlpn = speaksHttp2(u) ? ['istio', 'h2'] : ['istio']
  switch (tls.mode) {
    case 'DISABLE':
      return {}
    case 'ISTIO_MUTUAL':
      return { transportSocket: upstreamMtls(tls, meshAlpn) }
    case 'AUTO':
      if (u.pods !== undefined) return byAddress(u.pods, tls.sni, meshAlpn)
      return {
        transportSocketMatches: [
          { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: upstreamMtls(tls, meshAlpn) },
          { name: 'tlsMode-disabled', match: {}, transportSocket: rawBuffer },
        ],
      }
    case 'SIMPLE':
    case 'MUTUAL':
      return { transportSocket: upstreamUserTls(tls, { http2: speaksHttp2(u), host: isTcp(u) && !u.host.startsWith('*') ? u.host : undefined }) }
  }
}

/** SNI, and the name that the certificate must show, from the request's Host, where the rule gives neither. */
function upstreamNames(u: Upstream): Obj | undefined {
  const tls = u.tls.value
  if ((tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') || tls.sni !== undefined) return undefined
  return some({ autoSni: true, autoSanValidation: tls.sans === undefined && tls.insecureSkipVerify !== true ? true : undefined })
}

/** The workload's own ports. */
export function inboundClusters(plan: ProxyPlan): Obj[] {
  return plan.inbound.filter((p) => p.cluster !== 'InboundPassthroughCluster').map((p) => inboundCluster(plan, p))
}

export function fixedClusters(plan: ProxyPlan): Obj[] {
  return [
    originalDst(plan, 'InboundPassthroughCluster', { upstreamBindConfig: fromSidecar(plan) }),
    originalDst(plan, 'PassthroughCluster', byAddress(plan.passthrough, '', ['istio'], plan.mesh.sidecarPorts)),
    some({ name: 'BlackHoleCluster', type: 'STATIC', connectTimeout: seconds(plan.mesh.connectTimeoutMs), metadata: notServed(plan) }),
  ]
}

/** The application on the pod's own address. Of a DestinationRule only the pool counts here. */
function inboundCluster(plan: ProxyPlan, port: InboundPort): Obj {
  const pool = port.connectionPool ?? {}
  const { service, endpoint } = port
  const at = endpoint === undefined ? undefined : { endpoints: [{ lbEndpoints: [{ endpoint: { address: { socketAddress: { address: endpoint.address, portValue: endpoint.port } } } }] }], clusterName: port.cluster }
  return originalDst(plan, port.cluster, some({
    type: at === undefined ? undefined : 'STATIC', lbPolicy: at === undefined ? undefined : 'ROUND_ROBIN', loadAssignment: at,
    connectTimeout: pool.connectTimeoutMs === undefined ? undefined : seconds(pool.connectTimeoutMs), upstreamBindConfig: fromSidecar(plan), circuitBreakers: circuitBreakers(pool), upstreamConnectionOptions: tcpKeepalive(pool),
    typedExtensionProtocolOptions: httpOptions(isTcp(port) ? 'downstream' : httpProtocolOf({ protocol: port.protocol, connectionPool: { ...pool, h2Upgrade: false } }), pool),
    metadata: { filterMetadata: { istio: { services: service === undefined ? [] : [{ host: service.host, name: service.name, namespace: service.namespace }] } } },
  }))
}

function originalDst(plan: ProxyPlan, name: string, more: Obj): Obj {
  return {
    name, type: 'ORIGINAL_DST', lbPolicy: 'CLUSTER_PROVIDED', connectTimeout: seconds(plan.mesh.connectTimeoutMs), circuitBreakers: circuitBreakers({}), typedExtensionProtocolOptions: httpOptions('downstream', {}), ...more,
  }
}
