// virtualOutbound and the listeners it hands connections to by their original destination.
import type { OutboundListener, ProxyPlan, TcpRoute } from '#plan'
import { connectionManager, tcpProxy } from './http-filters.ts'
import { seconds, some, typed, type Obj } from './json.ts'
import { metadata } from './reasons.ts'

const tlsInspector: Obj = { name: 'envoy.filters.listener.tls_inspector', typedConfig: typed('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector') }
const httpInspector: Obj = { name: 'envoy.filters.listener.http_inspector', typedConfig: typed('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector') }

/** What no listener knows is passed on, or refused; what was sent to 15001 itself is refused. */
export function virtualOutbound(plan: ProxyPlan): Obj {
  const last = lastResort(plan)
  return {
    name: 'virtualOutbound', trafficDirection: 'OUTBOUND', address: { socketAddress: { address: '0.0.0.0', portValue: 15001 } }, useOriginalDst: true,
    listenerFilters: [{ name: 'envoy.filters.listener.original_dst', typedConfig: typed('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') }],
    filterChains: [
      { name: 'virtualOutbound-blackhole', filterChainMatch: { destinationPort: 15001 }, filters: [tcpProxy(plan.mesh, 'BlackHoleCluster', { cluster: 'BlackHoleCluster' })] },
      { name: `virtualOutbound-catchall-tcp`, filters: [tcpProxy(plan.mesh, last, { cluster: last })], metadata: metadata(plan.egress) },
    ],
  }
}

function lastResort(plan: ProxyPlan): string {
  return plan.egress.value === 'ALLOW_ANY' ? 'PassthroughCluster' : 'BlackHoleCluster'
}

export function outboundListener(plan: ProxyPlan, listener: OutboundListener): Obj {
  const base = { name: listener.name, trafficDirection: 'OUTBOUND', address: { socketAddress: { address: listener.address, portValue: listener.port } }, bindToPort: false }
  if (listener.protocol === 'http') return { ...base, filterChains: [{ filters: [httpManager(plan, listener)] }] }
  const chains = listener.tcpRoutes.map((r) => tcpChain(plan, listener, r))
  const catchAll = listener.tcpRoutes.some((r) => r.match.sniHosts === undefined && r.match.destinationSubnets === undefined)
  const last = lastResort(plan)
  const fallback = catchAll ? undefined : { name: `${last}-fallback`, filters: [tcpProxy(plan.mesh, last, { cluster: last })], metadata: metadata(plan.egress) }
  const sni = listener.tcpRoutes.some((r) => r.match.sniHosts !== undefined)
  if (listener.protocol === 'auto') {
    const http = { filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.1', 'h2c'] }, filters: [httpManager(plan, listener)] }
    return some({ ...base, listenerFilters: [tlsInspector, httpInspector], listenerFiltersTimeout: seconds(plan.mesh.protocolDetectionTimeoutMs), continueOnListenerFiltersTimeout: true, filterChains: [http, ...chains], defaultFilterChain: fallback })
  }
  return some({ ...base, ...(sni ? { listenerFilters: [tlsInspector], listenerFiltersTimeout: seconds(plan.mesh.protocolDetectionTimeoutMs), continueOnListenerFiltersTimeout: true } : {}), filterChains: chains, defaultFilterChain: fallback })
}

function httpManager(plan: ProxyPlan, listener: OutboundListener): Obj {
  return connectionManager(plan.mesh, 'outbound', `outbound_${listener.name}`, { rds: { routeConfigName: listener.routeTable as string, configSource: { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' } } })
}

function tcpChain(plan: ProxyPlan, listener: OutboundListener, route: TcpRoute): Obj {
  const { sniHosts, destinationSubnets } = route.match
  const match = some({
    serverNames: sniHosts === undefined ? undefined : sniHosts.map((h) => (h.startsWith('*.') ? h : h === '*' ? undefined : h)).filter((h): h is string => h !== undefined),
    prefixRanges: destinationSubnets === undefined ? undefined : destinationSubnets.map(cidr),
  })
  const [only] = route.targets
  const prefix = only?.upstream ?? 'BlackHoleCluster'
  const target = route.targets.length === 1 ? { cluster: prefix } : route.targets.length === 0 ? { cluster: 'BlackHoleCluster' } : { weightedClusters: { clusters: route.targets.map((t) => ({ name: t.upstream, weight: t.weight })) } }
  return some({ filterChainMatch: Object.keys(match).length === 0 ? undefined : match, filters: [tcpProxy(plan.mesh, prefix, target)], metadata: metadata(route.because) })
}

function cidr(subnet: string): Obj {
  const [addressPrefix = '', bits] = subnet.split('/')
  return { addressPrefix, prefixLen: bits === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(bits) }
}
