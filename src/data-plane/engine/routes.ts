// A route configuration as a matcher: virtual host by authority, then the first route that matches, as Envoy does.
// Law: pure; the weighted choice is made with the `pick` that the caller hands in.
import { fields, type Notes } from './notes.ts'
import { compileCors, corsUrl, type Cors } from './cors.ts'
import { compileFault, faultUrl, type Fault } from './fault.ts'
import { filterStateUrl, compileFilterState } from './filter-state.ts'
import { compileHeaderOps, joinHeaderOps, type HeaderOps } from './header-ops.ts'
import { kithMetadata, type KithMetadata } from './metadata.ts'
import { compileDirect, compileForward, compileRedirect, type DirectResponse, type ForwardAction, type Redirect, type WeightedTarget } from './route-action.ts'
import { compileRouteMatch, type CompiledMatch, type RouteRequest } from './route-match.ts'
import { compileRbacPerRoute, rbacPerRouteUrl, type Rbac } from './rbac.ts'
import { compileRetry } from './retry.ts'
import type { RouteConfiguration } from '../../../generated/types/envoy/config/route/v3/route_pb.ts'
import type { Route, VirtualHost } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'
import type { Any } from '@bufbuild/protobuf/wkt'

export interface RuntimeRoute {
  readonly name: string
  readonly match: CompiledMatch
  readonly action: ForwardAction | Redirect | DirectResponse
  /** Already joined with the virtual host's and the table's. */
  readonly requestHeaders: HeaderOps
  readonly responseHeaders: HeaderOps
  readonly metadata: KithMetadata
  /** ALPN that the upstream connection offers, when a filter's per-route config says so. */
  readonly upstreamAlpn?: readonly string[]
  /** Delays and aborts on purpose. */
  readonly fault?: Fault
  readonly cors?: Cors
  /** `x-envoy-attempt-count` goes along. */
  readonly attemptCount: boolean
  /** Overrides of the HTTP filters, by filter name; null = switched off. */
  readonly rbac: ReadonlyMap<string, Rbac | null>
}

export interface RuntimeVirtualHost {
  readonly name: string
  readonly routes: readonly RuntimeRoute[]
}

export interface RuntimeRoutes {
  readonly name: string
  readonly exact: ReadonlyMap<string, RuntimeVirtualHost>
  /** `*.foo.com` → `.foo.com`, longest first. */
  readonly suffixes: readonly (readonly [string, RuntimeVirtualHost])[]
  readonly prefixes: readonly (readonly [string, RuntimeVirtualHost])[]
  readonly any?: RuntimeVirtualHost
  readonly ignorePort: boolean
}

const servedTable = fields(`name virtual_hosts request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove validate_clusters ignore_port_in_host_matching
  max_direct_response_body_size_bytes most_specific_header_mutations_wins`)
const servedHost = fields(`name domains routes request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove include_request_attempt_count retry_policy typed_per_filter_config metadata`)
const servedRoute = fields(`name match route redirect direct_response metadata decorator request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove
  typed_per_filter_config stat_prefix`)

export function compileRouteTable(table: RouteConfiguration, notes: Notes): RuntimeRoutes {
  notes.onlyServes(table, servedTable)
  const request = compileHeaderOps(table.requestHeadersToAdd, table.requestHeadersToRemove, notes)
  const response = compileHeaderOps(table.responseHeadersToAdd, table.responseHeadersToRemove, notes)
  const exact = new Map<string, RuntimeVirtualHost>()
  const suffixes: [string, RuntimeVirtualHost][] = []
  const prefixes: [string, RuntimeVirtualHost][] = []
  let any: RuntimeVirtualHost | undefined
  const seen = new Set<string>()
  for (const host of table.virtualHosts) {
    const compiled = notes.at(`virtual_hosts[${host.name}]`, () => compileHost(host, request, response, notes))
    for (const domain of host.domains) {
      const low = domain.toLowerCase()
      if (seen.has(low)) notes.error(`domain ${domain} stands in two virtual hosts`)
      seen.add(low)
      if (low === '*') any = compiled
      else if (low.startsWith('*')) suffixes.push([low.slice(1), compiled])
      else if (low.endsWith('*')) prefixes.push([low.slice(0, -1), compiled])
      else exact.set(low, compiled)
    }
  }
  const longest = (a: readonly [string, unknown], b: readonly [string, unknown]) => b[0].length - a[0].length
  suffixes.sort(longest)
  prefixes.sort(longest)
  return { name: table.name, exact, suffixes, prefixes, ...(any === undefined ? {} : { any }), ignorePort: table.ignorePortInHostMatching }
}

function compileHost(host: VirtualHost, request: HeaderOps, response: HeaderOps, notes: Notes): RuntimeVirtualHost {
  notes.onlyServes(host, servedHost)
  const outerRequest = joinHeaderOps(compileHeaderOps(host.requestHeadersToAdd, host.requestHeadersToRemove, notes), request)
  const outerResponse = joinHeaderOps(compileHeaderOps(host.responseHeadersToAdd, host.responseHeadersToRemove, notes), response)
  const retry = host.retryPolicy === undefined ? undefined : compileRetry(host.retryPolicy, notes)
  const routes = host.routes.map((r, i) => notes.at(`routes[${r.name === '' ? i : r.name}]`, () => compileRoute(r, host, outerRequest, outerResponse, notes)))
  const whole = retry === undefined ? routes : routes.map((r) => (r.action.kind === 'forward' && r.action.retry === undefined ? { ...r, action: { ...r.action, retry } } : r))
  return { name: host.name, routes: whole }
}

function compileRoute(route: Route, host: VirtualHost, request: HeaderOps, response: HeaderOps, notes: Notes): RuntimeRoute {
  notes.onlyServes(route, servedRoute)
  const perFilter = compilePerFilter({ ...host.typedPerFilterConfig, ...route.typedPerFilterConfig }, notes)
  return {
    name: route.name,
    match: compileRouteMatch(route.match, notes),
    action: compileAction(route, notes),
    requestHeaders: joinHeaderOps(compileHeaderOps(route.requestHeadersToAdd, route.requestHeadersToRemove, notes), request),
    responseHeaders: joinHeaderOps(compileHeaderOps(route.responseHeadersToAdd, route.responseHeadersToRemove, notes), response),
    metadata: kithMetadata(route.metadata),
    attemptCount: host.includeRequestAttemptCount,
    ...perFilter,
  }
}

function compileAction(route: Route, notes: Notes): RuntimeRoute['action'] {
  switch (route.action.case) {
    case 'route':
      return compileForward(route.action.value, notes)
    case 'redirect':
      return compileRedirect(route.action.value, notes)
    case 'directResponse':
      return compileDirect(route.action.value, notes)
    default:
      notes.error(`route action ${route.action.case ?? 'is missing'}: not one of route, redirect, direct_response`)
      return { kind: 'direct', status: 500, body: '' }
  }
}

function compilePerFilter(configs: Readonly<Record<string, Any>>, notes: Notes): Pick<RuntimeRoute, 'rbac' | 'upstreamAlpn' | 'fault' | 'cors'> {
  const rbac = new Map<string, Rbac | null>()
  let upstreamAlpn: readonly string[] | undefined
  let fault: Fault | undefined
  let cors: Cors | undefined
  for (const [name, any] of Object.entries(configs)) {
    notes.at(`typed_per_filter_config[${name}]`, () => {
      if (any.typeUrl === filterStateUrl) upstreamAlpn = compileFilterState(any, notes) ?? upstreamAlpn
      else if (any.typeUrl === faultUrl) fault = compileFault(any, notes)
      else if (any.typeUrl === corsUrl) cors = compileCors(any, notes)
      else if (any.typeUrl === rbacPerRouteUrl) rbac.set(name, compileRbacPerRoute(any, notes))
      else notes.notServed(any.typeUrl)
    })
  }
  return { rbac, ...(upstreamAlpn === undefined ? {} : { upstreamAlpn }), ...(fault === undefined ? {} : { fault }), ...(cors === undefined ? {} : { cors }) }
}

/** The virtual host of an authority. */
export function findVirtualHost(routes: RuntimeRoutes, authority: string): RuntimeVirtualHost | undefined {
  let host = routes.ignorePort ? withoutPort(authority) : authority
  let found = routes.exact.get(host)
  if (found !== undefined) return found
  host = host.toLowerCase()
  found = routes.exact.get(host)
  if (found !== undefined) return found
  for (const [suffix, vh] of routes.suffixes) if (host.length > suffix.length && host.endsWith(suffix)) return vh
  for (const [prefix, vh] of routes.prefixes) if (host.length > prefix.length && host.startsWith(prefix)) return vh
  return routes.any
}

function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':')
  return colon > 0 && /^\d+$/.test(authority.slice(colon + 1)) && !authority.slice(0, colon).endsWith(':') ? authority.slice(0, colon) : authority
}

export interface RouteMatched {
  readonly virtualHost: string
  readonly route: RuntimeRoute
  /** The chosen cluster, for a route that forwards. */
  readonly cluster?: string
  readonly target?: WeightedTarget
}

/** The first matching route of the request's virtual host, or undefined (404). `pick` in [0,1) chooses among weighted clusters. */
export function matchRoute(routes: RuntimeRoutes, request: RouteRequest, pick: number): RouteMatched | undefined {
  const host = findVirtualHost(routes, request.authority)
  if (host === undefined) return undefined
  for (const route of host.routes) {
    if (!route.match.test(request)) continue
    const { action } = route
    if (action.kind !== 'forward') return { virtualHost: host.name, route }
    if (action.clusterHeader !== undefined) return { virtualHost: host.name, route, cluster: request.header(action.clusterHeader) ?? '' }
    const target = chooseTarget(action, pick)
    return { virtualHost: host.name, route, target, cluster: target.cluster }
  }
  return undefined
}

export function chooseTarget(action: ForwardAction, pick: number): WeightedTarget {
  const { targets } = action
  if (targets.length === 1) return targets[0] as WeightedTarget
  let left = pick * action.totalWeight
  for (const target of targets) {
    left -= target.weight
    if (left < 0) return target
  }
  return targets.findLast((t) => t.weight > 0) ?? (targets[0] as WeightedTarget)
}
