// What the client's sidecar does with a connection: the engine's own steps, in the proxy's order.
import {
  chooseChain, findListener, findVirtualHost, forwardedAuthority, forwardedPath, isMethodRefused, normalizePath, redirectLocation,
  type Fault, type ForwardAction, type HttpConnection, type RouteRequest, type RuntimeChain, type RuntimeConfig, type RuntimeListener, type RuntimeRoute, type SocketAddress,
} from '#engine'
import { ExpressionTooCostly } from '#lib/re2.ts'
import { connectionFacts, type FirstBytes } from './bytes.ts'

export interface OutboundCall {
  readonly original: SocketAddress
  readonly source: string
  readonly bytes: FirstBytes
  /** What an HTTP chain reads. */
  readonly request: RouteRequest
}

export interface ClusterChoice {
  readonly cluster: string
  readonly weight: number
  /** As they go on; absent on plain connections. */
  readonly path?: string
  readonly authority?: string
  /** ALPN that the route asks for upstream. */
  readonly alpn?: readonly string[]
}

interface Taken {
  readonly listener: RuntimeListener
  readonly chain: RuntimeChain
}
interface ByRoute {
  /** Name of the table and the virtual host; `index`: of the route in it. */
  readonly table: string
  readonly virtualHost: string
  readonly index: number
}

export type OutboundDecision =
  | { readonly kind: 'closed' }
  /** Bytes that are no HTTP, where the chain reads HTTP. */
  | ({ readonly kind: 'not-http' } & Taken)
  | ({ readonly kind: 'refused'; readonly what: 'path' | 'method' | 'expression'; readonly status: number } & Taken)
  | ({ readonly kind: 'no-route'; readonly status: 404; readonly table: string; readonly virtualHost: string | undefined } & Taken)
  | ({ readonly kind: 'answer'; readonly what: 'redirect' | 'direct'; readonly status: number; readonly location?: string } & Taken & ByRoute)
  | ({ readonly kind: 'forward'; readonly route?: ByRoute; readonly choices: readonly ClusterChoice[]; readonly notFoundStatus: number; readonly fault?: Fault } & Taken)

export function decideOutbound(config: RuntimeConfig, call: OutboundCall): OutboundDecision {
  const listener = findListener(config, false, call.original)
  const chain = listener === undefined ? undefined : chooseChain(listener, connectionFacts(listener, call.original, call.source, call.bytes))
  if (listener === undefined || chain === undefined) return { kind: 'closed' }
  const taken = { listener, chain }
  const { terminal } = chain
  if (terminal.kind === 'tcp') {
    const choices = terminal.targets.map(({ cluster, weight }) => ({ cluster, weight }))
    return { kind: 'forward', ...taken, choices, notFoundStatus: 503 }
  }
  if (call.bytes.tls !== undefined) return { kind: 'not-http', ...taken }
  try {
    return decideRequest(config, taken, terminal, call.request)
  } catch (error) {
    if (!(error instanceof ExpressionTooCostly)) throw error
    return { kind: 'refused', what: 'expression', status: 400, ...taken }
  }
}

function decideRequest(config: RuntimeConfig, taken: Taken, http: HttpConnection, asked: RouteRequest): OutboundDecision {
  if (isMethodRefused(asked.method)) return { kind: 'refused', what: 'method', status: 400, ...taken }
  const normal = normalizePath(asked.path, http)
  if (normal.kind === 'reject') return { kind: 'refused', what: 'path', status: 400, ...taken }
  const request: RouteRequest = { ...asked, path: normal.path, header: (name) => asked.header(name) }
  const routes = 'inline' in http.routes ? http.routes.inline : config.routes.get(http.routes.rds)
  const host = routes === undefined ? undefined : findVirtualHost(routes, request.authority)
  const index = host?.routes.findIndex((r) => r.match.test(request)) ?? -1
  const route = host?.routes[index]
  const table = routes?.name ?? ''
  if (host === undefined || route === undefined) return { kind: 'no-route', status: 404, table, virtualHost: host?.name, ...taken }
  const by: ByRoute = { table, virtualHost: host.name, index }
  const { action } = route
  if (action.kind === 'redirect') return { kind: 'answer', what: 'redirect', status: action.status, location: redirectLocation(action, request, route.match.matchedLength(request.path)), ...by, ...taken }
  if (action.kind === 'direct') return { kind: 'answer', what: 'direct', status: action.status, ...by, ...taken }
  return { kind: 'forward', route: by, choices: choicesOf(route, action, request, http), notFoundStatus: action.notFoundStatus, ...(route.fault === undefined ? {} : { fault: route.fault }), ...taken }
}

/** Every cluster that may get the request, with its share. */
function choicesOf(route: RuntimeRoute, action: ForwardAction, request: RouteRequest, http: HttpConnection): ClusterChoice[] {
  const path = forwardedPath(action, request.path, route.match.matchedLength(request.path))
  const alpn = route.upstreamAlpn ?? http.upstreamAlpn
  const targets = action.clusterHeader === undefined ? action.targets.filter((t) => t.weight > 0) : [{ cluster: request.header(action.clusterHeader) ?? '', weight: 1 }]
  return targets.map((t) => ({
    cluster: t.cluster, weight: t.weight, path, authority: forwardedAuthority(action, 'requestHeaders' in t ? t : undefined, (name) => request.header(name)) ?? request.authority, ...(alpn === undefined ? {} : { alpn }),
  }))
}
