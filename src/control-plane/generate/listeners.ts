// virtualInbound, virtualOutbound, and the listeners that virtualOutbound hands connections to by their original destination.
import type { InboundPort, OutboundListener, ProxyPlan } from '#plan'
import { listenerAccessLogs } from './access-log.ts'
import { blackhole, chainsOf, inboundChains, outboundTcpChains, passthrough, type Chain } from './filter-chains.ts'
import { wildcards } from './families.ts'
import { connectionManager } from './http-filters.ts'
import { destinationState } from './pod-tls.ts'
import { seconds, some, typed, type Obj } from './json.ts'

const inspectors = 'envoy.extensions.filters.listener'
const originalDst: Obj = { name: 'envoy.filters.listener.original_dst', typedConfig: typed(`${inspectors}.original_dst.v3.OriginalDst`) }
const tlsInspector: Obj = { name: 'envoy.filters.listener.tls_inspector', typedConfig: typed(`${inspectors}.tls_inspector.v3.TlsInspector`) }
const httpInspector: Obj = { name: 'envoy.filters.listener.http_inspector', typedConfig: typed(`${inspectors}.http_inspector.v3.HttpInspector`) }

function socketAddress(address: string, portValue: number): Obj {
  return { socketAddress: { address, portValue } }
}

/** Every address of the families that the pod has. */
function everywhere(plan: ProxyPlan, port: number): Obj {
  const [first, second] = wildcards(plan)
  return some({ address: socketAddress(first, port), additionalAddresses: second === undefined ? undefined : [{ address: socketAddress(second, port) }] })
}

/** Istio's meshConfig.protocolDetectionTimeout: 0 waits for ever; when it has passed, the connection goes on with what is known. */
function inspecting(plan: ProxyPlan): Obj {
  return { listenerFiltersTimeout: seconds(plan.mesh.protocolDetectionTimeoutMs), continueOnListenerFiltersTimeout: true }
}

/** Where intercepted inbound connections arrive: a set of chains for each port, one for all others. */
export function virtualInbound(plan: ProxyPlan): Obj {
  return some({
    name: 'virtualInbound', trafficDirection: 'INBOUND', ...everywhere(plan, 15006),
    filterChains: [blackhole(plan, 'virtualInbound', 15006), ...inboundChains(plan)],
    listenerFilters: inboundListenerFilters(plan.inbound), ...inspecting(plan), accessLog: listenerAccessLogs(plan.mesh),
  })
}

/** What no listener knows is passed on or refused, as `egress` says; what was sent to 15001 itself is refused. */
export function virtualOutbound(plan: ProxyPlan): Obj {
  return some({
    name: 'virtualOutbound', trafficDirection: 'OUTBOUND', ...everywhere(plan, 15001), useOriginalDst: true, listenerFilters: [originalDst],
    filterChains: [blackhole(plan, 'virtualOutbound', 15001), passthrough(plan, 'virtualOutbound-catchall-tcp')],
  })
}

/**
 * HTTP ports: one connection manager, for what is HTTP. The others: a chain for each route; ports that declare nothing: both. They are told apart by the first bytes, and what is neither is passed on or refused.
 * What matches everything is the default chain: Envoy goes criterion by criterion and never back, and takes the default where that leads nowhere.
 */
export function outboundListener(plan: ProxyPlan, listener: OutboundListener): Obj {
  const head = { name: listener.name, trafficDirection: 'OUTBOUND', ...(listener.address === '0.0.0.0' ? everywhere(plan, listener.port) : { address: socketAddress(listener.address, listener.port) }), bindToPort: false }
  const chains = outboundTcpChains(plan, listener.tcpRoutes)
  const specific = chains.filter((c) => c['filterChainMatch'] !== undefined)
  const defaultFilterChain = chains.find((c) => c['filterChainMatch'] === undefined) ?? passthrough(plan, 'egress-fallback')
  if (listener.protocol !== 'tcp') {
    const http: Obj = { name: 'detected-http', filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.1', 'h2c'] }, filters: routed(plan, listener) }
    return { ...head, listenerFilters: [tlsInspector, httpInspector], ...inspecting(plan), filterChains: [http, ...specific], defaultFilterChain }
  }
  const bySni = specific.some((c) => (c['filterChainMatch'] as Obj)['serverNames'] !== undefined)
  return { ...head, ...(bySni ? { listenerFilters: [tlsInspector], ...inspecting(plan) } : {}), ...(specific.length === 0 ? {} : { filterChains: specific }), defaultFilterChain }
}

function routed(plan: ProxyPlan, listener: OutboundListener): Obj[] {
  const rds = { routeConfigName: listener.routeTable ?? String(listener.port), configSource: { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' } }
  return [...destinationState(plan.mesh), connectionManager(plan.mesh, 'outbound', `outbound_${listener.name}`, { rds })]
}

/** Inspectors look only where some chain asks for what they find out: elsewhere a server that speaks first would hang. */
function inboundListenerFilters(ports: readonly InboundPort[]): Obj[] {
  const where = (filter: Obj, asks: (chain: Chain) => boolean): Obj[] => {
    const asking = ports.filter((p) => chainsOf(p).some(asks))
    if (asking.length === 0) return []
    const disabled = filterDisabled(asking, ports)
    return [disabled === undefined ? filter : { ...filter, filterDisabled: disabled }]
  }
  return [originalDst, ...where(tlsInspector, (c) => c.match['transportProtocol'] === 'tls'), ...where(httpInspector, (c) => c.match['transportProtocol'] === 'raw_buffer' && c.match['applicationProtocols'] !== undefined)]
}

/** Off on the named ports that don't ask; or, where the unnamed ones don't, on all but those that do. */
function filterDisabled(asking: readonly InboundPort[], all: readonly InboundPort[]): Obj | undefined {
  if (!asking.some((p) => p.port === null)) return { notMatch: anyOf(asking) }
  const silent = all.filter((p) => p.port !== null && !asking.includes(p))
  return silent.length === 0 ? undefined : anyOf(silent)
}

function anyOf(ports: readonly InboundPort[]): Obj {
  const rules = ports.flatMap((p): Obj[] => (p.port === null ? [] : [{ destinationPortRange: { start: p.port, end: p.port + 1 } }]))
  const [only] = rules
  return rules.length === 1 && only !== undefined ? only : { orMatch: { rules } }
}
