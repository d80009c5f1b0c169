// The smaller parts of an http rule: headers, retries, faults, mirrors, CORS.
import type { HttpRouteSpec, StringMatchSpec } from '#api'
import type { PlanContext } from './context.ts'
import type { Cors, Fault, HeaderOps, RetryPolicy, StringMatch } from './types.ts'

type Headers = NonNullable<HttpRouteSpec['headers']>
type Destination = NonNullable<HttpRouteSpec['mirror']>

/** Pseudo headers and host are no header operations: they rewrite the authority, elsewhere. */
export function planHeaders(headers: Headers | undefined): HeaderOps | undefined {
  if (headers === undefined) return undefined
  const real = (from: Readonly<Record<string, string>> | undefined): Record<string, string> | undefined => {
    const kept = Object.entries(from ?? {}).filter(([k]) => !k.startsWith(':') && k.toLowerCase() !== 'host')
    return kept.length === 0 ? undefined : Object.fromEntries(kept)
  }
  const side = (from: Headers['request']): HeaderOps['request'] | undefined => {
    const set = real(from?.set)
    const add = real(from?.add)
    const remove = from?.remove?.filter((k) => !k.startsWith(':') && k.toLowerCase() !== 'host')
    if (set === undefined && add === undefined && (remove ?? []).length === 0) return undefined
    return { ...(set === undefined ? {} : { set }), ...(add === undefined ? {} : { add }), ...(remove === undefined || remove.length === 0 ? {} : { remove }) }
  }
  const request = side(headers.request)
  const response = side(headers.response)
  return request === undefined && response === undefined ? undefined : { ...(request === undefined ? {} : { request }), ...(response === undefined ? {} : { response }) }
}

const defaultRetryOn = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes']

/** Istio's default: two retries of what never reached the server; `attempts: 0` turns them off. */
export function planRetries(context: PlanContext, own: HttpRouteSpec['retries']): RetryPolicy | undefined {
  const spec = own ?? context.mesh.options.config.defaultHttpRetryPolicy
  if (spec === undefined) return { attempts: 2, retryOn: defaultRetryOn, retriableStatusCodes: [] }
  const attempts = spec.attempts ?? 0
  if (attempts <= 0) return undefined
  const words = (spec.retryOn ?? '').split(',').map((w) => w.trim()).filter((w) => w !== '')
  const codes = words.filter((w) => /^\d+$/.test(w)).map(Number)
  const named = words.filter((w) => !/^\d+$/.test(w))
  const retryOn = words.length === 0 ? defaultRetryOn : codes.length > 0 && !named.includes('retriable-status-codes') ? [...named, 'retriable-status-codes'] : named
  const optional = { perTryTimeoutMs: spec.perTryTimeout, backoffMs: spec.backoff, ignorePreviousHosts: spec.retryIgnorePreviousHosts, retryRemoteLocalities: spec.retryRemoteLocalities }
  return { attempts, retryOn, retriableStatusCodes: codes, ...(Object.fromEntries(Object.entries(optional).filter(([, v]) => v !== undefined)) as object) }
}

export function planFault(fault: HttpRouteSpec['fault']): Fault | undefined {
  if (fault === undefined) return undefined
  const { delay, abort } = fault
  return {
    ...(delay?.fixedDelay === undefined ? {} : { delay: { ms: delay.fixedDelay, percent: delay.percentage?.value ?? delay.percent ?? 0 } }),
    ...(abort === undefined ? {} : { abort: { ...(abort.httpStatus === undefined ? {} : { httpStatus: abort.httpStatus }), ...(abort.grpcStatus === undefined ? {} : { grpcStatus: abort.grpcStatus }), percent: abort.percentage === undefined ? 100 : (abort.percentage.value ?? 0) } }),
  }
}

export function planMirrors(route: HttpRouteSpec, upstream: (d: Destination) => string): { upstream: string; percent: number }[] | undefined {
  const one = route.mirror === undefined ? [] : [{ destination: route.mirror, percent: route.mirrorPercentage === undefined ? (route.mirrorPercent ?? route.mirror_percent ?? 100) : (route.mirrorPercentage.value ?? 0) }]
  const many = (route.mirrors ?? []).flatMap((m) => (m.destination === undefined ? [] : [{ destination: m.destination, percent: m.percentage === undefined ? 100 : (m.percentage.value ?? 0) }]))
  const all = [...one, ...many].filter((m) => m.percent > 0).map((m) => ({ upstream: upstream(m.destination), percent: m.percent }))
  return all.length === 0 ? undefined : all
}

export function planCors(cors: HttpRouteSpec['corsPolicy']): Cors | undefined {
  if (cors === undefined) return undefined
  const origin = (m: StringMatchSpec): StringMatch => (m.exact !== undefined ? { exact: m.exact } : m.prefix !== undefined ? { prefix: m.prefix } : { regex: m.regex ?? '' })
  return {
    allowOrigins: [...(cors.allowOrigins ?? []).map(origin), ...(cors.allowOrigin ?? []).map((o): StringMatch => (o === '*' ? { regex: '.*' } : { exact: o }))],
    allowMethods: cors.allowMethods ?? [], allowHeaders: cors.allowHeaders ?? [], exposeHeaders: cors.exposeHeaders ?? [],
    ...(cors.maxAge === undefined ? {} : { maxAgeSeconds: cors.maxAge / 1000 }), ...(cors.allowCredentials === undefined ? {} : { allowCredentials: cors.allowCredentials }),
    forwardUnmatchedPreflights: cors.unmatchedPreflights !== 'IGNORE',
  }
}
