// Filter chains. Inbound: one set a port, as Istio lays them out for STRICT, PERMISSIVE and DISABLE (the table stands in filter-chains.test.ts).
// Outbound TCP and TLS: one a route, first match wins. Istio: pilot/pkg/networking/core/filterchain_options.go.
import type { InboundPort, ProxyPlan, TcpRoute } from '#plan'
import { upstreamsOf } from './clusters.ts'
import { connectionManager, tcpProxy } from './http-filters.ts'
import { destinationState } from './pod-tls.ts'
import { seconds, some, type Obj } from './json.ts'
import { rbacFilters } from './rbac.ts'
import { metadata } from './reasons.ts'
import { inboundRoutes } from './routes.ts'
import { jwtFilters } from './jwt.ts'
import { downstreamMtls, downstreamUserTls } from './tls.ts'

/** What Istio's clients offer for HTTP over mesh mTLS. */
const istioHttp = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2']
/** … and for anything else. */
const istioTcp = ['istio-peer-exchange', 'istio']
const istioAll = [...istioTcp, ...istioHttp]
/** What the HTTP inspector calls plaintext HTTP. */
const plainHttp = ['http/1.1', 'h2c']

export interface Chain {
  readonly kind: 'http' | 'tcp'
  /** true: TLS is ended here, with the mesh's certificates. */
  readonly mtls: boolean
  /** Beyond the port. */
  readonly match: Obj
}

const overTls = (alpn?: readonly string[]): Obj => ({ transportProtocol: 'tls', ...(alpn === undefined ? {} : { applicationProtocols: [...alpn] }) })
const raw = (alpn?: readonly string[]): Obj => ({ transportProtocol: 'raw_buffer', ...(alpn === undefined ? {} : { applicationProtocols: [...alpn] }) })

/** Ports without a Service, and those that declare nothing, are looked into. */
function kindOf(port: InboundPort): 'http' | 'tcp' | 'auto' {
  if (port.port === null || port.protocol === 'auto') return 'auto'
  return port.protocol === 'http' || port.protocol === 'http2' || port.protocol === 'grpc' ? 'http' : 'tcp'
}

/** The chains of one port, by mode and by what the port carries. No chain matches: the connection is closed. */
export function chainsOf(port: InboundPort): Chain[] {
  const kind = kindOf(port)
  if (port.tls !== undefined) return [{ kind: kind === 'http' ? 'http' : 'tcp', mtls: true, match: overTls() }]
  switch (port.mtls.value) {
    case 'STRICT':
      if (kind !== 'auto') return [{ kind, mtls: true, match: overTls() }]
      return [{ kind: 'http', mtls: true, match: overTls(istioHttp) }, { kind: 'tcp', mtls: true, match: overTls() }]
    case 'DISABLE':
      // Nobody looks for TLS here, so it counts as raw too. Envoy does not go back from raw_buffer to a chain without transport protocol.
      if (kind !== 'auto') return [{ kind, mtls: false, match: raw() }]
      return [{ kind: 'http', mtls: false, match: raw(plainHttp) }, { kind: 'tcp', mtls: false, match: raw() }]
    case 'PERMISSIVE':
      if (kind === 'http') return [{ kind, mtls: true, match: overTls(istioAll) }, { kind, mtls: false, match: raw() }]
      if (kind === 'tcp') return [{ kind, mtls: true, match: overTls(istioAll) }, { kind, mtls: false, match: overTls() }, { kind, mtls: false, match: raw() }]
      return [
        { kind: 'http', mtls: true, match: overTls(istioHttp) },
        { kind: 'http', mtls: false, match: raw(plainHttp) },
        { kind: 'tcp', mtls: true, match: overTls(istioTcp) },
        { kind: 'tcp', mtls: false, match: raw() },
        { kind: 'tcp', mtls: false, match: overTls() },
      ]
  }
}

export function inboundChains(plan: ProxyPlan): Obj[] {
  return plan.inbound.flatMap((port) => chainsOf(port).map((chain) => inboundChain(plan, port, chain)))
}

function inboundChain(plan: ProxyPlan, port: InboundPort, chain: Chain): Obj {
  const match = { ...(port.port === null ? {} : { destinationPort: port.port }), ...chain.match }
  const transport = port.tls !== undefined ? 'own-tls' : chain.mtls ? 'mtls' : chain.match['transportProtocol'] === 'tls' ? 'foreign-tls' : 'plaintext'
  return some({
    name: `${port.port === null ? 'virtualInbound-passthrough' : `inbound_${port.port}`}-${transport}-${chain.kind}`,
    filterChainMatch: Object.keys(match).length === 0 ? undefined : match,
    // Never one of Istio's own names: whoever negotiated istio-peer-exchange would wait for a header that we don't send.
    transportSocket: !chain.mtls ? undefined : port.tls === undefined ? downstreamMtls(plan.mesh, ['h2', 'http/1.1']) : downstreamUserTls(port.tls, chain.kind === 'http' ? ['h2', 'http/1.1'] : []),
    filters: chain.kind === 'http'
      ? [connectionManager(plan.mesh, 'inbound', statPrefix(port), { routeConfig: inboundRoutes(port) }, [...jwtFilters(plan.authentication), ...rbacFilters(plan.authorization, 'http')])]
      : [...rbacFilters(plan.authorization, 'tcp'), tcpProxy(plan.mesh, port.cluster, { cluster: port.cluster })],
    metadata: metadata(port.mtls),
  })
}

function statPrefix(port: InboundPort): string {
  return port.cluster === 'InboundPassthroughCluster' ? port.cluster : `inbound_0.0.0.0_${port.port}`
}

/** A connection to the interception port itself would come back for ever. */
export function blackhole(plan: ProxyPlan, listener: string, port: number): Obj {
  return { name: `${listener}-blackhole`, filterChainMatch: { destinationPort: port }, filters: [tcpProxy(plan.mesh, 'BlackHoleCluster', { cluster: 'BlackHoleCluster' })] }
}

/** Last resort of outbound connections: passed on, or refused. */
export function passthrough(plan: ProxyPlan, name: string): Obj {
  const cluster = plan.egress.value === 'ALLOW_ANY' ? 'PassthroughCluster' : 'BlackHoleCluster'
  return { name, filters: [...destinationState(plan.mesh), tcpProxy(plan.mesh, cluster, { cluster })], metadata: metadata(plan.egress) }
}

/** Routes in order. Envoy takes the most specific chain and refuses overlapping ones: what an earlier route has taken, a later one loses. */
export function outboundTcpChains(plan: ProxyPlan, routes: readonly TcpRoute[]): Obj[] {
  const taken = new Set<string>()
  return routes.flatMap((route, index) =>
    remaining(route, taken).map((match, part) => some({
      name: `route-${index}${part === 0 ? '' : `-${part}`}`, filterChainMatch: Object.keys(match).length === 0 ? undefined : match, 
      filters: [...(route.targets.some((t) => upstreamsOf(plan).get(t.upstream)?.pods !== undefined) ? destinationState(plan.mesh) : []), tcpProxy(plan.mesh, route.targets[0]?.upstream ?? 'BlackHoleCluster', { ...tcpTarget(route), ...idleTimeout(plan, route), ...sourceHash(plan, route) })], metadata: metadata(route.because),
    })),
  )
}

/** The matches that are left of a route: server names with the same subnets left to them stand together. */
function remaining(route: TcpRoute, taken: Set<string>): Obj[] {
  const names = serverNames(route.match.sniHosts)
  const subnets = route.match.destinationSubnets ?? []
  const groups = new Map<string, { names: string[]; subnets: string[] }>()
  for (const name of names) {
    const left = (subnets.length === 0 ? [''] : [...subnets].sort()).filter((subnet) => !taken.has(`${name} ${subnet}`))
    for (const subnet of left) taken.add(`${name} ${subnet}`)
    if (left.length === 0) continue
    const group = groups.get(left.join()) ?? { names: [], subnets: left }
    group.names.push(name)
    groups.set(left.join(), group)
  }
  return [...groups.values()].map((g) => some({
    serverNames: g.names[0] === '' ? undefined : g.names,
    prefixRanges: g.subnets[0] === '' ? undefined : g.subnets.map(cidr),
  }))
}

/** [''] = any. Envoy knows `a.b` and `*.b`, and takes no other wildcard. */
function serverNames(hosts: readonly string[] | undefined): string[] {
  if (hosts === undefined || hosts.includes('*')) return ['']
  return [...new Set(hosts.map((h) => h.toLowerCase()))].filter((h) => !h.startsWith('*') || h.startsWith('*.'))
}

function tcpTarget(route: TcpRoute): Obj {
  const targets = route.targets.length > 1 ? route.targets.filter((t) => t.weight > 0) : route.targets
  const [only] = targets
  if (only === undefined) return { cluster: 'BlackHoleCluster' }
  return targets.length === 1 ? { cluster: only.upstream } : { weightedClusters: { clusters: targets.map((t) => ({ name: t.upstream, weight: t.weight })) } }
}

/** Of a connection its source alone can be hashed. */
function sourceHash(plan: ProxyPlan, route: TcpRoute): Obj {
  const on = upstreamsOf(plan).get(route.targets[0]?.upstream ?? '')?.hashOn
  return on !== undefined && 'sourceIp' in on ? { hashPolicy: [{ sourceIp: {} }] } : {}
}

/** Of the rule for the first destination, as in Istio. */
function idleTimeout(plan: ProxyPlan, route: TcpRoute): Obj {
  const ms = upstreamsOf(plan).get(route.targets[0]?.upstream ?? '')?.connectionPool.idleTimeoutMs
  return ms === undefined ? {} : { idleTimeout: seconds(ms) }
}

function cidr(subnet: string): Obj {
  const [addressPrefix = '', bits] = subnet.split('/')
  return { addressPrefix, prefixLen: bits === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(bits) }
}
