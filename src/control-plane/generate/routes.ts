// RouteTable → RouteConfiguration.
import type { HeaderOps, HttpAction, HttpMatch, HttpRoute, ProxyPlan, RouteTable, StringMatch, Upstream, WeightedTarget } from '#plan'
import { alpnOverride } from './http-filters.ts'
import { seconds, some, typed, type Obj } from './json.ts'
import { metadata } from './reasons.ts'

type RouteAction = Extract<HttpAction, { kind: 'route' }>

export function routeConfiguration(plan: ProxyPlan, table: RouteTable): Obj {
  const upstreams = new Map(plan.upstreams.map((u) => [u.name, u]))
  return {
    name: table.name, validateClusters: false, maxDirectResponseBodySizeBytes: 1_048_576, ignorePortInHostMatching: false,
    virtualHosts: table.virtualHosts.map((v) => ({ name: v.name, domains: [...v.domains], routes: v.routes.map((r) => route(r, upstreams)), includeRequestAttemptCount: true })),
  }
}

function route(r: HttpRoute, upstreams: ReadonlyMap<string, Upstream>): Obj {
  const action = r.action
  const base = some({ name: r.name, match: routeMatch(r.match), metadata: metadata(r.because), ...headerFields(r.headers) })
  if (action.kind === 'redirect') return { ...base, redirect: redirect(action) }
  if (action.kind === 'direct') return { ...base, directResponse: some({ status: action.status, body: action.body === undefined ? undefined : { inlineString: action.body } }) }
  const perFilter = some({ ...(action.fault === undefined ? {} : { 'envoy.filters.http.fault': fault(action) }), ...(action.cors === undefined ? {} : { 'envoy.filters.http.cors': cors(action) }) })
  const single = action.targets.length === 1 ? action.targets[0] : undefined
  const override = single !== undefined && speaksMesh(upstreams.get(single.upstream)) ? alpnOverride : {}
  const typedPerFilterConfig = { ...perFilter, ...override }
  return some({ ...base, route: routeAction(action, r.match, upstreams), typedPerFilterConfig: Object.keys(typedPerFilterConfig).length === 0 ? undefined : typedPerFilterConfig })
}

/** The mesh's own ALPN never goes to a server that is not the mesh's. HTTP/2 clusters name theirs themselves. */
function speaksMesh(u: Upstream | undefined): boolean {
  return u !== undefined && (u.tls.value.mode === 'AUTO' || u.tls.value.mode === 'ISTIO_MUTUAL') && u.protocol !== 'http2' && u.protocol !== 'grpc'
}

function routeMatch(m: HttpMatch): Obj {
  const path = m.path === undefined ? { prefix: '/' } : 'exact' in m.path ? { path: m.path.exact } : 'prefix' in m.path ? { prefix: m.path.prefix } : { safeRegex: { regex: m.path.regex } }
  const headers = [
    ...(m.method === undefined ? [] : [headerMatch(':method', m.method)]), ...(m.authority === undefined ? [] : [headerMatch(':authority', m.authority)]), ...(m.scheme === undefined ? [] : [headerMatch(':scheme', m.scheme)]),
    ...Object.entries(m.headers ?? {}).map(([name, want]) => headerMatch(name, want)),
    ...Object.entries(m.withoutHeaders ?? {}).map(([name, want]) => ({ ...headerMatch(name, want), invertMatch: true, ...('present' in want ? {} : { treatMissingHeaderAsEmpty: false }) })),
  ]
  const queryParameters = Object.entries(m.queryParams ?? {}).map(([name, want]) => ('present' in want ? { name, presentMatch: true } : { name, stringMatch: stringMatch(want) }))
  return some({ ...path, caseSensitive: m.ignorePathCase !== true, headers: headers.length === 0 ? undefined : headers, queryParameters: queryParameters.length === 0 ? undefined : queryParameters })
}

function headerMatch(name: string, want: StringMatch): Obj {
  return 'present' in want ? { name, presentMatch: true } : { name, stringMatch: stringMatch(want) }
}

function stringMatch(want: Exclude<StringMatch, { present: true }>): Obj {
  return 'exact' in want ? { exact: want.exact } : 'prefix' in want ? { prefix: want.prefix } : { safeRegex: { regex: want.regex } }
}

function routeAction(a: RouteAction, match: HttpMatch, upstreams: ReadonlyMap<string, Upstream>): Obj {
  const retry = a.retries
  return some({
    ...clusters(a.targets, upstreams),
    timeout: seconds(a.timeoutMs), maxStreamDuration: { maxStreamDuration: seconds(a.timeoutMs), grpcTimeoutHeaderMax: seconds(a.timeoutMs) },
    retryPolicy: retry === undefined ? undefined : some({
      retryOn: retry.retryOn.join(','), numRetries: retry.attempts, retriableStatusCodes: retry.retriableStatusCodes.length === 0 ? undefined : [...retry.retriableStatusCodes], perTryTimeout: retry.perTryTimeoutMs === undefined ? undefined : seconds(retry.perTryTimeoutMs),
      retryHostPredicate: retry.ignorePreviousHosts === false ? undefined : [{ name: 'envoy.retry_host_predicates.previous_hosts', typedConfig: typed('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate') }],
      hostSelectionRetryMaxAttempts: retry.ignorePreviousHosts === false ? undefined : '5', retryBackOff: retry.backoffMs === undefined ? undefined : { baseInterval: seconds(retry.backoffMs) },
    }),
    ...rewrite(a, match),
    requestMirrorPolicies: a.mirrors === undefined ? undefined : a.mirrors.map((m) => ({ cluster: m.upstream, runtimeFraction: { defaultValue: fraction(m.percent) }, traceSampled: false })),
    hashPolicy: a.hashPolicy === undefined ? undefined : (a.hashPolicy as Obj[]),
  })
}

function clusters(targets: readonly WeightedTarget[], upstreams: ReadonlyMap<string, Upstream>): Obj {
  const [only] = targets
  if (only === undefined) return { cluster: 'BlackHoleCluster', clusterNotFoundResponseCode: 'SERVICE_UNAVAILABLE' }
  if (targets.length === 1 && only.headers === undefined) return { cluster: only.upstream, clusterNotFoundResponseCode: 'SERVICE_UNAVAILABLE' }
  return { weightedClusters: { clusters: targets.map((t) => some({ name: t.upstream, weight: t.weight, ...headerFields(t.headers), typedPerFilterConfig: speaksMesh(upstreams.get(t.upstream)) ? alpnOverride : undefined })) }, clusterNotFoundResponseCode: 'SERVICE_UNAVAILABLE' }
}

/** A rewrite replaces what was matched: a prefix, or the whole of an exact path. */
function rewrite(a: RouteAction, match: HttpMatch): Obj {
  const r = a.rewrite
  if (r === undefined) return {}
  const path = r.uriRegex !== undefined ? { regexRewrite: { pattern: { regex: r.uriRegex.match }, substitution: r.uriRegex.rewrite } }
    : r.uri === undefined ? {} : match.path !== undefined && 'regex' in match.path ? { regexRewrite: { pattern: { regex: match.path.regex }, substitution: r.uri } } : { prefixRewrite: r.uri }
  return { ...path, ...(r.authority === undefined ? {} : { hostRewriteLiteral: r.authority }) }
}

function redirect(a: Extract<HttpAction, { kind: 'redirect' }>): Obj {
  const code = { 301: 'MOVED_PERMANENTLY', 302: 'FOUND', 303: 'SEE_OTHER', 307: 'TEMPORARY_REDIRECT', 308: 'PERMANENT_REDIRECT' }[a.code] ?? 'MOVED_PERMANENTLY'
  return some({ hostRedirect: a.authority, pathRedirect: a.uri, prefixRewrite: a.uri === undefined ? a.prefixRewrite : undefined, schemeRedirect: a.scheme, portRedirect: a.port, responseCode: code })
}

function headerFields(ops: HeaderOps | undefined): Obj {
  const add = (side: HeaderOps['request'] | undefined): Obj[] => [
    ...Object.entries(side?.set ?? {}).map(([key, value]) => ({ header: { key, value }, appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' })),
    ...Object.entries(side?.add ?? {}).map(([key, value]) => ({ header: { key, value }, appendAction: 'APPEND_IF_EXISTS_OR_ADD' })),
  ]
  const list = (items: readonly (Obj | string)[]): (Obj | string)[] | undefined => (items.length === 0 ? undefined : [...items])
  return some({
    requestHeadersToAdd: list(add(ops?.request)), requestHeadersToRemove: list(ops?.request?.remove ?? []), responseHeadersToAdd: list(add(ops?.response)), responseHeadersToRemove: list(ops?.response?.remove ?? []),
  })
}

function fault(a: RouteAction): Obj {
  const { delay, abort } = a.fault ?? {}
  const grpc = abort?.grpcStatus === undefined ? undefined : grpcCodes.indexOf(abort.grpcStatus.toUpperCase())
  return typed('envoy.extensions.filters.http.fault.v3.HTTPFault', some({
    delay: delay === undefined ? undefined : { fixedDelay: seconds(delay.ms), percentage: fraction(delay.percent) },
    abort: abort === undefined ? undefined : some({ httpStatus: abort.httpStatus, grpcStatus: abort.httpStatus === undefined && grpc !== undefined && grpc >= 0 ? grpc : undefined, percentage: fraction(abort.percent) }),
  }))
}
const grpcCodes = ['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED']

function cors(a: RouteAction): Obj {
  const c = a.cors
  if (c === undefined) return {}
  const words = (list: readonly string[]): string | undefined => (list.length === 0 ? undefined : list.join(','))
  return typed('envoy.extensions.filters.http.cors.v3.CorsPolicy', some({
    allowOriginStringMatch: c.allowOrigins.filter((o) => !('present' in o)).map((o) => stringMatch(o as Exclude<StringMatch, { present: true }>)), allowMethods: words(c.allowMethods), allowHeaders: words(c.allowHeaders), exposeHeaders: words(c.exposeHeaders),
    maxAge: c.maxAgeSeconds === undefined ? undefined : String(c.maxAgeSeconds), allowCredentials: c.allowCredentials, forwardNotMatchingPreflights: c.forwardUnmatchedPreflights,
  }))
}

function fraction(percent: number): Obj {
  return { numerator: Math.round(percent * 10_000), denominator: 'MILLION' }
}
