// Cross-origin requests: which origins may, and what a browser is told. Law: pure; an origin that no rule names gets no header.
// Source: Envoy's CORS filter; the Fetch standard.
import { fields, type Notes } from './notes.ts'
import type { HeaderOps } from './header-ops.ts'
import type { RouteRequest } from './route-match.ts'
import { compileString } from './string-match.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { CorsPolicy } from '../../../generated/types/envoy/extensions/filters/http/cors/v3/cors_pb.ts'

export interface Cors {
  readonly allows: (origin: string) => boolean
  readonly methods: string
  readonly headers: string
  readonly expose: string
  readonly maxAge: string
  readonly credentials: boolean
  readonly forwardUnmatched: boolean
}

export type CorsDecision =
  | { readonly kind: 'none' }
  /** Answer the preflight with these headers. */
  | { readonly kind: 'preflight'; readonly headers: readonly (readonly [string, string])[] }
  /** Forward; the response gets these. */
  | { readonly kind: 'allowed'; readonly response: HeaderOps }

const corsType = 'envoy.extensions.filters.http.cors.v3.CorsPolicy'
export const corsUrl = `type.googleapis.com/${corsType}`

export function compileCors(any: Any, notes: Notes): Cors | undefined {
  const policy = notes.unpack<CorsPolicy>(any, corsType)
  if (policy === undefined) return undefined
  notes.onlyServes(policy, fields('allow_origin_string_match allow_methods allow_headers expose_headers max_age allow_credentials forward_not_matching_preflights'))
  const origins = policy.allowOriginStringMatch.map((m) => compileString(m, notes))
  return {
    allows: (origin) => origins.some((o) => o.test(origin)),
    methods: policy.allowMethods,
    headers: policy.allowHeaders,
    expose: policy.exposeHeaders,
    maxAge: policy.maxAge,
    credentials: policy.allowCredentials ?? false,
    forwardUnmatched: policy.forwardNotMatchingPreflights ?? true,
  }
}

export function decideCors(cors: Cors, request: RouteRequest): CorsDecision {
  const origin = request.header('origin')
  if (origin === undefined || origin === '') return { kind: 'none' }
  const allowed = cors.allows(origin)
  const credentials: readonly (readonly [string, string])[] = cors.credentials ? [['access-control-allow-credentials', 'true']] : []
  if (request.method === 'OPTIONS' && (request.header('access-control-request-method') ?? '') !== '') {
    if (!allowed) return cors.forwardUnmatched ? { kind: 'none' } : { kind: 'preflight', headers: [] }
    const optional: readonly (readonly [string, string])[] = [['access-control-allow-methods', cors.methods], ['access-control-allow-headers', cors.headers], ['access-control-max-age', cors.maxAge]]
    return { kind: 'preflight', headers: [['access-control-allow-origin', origin], ...credentials, ...optional.filter(([, v]) => v !== '')] }
  }
  if (!allowed) return { kind: 'none' }
  const set = [['access-control-allow-origin', origin] as const, ...credentials, ...(cors.expose === '' ? [] : [['access-control-expose-headers', cors.expose] as const])]
  return { kind: 'allowed', response: { set: set.map(([name, value]) => ({ kind: 'overwrite', name, value: [value] })), remove: [] } }
}
