// virtualInbound: one set of filter chains a port, as Istio lays them out for STRICT, PERMISSIVE and DISABLE.
// istio/istio pilot/pkg/networking/core/filterchain_options.go; the table is in the tests of this room.
import type { InboundPort, ProxyPlan } from '#plan'
import { listenerAccessLogs } from './access-log.ts'
import { connectionManager, tcpProxy } from './http-filters.ts'
import { seconds, some, typed, type Obj } from './json.ts'
import { metadata } from './reasons.ts'
import { downstreamMtls } from './tls.ts'

const istioHttp = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2']
const istioTcp = ['istio-peer-exchange', 'istio']
const istioAll = [...istioTcp, ...istioHttp]
const plainHttp = ['http/1.1', 'h2c']

type Kind = 'http' | 'tcp'

interface Chain {
  readonly kind: Kind
  /** true: TLS is ended here. */
  readonly mtls: boolean
  readonly match: Obj
}

const overTls = (alpn?: readonly string[]): Obj => ({ transportProtocol: 'tls', ...(alpn === undefined ? {} : { applicationProtocols: [...alpn] }) })
const raw = (alpn?: readonly string[]): Obj => ({ transportProtocol: 'raw_buffer', ...(alpn === undefined ? {} : { applicationProtocols: [...alpn] }) })

/** The chains of one port, by mode and by what the port carries. */
export function chainsOf(port: InboundPort): Chain[] {
  const kind = port.protocol === 'auto' || port.port === null ? 'auto' : port.protocol === 'tcp' || port.protocol === 'tls' || port.protocol === 'udp' ? 'tcp' : 'http'
  if (port.mtls.value === 'STRICT') {
    if (kind !== 'auto') return [{ kind, mtls: true, match: overTls() }]
    return [{ kind: 'http', mtls: true, match: overTls(istioHttp) }, { kind: 'tcp', mtls: true, match: overTls() }]
  }
  if (port.mtls.value === 'DISABLE') {
    if (kind !== 'auto') return [{ kind, mtls: false, match: {} }]
    return [{ kind: 'http', mtls: false, match: raw(plainHttp) }, { kind: 'tcp', mtls: false, match: {} }]
  }
  if (kind === 'http') return [{ kind, mtls: true, match: overTls(istioAll) }, { kind, mtls: false, match: raw() }]
  if (kind === 'tcp') return [{ kind, mtls: true, match: overTls(istioAll) }, { kind, mtls: false, match: overTls() }, { kind, mtls: false, match: raw() }]
  return [
    { kind: 'http', mtls: true, match: overTls(istioHttp) }, { kind: 'http', mtls: false, match: raw(plainHttp) }, { kind: 'tcp', mtls: true, match: overTls(istioTcp) },
    { kind: 'tcp', mtls: false, match: raw() }, { kind: 'tcp', mtls: false, match: overTls() },
  ]
}

export function virtualInbound(plan: ProxyPlan): Obj {
  const chains = plan.inbound.flatMap((port) => chainsOf(port).map((chain) => filterChain(plan, port, chain)))
  const logs = listenerAccessLogs(plan.mesh)
  return some({
    name: 'virtualInbound', trafficDirection: 'INBOUND', address: { socketAddress: { address: '0.0.0.0', portValue: 15006 } },
    filterChains: [blackhole(plan), ...chains],
    listenerFilters: listenerFilters(plan),
    listenerFiltersTimeout: seconds(plan.mesh.protocolDetectionTimeoutMs), continueOnListenerFiltersTimeout: true,
    accessLog: logs.length === 0 ? undefined : logs,
  })
}

/** A connection to 15006 itself would come back for ever. */
function blackhole(plan: ProxyPlan): Obj {
  return { name: 'virtualInbound-blackhole', filterChainMatch: { destinationPort: 15006 }, filters: [tcpProxy(plan.mesh, 'BlackHoleCluster', { cluster: 'BlackHoleCluster' })] }
}

function filterChain(plan: ProxyPlan, port: InboundPort, chain: Chain): Obj {
  const match = { ...(port.port === null ? {} : { destinationPort: port.port }), ...chain.match }
  const name = `${port.port === null ? 'virtualInbound-passthrough' : `inbound_${port.port}`}-${chain.mtls ? 'mtls' : chain.match['transportProtocol'] === 'tls' ? 'foreign-tls' : 'plaintext'}-${chain.kind}`
  return some({
    name, filterChainMatch: Object.keys(match).length === 0 ? undefined : match,
    transportSocket: chain.mtls ? downstreamMtls(plan.mesh, chain.kind === 'http' ? ['h2', 'http/1.1'] : ['h2', 'http/1.1']) : undefined,
    filters: [chain.kind === 'http' ? inboundHttp(plan, port) : tcpProxy(plan.mesh, port.cluster, { cluster: port.cluster })],
    metadata: metadata(port.mtls),
  })
}

function inboundHttp(plan: ProxyPlan, port: InboundPort): Obj {
  const name = port.cluster === 'InboundPassthroughCluster' ? port.cluster : `inbound_0.0.0.0_${port.port}`
  const host = port.service === undefined ? 'inbound|http|0' : `inbound|http|${port.service.port}`
  const routeConfig = { name: port.cluster, virtualHosts: [{ name: host, domains: ['*'], routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: port.cluster, timeout: '0s', maxStreamDuration: { maxStreamDuration: '0s', grpcTimeoutHeaderMax: '0s' } }, decorator: { operation: `${port.service?.host ?? 'passthrough'}/*` } }] }], validateClusters: false }
  return connectionManager(plan.mesh, 'inbound', name, { routeConfig })
}

/** Inspectors look only where some chain asks for what they find out: elsewhere a server that speaks first would hang. */
function listenerFilters(plan: ProxyPlan): Obj[] {
  const filter = (name: string, type: string, ports: readonly InboundPort[], asks: (c: Chain) => boolean): Obj[] => {
    const wanting = ports.filter((p) => chainsOf(p).some(asks))
    if (wanting.length === 0) return []
    const off = ports.filter((p) => p.port !== null && !wanting.includes(p))
    const named = wanting.filter((p) => p.port !== null)
    const openEnd = wanting.some((p) => p.port === null)
    const disabled = openEnd ? (off.length === 0 ? undefined : anyPort(off)) : { notMatch: anyPort(named) }
    return [some({ name, typedConfig: typed(type), filterDisabled: disabled })]
  }
  return [
    { name: 'envoy.filters.listener.original_dst', typedConfig: typed('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') },
    ...filter('envoy.filters.listener.tls_inspector', 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector', plan.inbound, (c) => c.match['transportProtocol'] === 'tls'),
    ...filter('envoy.filters.listener.http_inspector', 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector', plan.inbound, (c) => c.match['transportProtocol'] === 'raw_buffer' && c.match['applicationProtocols'] !== undefined),
  ]
}

function anyPort(ports: readonly InboundPort[]): Obj {
  const rules: Obj[] = ports.map((p) => ({ destinationPortRange: { start: p.port as number, end: (p.port as number) + 1 } }))
  return rules.length === 1 ? (rules[0] as Obj) : { orMatch: { rules } }
}
