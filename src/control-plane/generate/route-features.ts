// What a route may do besides forwarding: header operations, faults, CORS.
import type { Cors, Fault, HashOn, HeaderOps, StringMatch } from '#plan'
import { seconds, some, typed, type Json, type Obj } from './json.ts'
import { stringMatcher } from './route-match.ts'

type Side = HeaderOps['request']

/** Several operations, the outer ones first. Envoy's fields of a route, or of a weighted cluster. */
export function headerFields(...ops: readonly (HeaderOps | undefined)[]): Obj {
  const adds = (side: (o: HeaderOps) => Side): Json[] | undefined => list(ops.flatMap((o) => (o === undefined ? [] : headersToAdd(side(o)))))
  const removes = (side: (o: HeaderOps) => Side): Json[] | undefined => list(ops.flatMap((o) => (o === undefined ? [] : [...(side(o)?.remove ?? [])])))
  return some({
    requestHeadersToAdd: adds((o) => o.request), requestHeadersToRemove: removes((o) => o.request),
    responseHeadersToAdd: adds((o) => o.response), responseHeadersToRemove: removes((o) => o.response),
  })
}

function headersToAdd(side: Side): Obj[] {
  const option = (appendAction: string) => ([key, value]: [string, string]): Obj => ({ header: { key, value: headerValue(value) }, appendAction })
  const sorted = (of: Record<string, string> | undefined): [string, string][] => Object.entries(of ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return [...sorted(side?.set).map(option('OVERWRITE_IF_EXISTS_OR_ADD')), ...sorted(side?.add).map(option('APPEND_IF_EXISTS_OR_ADD'))]
}

/** What Envoy and Kith's proxy both fill in; anything else between percent signs would make one of them refuse the whole table. */
const fillIns = new Set(
  `REQ RESP PROTOCOL START_TIME REQUESTED_SERVER_NAME ROUTE_NAME HOSTNAME CONNECTION_ID RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_FLAGS DYNAMIC_METADATA CLUSTER_METADATA FILTER_STATE FILTER_CHAIN_NAME
  UPSTREAM_HOST UPSTREAM_CLUSTER UPSTREAM_REMOTE_ADDRESS UPSTREAM_LOCAL_ADDRESS UPSTREAM_REQUEST_ATTEMPT_COUNT DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_URI_SAN
  DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_VERSION`.trim().split(/\s+/),
)

/** A percent sign that begins no fill-in stands for itself: `50%` → `50%%`. Those written twice already stay. */
export function headerValue(value: string): string {
  return value.replace(/%%|%([A-Z][A-Z0-9_]*)(?:\([^()%]*\))?(?::\d+)?%|%/g, (found, name: string | undefined) => {
    if (found === '%') return '%%'
    if (found === '%%' || (name !== undefined && fillIns.has(name))) return found
    return found.replaceAll('%', '%%')
  })
}

function list(items: Json[]): Json[] | undefined {
  return items.length === 0 ? undefined : items
}

const grpcCodes = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE',
  'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
]

export function httpFault({ delay, abort }: Fault): Obj {
  const grpc = abort?.grpcStatus === undefined ? -1 : grpcCodes.indexOf(abort.grpcStatus.toUpperCase())
  const error = abort?.httpStatus !== undefined ? { httpStatus: abort.httpStatus } : grpc >= 0 ? { grpcStatus: grpc } : undefined
  return typed('envoy.extensions.filters.http.fault.v3.HTTPFault', some({
    delay: delay === undefined || delay.ms === 0 ? undefined : { fixedDelay: seconds(delay.ms), percentage: fraction(delay.percent) },
    abort: abort === undefined || error === undefined ? undefined : { ...error, percentage: fraction(abort.percent) },
  }))
}

export function corsPolicy(c: Cors): Obj {
  const words = (names: readonly string[]): string | undefined => (names.length === 0 ? undefined : names.join(','))
  return typed('envoy.extensions.filters.http.cors.v3.CorsPolicy', some({
    allowOriginStringMatch: c.allowOrigins.flatMap((o: StringMatch) => ('present' in o ? [] : [stringMatcher(o)])),
    allowMethods: words(c.allowMethods), allowHeaders: words(c.allowHeaders), exposeHeaders: words(c.exposeHeaders), maxAge: c.maxAgeSeconds === undefined ? undefined : String(Math.trunc(c.maxAgeSeconds)),
    allowCredentials: c.allowCredentials, forwardNotMatchingPreflights: c.forwardUnmatchedPreflights,
  }))
}

/** What of a request decides its endpoint, where the balancer hashes. */
export function hashPolicyOf(on: HashOn | undefined): Obj[] {
  if (on === undefined) return []
  if ('header' in on) return [{ header: { headerName: on.header } }]
  if ('sourceIp' in on) return [{ connectionProperties: { sourceIp: true } }]
  if ('queryParameter' in on) return [{ queryParameter: { name: on.queryParameter } }]
  const { name, path, ttlMs, attributes } = on.cookie
  return [{ cookie: some({ name, path, ttl: ttlMs === undefined ? undefined : seconds(ttlMs), attributes: attributes === undefined ? undefined : attributes.map((a) => ({ ...a })) }) }]
}

/** Percent, to a ten-thousandth. */
export function fraction(percent: number): Obj {
  return { numerator: Math.round(percent * 10_000), denominator: 'MILLION' }
}
