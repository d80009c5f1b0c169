// What the client's sidecar does with a call: listener, route, upstream, endpoints: read from its plan, decided nowhere else.
import { BlockList, isIPv6 } from 'node:net'
import type { Decided } from '#lib/decided.ts'
import type { Endpoint, OutboundListener, PlanContext, ProxyPlan, TcpRoute, Upstream, WeightedTarget } from '#plan'
import { matchRoute, matchVirtualHost, type RequestFacts } from './route.ts'
import type { Resolved, Target } from './target.ts'

/** Where the proxy sends a call: weighted clusters, or an end in itself. */
export interface Routed {
  readonly route: Decided<{ readonly rule: string }>
  readonly targets: readonly WeightedTarget[]
  /** Answered by the proxy itself. */
  readonly local?: { readonly status: number; readonly what: 'direct' | 'redirect' | 'no-route' }
}

export interface Reached {
  readonly upstream: Upstream
  readonly endpoints: readonly Endpoint[]
}

export function findListener(plan: ProxyPlan, resolved: Resolved, port: number): OutboundListener | undefined {
  for (const address of resolved.addresses) {
    const own = plan.outbound.find((l) => l.port === port && l.address === address)
    if (own !== undefined) return own
  }
  return plan.outbound.find((l) => l.port === port && l.address === '0.0.0.0')
}

/** undefined: the destination is unknown to the mesh, the listener's last resort holds. */
export function routeCall(plan: ProxyPlan, listener: OutboundListener | undefined, target: Target, resolved: Resolved, request: RequestFacts): Routed | undefined {
  if (listener === undefined) return undefined
  const http = target.scheme === 'http' || target.scheme === 'grpc'
  if (listener.routeTable !== undefined && (listener.protocol === 'http' || http)) {
    const table = plan.routeTables.find((t) => t.name === listener.routeTable)
    const host = table === undefined ? undefined : matchVirtualHost(table, request.authority)
    const route = host === undefined ? undefined : matchRoute(host, request)
    if (host === undefined || route === undefined) {
      const source = host?.routes[0]?.because.because[0]?.source ?? 'default'
      return { route: { value: { rule: 'no rule matches: 404' }, because: [{ rule: 'route.no-match', source, effect: 'chosen' }] }, targets: [], local: { status: 404, what: 'no-route' } }
    }
    const decided = { value: { rule: route.because.value }, because: route.because.because }
    if (route.action.kind === 'redirect') return { route: decided, targets: [], local: { status: route.action.code, what: 'redirect' } }
    if (route.action.kind === 'direct') return { route: decided, targets: [], local: { status: route.action.status, what: 'direct' } }
    return { route: decided, targets: route.action.targets }
  }
  const found = listener.tcpRoutes.find((r) => tcpMatches(r, target, resolved))
  return found === undefined ? undefined : { route: { value: { rule: found.because.value }, because: found.because.because }, targets: found.targets }
}

function tcpMatches(route: TcpRoute, target: Target, resolved: Resolved): boolean {
  const { sniHosts, destinationSubnets } = route.match
  if (sniHosts !== undefined && !(target.scheme === 'https' && sniHosts.some((h) => h === target.host || (h.startsWith('*') && target.host.endsWith(h.slice(1)))))) return false
  if (destinationSubnets !== undefined && !resolved.addresses.some((a) => destinationSubnets.some((s) => inSubnet(a, s)))) return false
  return true
}

function inSubnet(address: string, subnet: string): boolean {
  const [network = '', bits] = subnet.split('/')
  const family = isIPv6(network) ? 'ipv6' : 'ipv4'
  if (isIPv6(address) !== (family === 'ipv6')) return false
  const list = new BlockList()
  list.addSubnet(network, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family)
  return list.check(address, family)
}

export function reach(context: PlanContext, plan: ProxyPlan, name: string, endpointsOf: (plan: ProxyPlan, upstream: Upstream) => readonly Endpoint[]): Reached | undefined {
  const upstream = plan.upstreams.find((u) => u.name === name)
  return upstream === undefined ? undefined : { upstream, endpoints: upstream.dnsEndpoints ?? endpointsOf(plan, upstream) }
}
