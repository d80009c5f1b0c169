// VirtualService http rules → routes of one proxy on one port, in order; what the client's labels, namespace or port rule out is left out.
// Istio: route.BuildHTTPRoutesForVirtualService, translateRoute.
import type { Decided } from '#lib/decided.ts'
import { refTo, type HttpDestinationSpec, type HttpMatchSpec, type HttpRouteSpec, type StringMatchSpec, type VirtualService } from '#api'
import { resolveHost, selectorCovers, type MeshService } from '#mesh'
import type { PlanContext } from './context.ts'
import { upstreamName } from './upstreams.ts'
import { planCors, planFault, planHeaders, planMirrors, planRetries } from './http-features.ts'
import { mergeDelegates } from './delegates.ts'
import type { HttpAction, HttpMatch, HttpRoute, StringMatch, WeightedTarget } from './types.ts'

/** Services by host, as far as the listener has them. */
export type LookUp = (host: string) => MeshService | undefined

export function httpRoutesOf(context: PlanContext, virtual: VirtualService, port: number, lookUp: LookUp): HttpRoute[] {
  const routes: HttpRoute[] = []
  for (const { route, owner, index } of mergeDelegates(context, virtual)) {
    const path = `spec.http[${index}]`
    const matches = route.match ?? []
    if (matches.length === 0) {
      routes.push(planRoute(context, owner, route, undefined, port, path, lookUp))
      break
    }
    for (const [m, match] of matches.entries()) {
      if (!reaches(context, match, port)) continue
      const planned = planRoute(context, owner, route, match, port, `${path}.match[${m}]`, lookUp)
      routes.push(planned)
      if (isCatchAll(planned.match)) return routes
    }
  }
  return routes
}

/** Port, gateways, source labels and namespace are decided here; the rest by the proxy. */
function reaches(context: PlanContext, match: HttpMatchSpec, port: number): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== port) return false
  if ((match.gateways ?? []).length > 0) return (match.gateways ?? []).includes('mesh')
  return selectorCovers(match.sourceLabels ?? {}, context.client.labels) && (match.sourceNamespace === undefined || match.sourceNamespace === '' || match.sourceNamespace === context.client.namespace)
}

function isCatchAll(match: HttpMatch): boolean {
  const { path, ...rest } = match
  const all = path === undefined || ('prefix' in path && path.prefix === '/') || ('regex' in path && path.regex === '*')
  return all && Object.keys(rest).filter((k) => k !== 'ignorePathCase').length === 0
}

function planRoute(context: PlanContext, owner: VirtualService, route: HttpRouteSpec, match: HttpMatchSpec | undefined, port: number, path: string, lookUp: LookUp): HttpRoute {
  const { name, namespace } = owner.metadata
  const own = [route.name, match?.name].filter((n) => n !== undefined && n !== '').join('.')
  const because: Decided<string> = { value: `VirtualService ${namespace}/${name} ${path.replace('spec.', '')}`, because: [{ rule: 'route.virtual-service', source: refTo(owner, path), effect: 'chosen' }] }
  const headers = planHeaders(route.headers)
  return { name: own === '' ? 'default' : own, match: planMatch(match), action: planAction(context, owner, route, port, lookUp), because, ...(headers === undefined ? {} : { headers }) }
}

function planMatch(match: HttpMatchSpec | undefined): HttpMatch {
  if (match === undefined) return {}
  const uri = match.uri
  const path: HttpMatch['path'] = uri?.exact !== undefined ? { exact: uri.exact } : uri?.prefix !== undefined ? { prefix: uri.prefix } : uri?.regex !== undefined ? { regex: uri.regex } : undefined
  const all: { [K in keyof HttpMatch]: HttpMatch[K] | undefined } = {
    path, ignorePathCase: match.ignoreUriCase === true && path !== undefined ? true : undefined, method: stringMatch(match.method), scheme: stringMatch(match.scheme), authority: stringMatch(match.authority),
    headers: matchMap(match.headers), withoutHeaders: matchMap(match.withoutHeaders), queryParams: matchMap(match.queryParams),
  }
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined)) as HttpMatch
}

function stringMatch(spec: StringMatchSpec | undefined): StringMatch | undefined {
  if (spec === undefined) return undefined
  if (spec.exact !== undefined) return { exact: spec.exact }
  if (spec.prefix !== undefined) return { prefix: spec.prefix }
  if (spec.regex !== undefined) return spec.regex === '*' ? { present: true } : { regex: spec.regex }
  return { present: true }
}

function matchMap(from: Readonly<Record<string, StringMatchSpec>> | undefined): Record<string, StringMatch> | undefined {
  if (from === undefined || Object.keys(from).length === 0) return undefined
  return Object.fromEntries(Object.entries(from).map(([k, v]) => [k, stringMatch(v) ?? { present: true as const }]))
}

function planAction(context: PlanContext, owner: VirtualService, route: HttpRouteSpec, port: number, lookUp: LookUp): HttpAction {
  const { redirect, directResponse } = route
  if (redirect !== undefined) {
    const derived = redirect.port ?? (redirect.derivePort === 'FROM_REQUEST_PORT' ? port : undefined)
    const all = { uri: redirect.uri, prefixRewrite: redirect.prefixRewrite, authority: redirect.authority, scheme: redirect.scheme, port: derived === 0 ? undefined : derived }
    return { kind: 'redirect', code: redirect.redirectCode === undefined || redirect.redirectCode === 0 ? 301 : redirect.redirectCode, ...(Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined)) as object) }
  }
  if (directResponse !== undefined) {
    const body = directResponse.body?.string ?? (directResponse.body?.bytes === undefined ? undefined : Buffer.from(directResponse.body.bytes, 'base64').toString())
    return { kind: 'direct', status: directResponse.status ?? 200, ...(body === undefined ? {} : { body }) }
  }
  const destinations = route.route ?? []
  const targets = destinations.length === 1 ? destinations.map((d) => target(context, owner, d, port, 1, lookUp)) : destinations.filter((d) => (d.weight ?? 0) > 0).map((d) => target(context, owner, d, port, d.weight ?? 0, lookUp))
  const optional = { retries: planRetries(context, route.retries), rewrite: planRewrite(route), fault: planFault(route.fault), mirrors: planMirrors(route, (d) => destinationUpstream(context, owner, d, port, lookUp)), cors: planCors(route.corsPolicy) }
  return { kind: 'route', targets, timeoutMs: route.timeout ?? 0, ...(Object.fromEntries(Object.entries(optional).filter(([, v]) => v !== undefined)) as object) }
}

function target(context: PlanContext, owner: VirtualService, d: HttpDestinationSpec, port: number, weight: number, lookUp: LookUp): WeightedTarget {
  const headers = planHeaders(d.headers)
  return { upstream: destinationUpstream(context, owner, d.destination ?? {}, port, lookUp), weight, ...(headers === undefined ? {} : { headers }) }
}

/** The cluster that a destination names; where the mesh knows no such one, calls to it end with 503. Without a port: the only one that the service is known by, else the one called. */
export function destinationUpstream(context: PlanContext, owner: VirtualService, d: { readonly host?: string; readonly subset?: string; readonly port?: { readonly number?: number } }, listenPort: number, lookUp: LookUp): string {
  if (d.host === undefined || d.host === '') return 'BlackHoleCluster'
  const named = resolveHost(d.host, owner.metadata.namespace, context.mesh.options.domain)
  const service = lookUp(named)
  // Another name leads to what it stands for.
  const host = service?.externalName === undefined ? named : (context.scope.aliases.find((a) => a.service.host === named)?.of.host ?? service.externalName)
  const only = service?.ports.length === 1 ? service.ports[0]?.number : undefined
  return upstreamName(d.port?.number ?? only ?? listenPort, d.subset === undefined || d.subset === '' ? null : d.subset, host)
}

function planRewrite(route: HttpRouteSpec): { uri?: string; uriRegex?: { match: string; rewrite: string }; authority?: string } | undefined {
  const r = route.rewrite
  const host = route.headers?.request?.set?.['host'] ?? route.headers?.request?.set?.[':authority']
  if (r === undefined && host === undefined) return undefined
  const authority = r?.authority ?? host
  return {
    ...(r?.uri === undefined ? {} : { uri: r.uri }), ...(authority === undefined ? {} : { authority }),
    ...(r?.uriRegexRewrite === undefined ? {} : { uriRegex: { match: r.uriRegexRewrite.match ?? '', rewrite: r.uriRegexRewrite.rewrite ?? '' } }),
  }
}
