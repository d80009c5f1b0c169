// What a matching route does: a cluster (or one of several by weight), a redirect, or an answer of the proxy's own.
import { durationMs, fields, type Notes } from './notes.ts'
import { compileHeaderOps, noHeaderOps, type HeaderOps } from './header-ops.ts'
import { shareOf } from './fault.ts'
import { compileHashPolicies, type HashPolicy } from './hash-policy.ts'
import { compileRetry, type RetryRules } from './retry.ts'
import { compileSubstitution } from './string-match.ts'
import type { DirectResponseAction, RedirectAction, RouteAction } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'

export interface WeightedTarget {
  readonly cluster: string
  readonly weight: number
  readonly requestHeaders: HeaderOps
  readonly responseHeaders: HeaderOps
  readonly hostRewrite?: string
}

/** A share of the requests goes to another cluster too. */
export interface Mirror {
  readonly cluster: string
  /** [0,1] */
  readonly share: number
  /** The host gets `-shadow`. */
  readonly suffix: boolean
}

export interface ForwardAction {
  readonly kind: 'forward'
  readonly targets: readonly WeightedTarget[]
  readonly totalWeight: number
  /** Name of the request header that holds the cluster's name. */
  readonly clusterHeader?: string
  /** 0 = none. */
  readonly timeoutMs: number
  /** The `grpc-timeout` of a request counts, up to this; 0 = whatever it says. undefined = it doesn't count. */
  readonly grpcTimeoutMaxMs?: number
  /** undefined = the connection manager's. */
  readonly idleTimeoutMs?: number
  readonly prefixRewrite: string
  readonly pathSubstitute?: (path: string) => string
  readonly hostRewrite?: string
  readonly hostRewriteHeader?: string
  readonly autoHostRewrite: boolean
  readonly notFoundStatus: number
  readonly retry?: RetryRules
  readonly hash: readonly HashPolicy[]
  readonly mirrors: readonly Mirror[]
  /** Lower case; undefined = whatever the connection manager says. */
  readonly upgrades: ReadonlyMap<string, boolean>
}

export interface Redirect {
  readonly kind: 'redirect'
  readonly status: number
  readonly scheme?: string
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly prefixRewrite?: string
  readonly pathSubstitute?: (path: string) => string
  readonly stripQuery: boolean
}

export interface DirectResponse {
  readonly kind: 'direct'
  readonly status: number
  readonly body: string
}

const served = fields(`cluster cluster_header weighted_clusters cluster_not_found_response_code prefix_rewrite regex_rewrite host_rewrite_literal host_rewrite_header auto_host_rewrite
  timeout idle_timeout retry_policy hash_policy upgrade_configs max_grpc_timeout max_stream_duration request_mirror_policies`)
const servedWeight = fields('name weight request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove host_rewrite_literal')

/** The most that a grpc-timeout header may ask for; 0: whatever it asks for. Without either field the header is not looked at. */
function grpcTimeout({ maxStreamDuration, maxGrpcTimeout }: RouteAction): { readonly grpcTimeoutMaxMs?: number } {
  const most = maxStreamDuration?.grpcTimeoutHeaderMax ?? maxGrpcTimeout
  return most === undefined ? {} : { grpcTimeoutMaxMs: durationMs(most, 0) }
}

export function compileForward(action: RouteAction, notes: Notes): ForwardAction {
  notes.onlyServes(action, served)
  const targets: WeightedTarget[] = []
  let clusterHeader: string | undefined
  const specifier = action.clusterSpecifier
  switch (specifier.case) {
    case 'cluster':
      targets.push({ cluster: specifier.value, weight: 1, requestHeaders: noHeaderOps, responseHeaders: noHeaderOps })
      break
    case 'clusterHeader':
      clusterHeader = specifier.value.toLowerCase()
      break
    case 'weightedClusters':
      for (const w of specifier.value.clusters) {
        notes.onlyServes(w, servedWeight)
        targets.push({
          cluster: w.name,
          weight: w.weight ?? 0,
          requestHeaders: compileHeaderOps(w.requestHeadersToAdd, w.requestHeadersToRemove, notes),
          responseHeaders: compileHeaderOps(w.responseHeadersToAdd, w.responseHeadersToRemove, notes),
          ...(w.hostRewriteSpecifier.case === undefined ? {} : { hostRewrite: w.hostRewriteSpecifier.value }),
        })
      }
      break
    default:
      notes.error(`cluster specifier ${specifier.case ?? 'is missing'}: not one of cluster, cluster_header, weighted_clusters`)
  }
  const totalWeight = targets.reduce((sum, t) => sum + t.weight, 0)
  if (specifier.case === 'weightedClusters' && totalWeight === 0) notes.error('the weights of weighted_clusters add up to 0')
  if (durationMs(action.maxStreamDuration?.maxStreamDuration, 0) > 0) notes.notServed('max_stream_duration.max_stream_duration')
  const host = action.hostRewriteSpecifier
  if (host.case === 'hostRewritePathRegex') notes.notServed('host_rewrite_path_regex')
  return {
    kind: 'forward',
    targets,
    totalWeight,
    ...(clusterHeader === undefined ? {} : { clusterHeader }),
    // Envoy's default is 15 s; Istio always writes it.
    timeoutMs: durationMs(action.timeout, 15_000),
    ...grpcTimeout(action),
    ...(action.idleTimeout === undefined ? {} : { idleTimeoutMs: durationMs(action.idleTimeout, 0) }),
    prefixRewrite: action.prefixRewrite,
    ...(action.regexRewrite === undefined ? {} : { pathSubstitute: compileSubstitution(action.regexRewrite, notes) }),
    ...(host.case === 'hostRewriteLiteral' ? { hostRewrite: host.value } : {}),
    ...(host.case === 'hostRewriteHeader' ? { hostRewriteHeader: host.value.toLowerCase() } : {}),
    autoHostRewrite: host.case === 'autoHostRewrite' && host.value.value,
    notFoundStatus: action.clusterNotFoundResponseCode === 1 ? 404 : action.clusterNotFoundResponseCode === 2 ? 500 : 503,
    ...(action.retryPolicy === undefined ? {} : { retry: compileRetry(action.retryPolicy, notes) }),
    hash: compileHashPolicies(action.hashPolicy, notes),
    mirrors: compileMirrors(action, notes),
    upgrades: new Map(action.upgradeConfigs.map((u) => [u.upgradeType.toLowerCase(), u.enabled ?? true])),
  }
}

function compileMirrors(action: RouteAction, notes: Notes): Mirror[] {
  return action.requestMirrorPolicies.map((m, i) =>
    notes.at(`request_mirror_policies[${i}]`, () => {
      notes.onlyServes(m, fields('cluster runtime_fraction disable_shadow_host_suffix_append trace_sampled'))
      const percent = m.runtimeFraction?.defaultValue
      return { cluster: m.cluster, share: percent === undefined ? 1 : shareOf(percent), suffix: !m.disableShadowHostSuffixAppend }
    }),
  )
}

const redirectStatus = [301, 302, 303, 307, 308] as const

export function compileRedirect(action: RedirectAction, notes: Notes): Redirect {
  const scheme = action.schemeRewriteSpecifier
  const path = action.pathRewriteSpecifier
  return {
    kind: 'redirect',
    status: redirectStatus[action.responseCode] ?? 301,
    ...(scheme.case === 'httpsRedirect' && scheme.value ? { scheme: 'https' } : {}),
    ...(scheme.case === 'schemeRedirect' ? { scheme: scheme.value } : {}),
    ...(action.hostRedirect === '' ? {} : { host: action.hostRedirect }),
    ...(action.portRedirect === 0 ? {} : { port: action.portRedirect }),
    ...(path.case === 'pathRedirect' ? { path: path.value } : {}),
    ...(path.case === 'prefixRewrite' ? { prefixRewrite: path.value } : {}),
    ...(path.case === 'regexRewrite' ? { pathSubstitute: compileSubstitution(path.value, notes) } : {}),
    stripQuery: action.stripQuery,
  }
}

export function compileDirect(action: DirectResponseAction, notes: Notes): DirectResponse {
  const source = action.body?.specifier
  if (source?.case === 'filename' || source?.case === 'environmentVariable') notes.notServed(`direct_response body from ${source.case}`)
  const body = source?.case === 'inlineString' ? source.value : source?.case === 'inlineBytes' ? Buffer.from(source.value).toString('utf8') : ''
  if (action.status < 200 || action.status > 599) notes.error(`direct_response status ${action.status} is not between 200 and 599`)
  return { kind: 'direct', status: action.status, body }
}

/** Where a redirect points. Host and port are written as Envoy writes them (router/config_impl.cc, newUri). */
export function redirectLocation(redirect: Redirect, request: { scheme: string; authority: string; path: string }, matchedLength: number): string {
  const scheme = redirect.scheme ?? request.scheme
  const host = redirect.host ?? keptAuthority(request.authority, request.scheme, scheme, redirect.port !== undefined)
  const q = request.path.indexOf('?')
  const plain = q < 0 ? request.path : request.path.slice(0, q)
  const query = redirect.stripQuery || q < 0 ? '' : request.path.slice(q)
  const path = rewritePath(plain, redirect, matchedLength)
  const kept = redirect.path?.includes('?') === true ? '' : query
  return `${scheme}://${host}${redirect.port === undefined ? '' : `:${redirect.port}`}${path}${kept}`
}

/** The request's own authority: without its port where another is named, or where it was the default of a scheme that changes. */
function keptAuthority(authority: string, from: string, to: string, otherPort: boolean): string {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(authority) ?? []
  if (host === undefined) return authority
  const stale = from !== to && ((from === 'http' && port === '80') || (from === 'https' && port === '443'))
  return otherPort || stale ? host : authority
}

function rewritePath(plain: string, r: Redirect, matchedLength: number): string {
  if (r.path !== undefined) return r.path
  if (r.prefixRewrite !== undefined) return r.prefixRewrite + plain.slice(matchedLength)
  return r.pathSubstitute === undefined ? plain : r.pathSubstitute(plain)
}

/** The path that goes on, query included. `matchedLength`: of the route's match, for a prefix's replacement. */
export function forwardedPath(action: ForwardAction, path: string, matchedLength: number): string {
  if (action.prefixRewrite === '' && action.pathSubstitute === undefined) return path
  const q = path.indexOf('?')
  const plain = q < 0 ? path : path.slice(0, q)
  const after = action.pathSubstitute === undefined ? action.prefixRewrite + plain.slice(matchedLength) : action.pathSubstitute(plain)
  return (after.startsWith('/') ? after : `/${after}`) + (q < 0 ? '' : path.slice(q))
}

/** The authority that goes on; undefined: as it came. */
export function forwardedAuthority(action: ForwardAction, target: WeightedTarget | undefined, header: (name: string) => string | undefined): string | undefined {
  return target?.hostRewrite ?? action.hostRewrite ?? (action.hostRewriteHeader === undefined ? undefined : header(action.hostRewriteHeader))
}
