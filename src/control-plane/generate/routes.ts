// RouteTable → RouteConfiguration; and the one route of each inbound port.
import type { HttpAction, HttpRoute, InboundPort, ProxyPlan, RouteTable, VirtualHost, WeightedTarget } from '#plan'
import { httpProtocolOf, upstreamsOf, usesMeshTls } from './clusters.ts'
import { alpnOverride } from './http-filters.ts'
import { seconds, some, typed, type Obj } from './json.ts'
import { metadata } from './reasons.ts'
import { corsPolicy, fraction, hashPolicyOf, headerFields, httpFault } from './route-features.ts'
import { routeMatch } from './route-match.ts'

type RouteAction = Extract<HttpAction, { kind: 'route' }>

export function routeConfiguration(plan: ProxyPlan, table: RouteTable): Obj {
  return {
    name: table.name, validateClusters: false, maxDirectResponseBodySizeBytes: 1_048_576, ignorePortInHostMatching: true,
    virtualHosts: distinct(table).map((v) => ({ name: v.name, domains: [...v.domains], routes: v.routes.map((r) => route(r, plan)), includeRequestAttemptCount: true })),
  }
}

/** A domain belongs to the first host that names it: Envoy refuses a table in which it stands twice. */
function distinct(table: RouteTable): VirtualHost[] {
  const seen = new Set<string>()
  const fresh = (domain: string): boolean => {
    const known = seen.has(domain.toLowerCase())
    seen.add(domain.toLowerCase())
    return !known
  }
  return table.virtualHosts.map((v) => ({ ...v, domains: v.domains.filter(fresh) })).filter((v) => v.domains.length > 0)
}

/** Everything goes to the application; a request that was reset before it was sent is tried again, as Istio does (not for gRPC, whose client decides). */
export function inboundRoutes(port: InboundPort): Obj {
  const retryPolicy = port.protocol === 'grpc' ? undefined : { retryOn: 'reset-before-request', numRetries: 2 }
  const action = some({ cluster: port.cluster, timeout: '0s', maxStreamDuration: { grpcTimeoutHeaderMax: '0s' }, retryPolicy })
  const host = `inbound|http|${port.service === undefined ? 0 : port.service.port}`
  return { name: port.cluster, validateClusters: false, virtualHosts: [{ name: host, domains: ['*'], routes: [{ name: 'default', match: { prefix: '/' }, route: action }] }] }
}

function route(r: HttpRoute, plan: ProxyPlan): Obj {
  const { action } = r
  const head = some({ name: r.name, match: routeMatch(r.match), metadata: metadata(r.because) })
  switch (action.kind) {
    case 'redirect':
      return { ...head, redirect: redirect(action), ...headerFields(r.headers) }
    case 'direct':
      return some({ ...head, directResponse: some({ status: action.status, body: action.body === undefined ? undefined : { inlineString: action.body } }), ...headerFields(r.headers) })
    case 'route': {
      const targets = weighed(action.targets)
      const [only] = targets
      const shared = sharedAlpn(targets, plan)
      const perFilter: Obj = { ...shared, ...(action.fault === undefined ? {} : { 'envoy.filters.http.fault': httpFault(action.fault) }), ...(action.cors === undefined ? {} : { 'envoy.filters.http.cors': corsPolicy(action.cors) }) }
      return some({
        ...head, route: forward(action, targets, shared === undefined, plan), typedPerFilterConfig: Object.keys(perFilter).length === 0 ? undefined : perFilter,
        // A lone destination's headers join the route's, as in Istio.
        ...headerFields(r.headers, targets.length === 1 ? only?.headers : undefined),
      })
    }
  }
}

/** Destinations of weight 0 stand aside where there are others. */
function weighed(targets: readonly WeightedTarget[]): readonly WeightedTarget[] {
  return targets.length > 1 ? targets.filter((t) => t.weight > 0) : targets
}

/** The ALPN that requests to this upstream name; {}: TLS, but not the mesh's, so not the mesh's names; undefined: no TLS, so it does not matter. */
function alpnOf(target: WeightedTarget, plan: ProxyPlan): Obj | undefined {
  if (target.upstream === 'PassthroughCluster') return plan.mesh.tlsByAddress ? alpnOverride('downstream') : undefined
  const upstream = upstreamsOf(plan).get(target.upstream)
  if (upstream === undefined || upstream.tls.value.mode === 'DISABLE') return undefined
  return usesMeshTls(upstream) ? alpnOverride(httpProtocolOf(upstream)) : {}
}

/** What all destinations have in common stands on the route; where they differ (undefined), each has its own. */
function sharedAlpn(targets: readonly WeightedTarget[], plan: ProxyPlan): Obj | undefined {
  const [first = {}, ...others] = targets.map((t) => alpnOf(t, plan)).filter((a) => a !== undefined)
  return others.every((o) => JSON.stringify(o) === JSON.stringify(first)) ? first : undefined
}

function ownAlpnOf(target: WeightedTarget, plan: ProxyPlan): Obj {
  const typedPerFilterConfig = alpnOf(target, plan)
  return typedPerFilterConfig === undefined || Object.keys(typedPerFilterConfig).length === 0 ? {} : { typedPerFilterConfig }
}

function forward(a: RouteAction, targets: readonly WeightedTarget[], ownAlpn: boolean, plan: ProxyPlan): Obj {
  const { retries, rewrite } = a
  const hashPolicy = targets.flatMap((t) => hashPolicyOf(upstreamsOf(plan).get(t.upstream)?.hashOn))
  return some({
    ...clusterSpecifier(targets, ownAlpn, plan), clusterNotFoundResponseCode: 'SERVICE_UNAVAILABLE',
    ...timeouts(a.timeoutMs),
    prefixRewrite: rewrite?.uriRegex === undefined ? rewrite?.uri : undefined,
    regexRewrite: rewrite?.uriRegex === undefined ? undefined : { pattern: { regex: rewrite.uriRegex.match }, substitution: rewrite.uriRegex.rewrite },
    hostRewriteLiteral: rewrite?.authority,
    retryPolicy: retries === undefined ? undefined : retryPolicy(retries, hashPolicy.length > 0),
    requestMirrorPolicies: a.mirrors?.map((m) => ({ cluster: m.upstream, runtimeFraction: { defaultValue: fraction(m.percent) }, traceSampled: false })),
    hashPolicy: hashPolicy.length === 0 ? undefined : hashPolicy,
  })
}

/**
 * Envoy looks at `timeout` only where a route has no max_stream_duration, so that field stands only where there is no
 * timeout. max_grpc_timeout is deprecated; Istio uses it for the same reason (pilot's route.setTimeout).
 */
function timeouts(timeoutMs: number): Obj {
  const timeout = seconds(timeoutMs)
  if (timeoutMs === 0) return { timeout, maxStreamDuration: { maxStreamDuration: timeout, grpcTimeoutHeaderMax: timeout } }
  return { timeout, maxGrpcTimeout: timeout }
}

function clusterSpecifier(targets: readonly WeightedTarget[], ownAlpn: boolean, plan: ProxyPlan): Obj {
  const [only] = targets
  if (only === undefined) return { cluster: 'BlackHoleCluster' }
  if (targets.length === 1) return { cluster: only.upstream }
  return { weightedClusters: { clusters: targets.map((t) => some({ name: t.upstream, weight: t.weight, ...headerFields(t.headers), ...(ownAlpn ? ownAlpnOf(t, plan) : {}) })) } }
}

/** With consistent hashing a retry may meet the same host again: it is the one that the hash names. */
function retryPolicy(r: NonNullable<RouteAction['retries']>, hashed: boolean): Obj {
  const elsewhere = !hashed && r.ignorePreviousHosts !== false
  return some({
    retryOn: r.retryOn.join(','), numRetries: r.attempts, retriableStatusCodes: r.retriableStatusCodes.length === 0 ? undefined : [...r.retriableStatusCodes],
    perTryTimeout: r.perTryTimeoutMs === undefined ? undefined : seconds(r.perTryTimeoutMs), retryBackOff: r.backoffMs === undefined ? undefined : { baseInterval: seconds(r.backoffMs) },
    retryHostPredicate: elsewhere ? [{ name: 'envoy.retry_host_predicates.previous_hosts', typedConfig: typed('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate') }] : undefined,
    hostSelectionRetryMaxAttempts: elsewhere ? '5' : undefined,
    retryPriority: r.retryRemoteLocalities === true ? { name: 'envoy.retry_priorities.previous_priorities', typedConfig: typed('envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig', { updateFrequency: 2 }) } : undefined,
  })
}

const redirectCodes: Readonly<Record<number, string>> = { 301: 'MOVED_PERMANENTLY', 302: 'FOUND', 303: 'SEE_OTHER', 307: 'TEMPORARY_REDIRECT', 308: 'PERMANENT_REDIRECT' }

function redirect(a: Extract<HttpAction, { kind: 'redirect' }>): Obj {
  return some({
    hostRedirect: a.authority, pathRedirect: a.uri, prefixRewrite: a.uri === undefined ? a.prefixRewrite : undefined, schemeRedirect: a.scheme, portRedirect: a.port,
    responseCode: redirectCodes[a.code] ?? 'MOVED_PERMANENTLY',
  })
}
