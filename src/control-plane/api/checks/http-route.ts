// What Istio's webhook refuses in an HTTP route: conflicts, matches, faults, retries, rewrites, destinations.
import type { HttpMatchSpec, HttpRouteSpec, StringMatchSpec } from '../kinds/virtual-service.ts'
import type { Findings } from './findings.ts'
import { isLabel, labelSetFault, portFault, wildcardDomainFault } from './names.ts'
import { checkGatewayNames, checkHeaders, isAuthorityHeader, regexFault, tokenFault } from './shared.ts'
import { subsetFault } from './traffic-policy.ts'

/** `@request.auth.claims.sub`, `@request.auth.claims[sub]` */
export const claimHeader = /^@request\.auth\.claims[.[]/i

export function checkHttpRoute(found: Findings, path: string, route: HttpRouteSpec, isDelegate: boolean): void {
  checkConflicts(found, path, route, isDelegate)
  route.match?.forEach((match, i) => checkMatch(found, `${path}.match[${i}]`, match))
  checkHeaders(found, `${path}.headers`, route.headers)
  checkCors(found, `${path}.corsPolicy`, route.corsPolicy)
  checkFault(found, `${path}.fault`, route.fault)
  for (const name of ['mirrorPercent', 'mirror_percent'] as const) {
    if (route[name] === undefined) continue
    if (route[name] > 100) found.error(`${path}.${name}`, `${route[name]} is no percentage from 0 to 100`)
    found.warn(`${path}.${name}`, `${name} is deprecated`, 'use mirrorPercentage')
  }
  checkWholePercent(found, `${path}.mirrorPercentage`, route.mirrorPercentage)
  checkDestination(found, `${path}.mirror`, route.mirror, false)
  route.mirrors?.forEach((mirror, i) => {
    checkDestination(found, `${path}.mirrors[${i}].destination`, mirror.destination, true)
    checkWholePercent(found, `${path}.mirrors[${i}].percentage`, mirror.percentage)
  })
  checkRedirect(found, `${path}.redirect`, route)
  checkDirectResponse(found, `${path}.directResponse`, route.directResponse)
  checkRetries(found, `${path}.retries`, route.retries)
  checkRewrite(found, `${path}.rewrite`, route.rewrite)
  checkAuthority(found, path, route)
  route.route?.forEach((destination, i) => {
    checkHeaders(found, `${path}.route[${i}].headers`, destination.headers)
    checkDestination(found, `${path}.route[${i}].destination`, destination.destination, true)
  })
  checkWeights(found, `${path}.route`, route.route ?? [])
}

function checkConflicts(found: Findings, path: string, route: HttpRouteSpec, isDelegate: boolean): void {
  const refuse = (name: keyof HttpRouteSpec, beside: string): void => {
    const value = route[name]
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) found.error(`${path}.${name}`, `${name} can’t stand beside ${beside}`)
  }
  if (route.delegate !== undefined) {
    if (isDelegate) found.error(`${path}.delegate`, 'a delegate can’t delegate further')
    else {
      refuse('redirect', 'delegate')
      if ((route.route ?? []).length > 0) found.error(`${path}.route`, 'route can’t stand beside delegate')
      return
    }
  }
  if (route.redirect !== undefined) for (const name of ['route', 'fault', 'rewrite', 'directResponse'] as const) refuse(name, 'redirect')
  else if (route.directResponse !== undefined) for (const name of ['route', 'fault', 'rewrite'] as const) refuse(name, 'directResponse')
  else if ((route.route ?? []).length === 0) found.error(path, 'an HTTP route needs route, redirect, directResponse or delegate')
  if (route.mirror !== undefined && (route.mirrors ?? []).length > 0) found.error(`${path}.mirrors`, 'mirrors can’t stand beside mirror')
}

const pseudoHeaders: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path', ':status'])

function checkMatch(found: Findings, path: string, match: HttpMatchSpec): void {
  for (const name of ['headers', 'withoutHeaders'] as const) {
    for (const [header, text] of Object.entries(match[name] ?? {})) {
      const at = `${path}.${name}.${header}`
      if (!claimHeader.test(header) && !pseudoHeaders.has(header)) found.error(at, tokenFault(header))
      if (!(name === 'withoutHeaders' && text.regex === '*')) found.error(at, stringMatchFault(text))
    }
  }
  for (const [param, text] of Object.entries(match.queryParams ?? {})) found.error(`${path}.queryParams.${param}`, stringMatchFault(text))
  if (match.uri?.regex !== undefined) found.error(`${path}.uri.regex`, regexFault(match.uri.regex))
  for (const name of ['scheme', 'method', 'authority'] as const) found.error(`${path}.${name}`, stringMatchFault(match[name]))
  if ((match.port ?? 0) !== 0) found.error(`${path}.port`, portFault(match.port as number))
  found.error(`${path}.sourceLabels`, labelSetFault(match.sourceLabels))
  // Istio drops its warnings here, as in matches of TCP routes.
  checkGatewayNames(found.errorsOnly(), `${path}.gateways`, match.gateways)
  if ((match.sourceNamespace ?? '') !== '' && !isLabel(match.sourceNamespace as string)) found.error(`${path}.sourceNamespace`, `${JSON.stringify(match.sourceNamespace)} is no namespace`)
}

function stringMatchFault(match: StringMatchSpec | undefined): string | undefined {
  if (match?.prefix === '') return 'an empty prefix matches everything; leave the match out'
  return match?.regex === undefined ? undefined : regexFault(match.regex)
}

export function checkDestination(found: Findings, path: string, destination: { readonly host?: string; readonly subset?: string; readonly port?: { readonly number?: number } } | undefined, needed: boolean): void {
  if (destination === undefined) return needed ? found.error(path, 'a destination is required') : undefined
  found.error(`${path}.host`, destination.host === '*' ? 'the destination can’t be *' : wildcardDomainFault(destination.host ?? ''))
  if ((destination.subset ?? '') !== '') found.error(`${path}.subset`, subsetFault(destination.subset as string))
  if (destination.port !== undefined) found.error(`${path}.port.number`, portFault(destination.port.number ?? 0))
}

export function checkWeights(found: Findings, path: string, route: readonly { readonly weight?: number }[]): void {
  route.forEach(({ weight = 0 }, i) => found.error(`${path}[${i}].weight`, weight < 0 ? 'a weight must not be negative' : undefined))
  if (route.length > 1 && route.reduce((sum, r) => sum + (r.weight ?? 0), 0) === 0) found.error(path, 'the weights add up to 0: nobody would get a request')
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*'])

function checkCors(found: Findings, path: string, cors: HttpRouteSpec['corsPolicy']): void {
  cors?.allowOrigins?.forEach((origin, i) => {
    if ((origin.exact ?? origin.prefix ?? origin.regex ?? '') === '') found.error(`${path}.allowOrigins[${i}]`, 'an origin must say exact, prefix or regex')
    else if (origin.regex !== undefined) found.error(`${path}.allowOrigins[${i}].regex`, regexFault(origin.regex))
  })
  cors?.allowMethods?.forEach((method, i) => found.error(`${path}.allowMethods[${i}]`, methods.has(method) ? undefined : `${JSON.stringify(method)} is no HTTP method`))
  for (const name of ['allowHeaders', 'exposeHeaders'] as const) cors?.[name]?.forEach((header, i) => found.error(`${path}.${name}[${i}]`, tokenFault(header)))
  if (cors?.maxAge !== undefined && cors.maxAge % 1000 !== 0) found.error(`${path}.maxAge`, 'maxAge is a whole number of seconds')
}

interface Percent { readonly value?: number }

function checkWholePercent(found: Findings, path: string, percent: Percent | undefined): void {
  const value = percent?.value ?? 0
  if (value < 0 || value > 100) found.error(`${path}.value`, `${value} is no percentage from 0 to 100`)
}

function checkPercent(found: Findings, path: string, percent: Percent | undefined): void {
  const value = percent?.value ?? 0
  if (value < 0 || value > 100 || (value > 0 && value < 0.0001)) found.error(`${path}.value`, `${value} is no percentage: 0, or from 0.0001 to 100`)
}

const grpcStatuses: ReadonlySet<string> = new Set([
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'UNAUTHENTICATED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE',
  'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS',
])

function checkFault(found: Findings, path: string, fault: HttpRouteSpec['fault']): void {
  if (fault === undefined) return
  const { abort, delay } = fault
  if (abort === undefined && delay === undefined) found.error(path, 'a fault needs abort or delay')
  if (abort !== undefined) {
    checkPercent(found, `${path}.abort.percentage`, abort.percentage)
    if (abort.grpcStatus !== undefined) found.error(`${path}.abort.grpcStatus`, grpcStatuses.has(abort.grpcStatus) ? undefined : `${JSON.stringify(abort.grpcStatus)} is no gRPC status, such as NOT_FOUND`)
    else if (abort.http2Error !== undefined) found.error(`${path}.abort.http2Error`, 'aborting with an HTTP/2 error is not supported')
    else if (abort.httpStatus !== undefined) found.error(`${path}.abort.httpStatus`, statusFault(abort.httpStatus))
  }
  checkPercent(found, `${path}.delay.percentage`, delay?.percentage)
  if (delay?.exponentialDelay !== undefined) found.error(`${path}.delay.exponentialDelay`, 'exponentialDelay is not supported')
}

const statusFault = (status: number): string | undefined => (status < 200 || status > 600 ? `${status} is no HTTP status from 200 to 599` : undefined)

function checkDirectResponse(found: Findings, path: string, response: HttpRouteSpec['directResponse']): void {
  if (response === undefined) return
  const size = response.body?.string === undefined ? ((response.body?.bytes ?? '').length * 3) / 4 : Buffer.byteLength(response.body.string)
  if (size > 1024 * 1024) found.error(`${path}.body`, 'the body must be smaller than 1 MB')
  else if (size > 100 * 1024) found.warn(`${path}.body`, 'a body of more than 100 kB weighs on the control plane')
  found.error(`${path}.status`, statusFault(response.status ?? 0))
}

function checkRedirect(found: Findings, path: string, { redirect, match }: HttpRouteSpec): void {
  if (redirect === undefined) return
  if ((redirect.prefixRewrite ?? '') !== '') {
    if ((redirect.uri ?? '') !== '') return found.error(`${path}.prefixRewrite`, 'prefixRewrite can’t stand beside uri')
    if (match?.some((m) => m.uri !== undefined && m.uri.prefix === undefined) === true) return found.error(`${path}.prefixRewrite`, 'prefixRewrite needs matches by uri.prefix')
  }
  if ((redirect.uri ?? '') === '' && (redirect.authority ?? '') === '' && redirect.port === undefined && redirect.derivePort === undefined && (redirect.scheme ?? '') === '' && (redirect.prefixRewrite ?? '') === '') {
    return found.error(path, 'a redirect needs uri, prefixRewrite, authority, scheme, port or derivePort')
  }
  const code = redirect.redirectCode ?? 0
  if (code !== 0 && (code < 300 || code > 399)) found.error(`${path}.redirectCode`, `${code} is no redirect: 3xx`)
  if (!['', 'http', 'https'].includes(redirect.scheme ?? '')) found.error(`${path}.scheme`, 'the scheme is http or https')
  if ((redirect.port ?? 0) > 0) found.error(`${path}.port`, portFault(redirect.port as number))
}

const retryConditions: ReadonlySet<string> = new Set([
  '5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers', 'envoy-ratelimited', 'http3-post-connect-failure',
  'cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable',
])
const gaps: ReadonlySet<number> = new Set([306, 419, 420, 427, 430, 509])
function isHttpStatus(text: string): boolean {
  const n = /^\d{3}$/.test(text) ? Number(text) : 0
  return (n >= 100 && n <= 103) || (n >= 200 && n <= 208) || n === 226 || (n >= 300 && n <= 308 && n !== 306) || (((n >= 400 && n <= 431) || n === 451 || (n >= 500 && n <= 511)) && !gaps.has(n))
}

function checkRetries(found: Findings, path: string, retries: HttpRouteSpec['retries']): void {
  if (retries === undefined) return
  const attempts = retries.attempts ?? 0
  if (attempts < 0) found.error(`${path}.attempts`, 'must not be negative')
  if (attempts === 0 && (retries.perTryTimeout !== undefined || (retries.retryOn ?? '') !== '' || retries.retryRemoteLocalities !== undefined)) {
    found.error(`${path}.attempts`, 'a retry policy with 0 attempts does nothing')
  }
  for (const condition of (retries.retryOn ?? '') === '' ? [] : (retries.retryOn as string).split(',')) {
    if (!retryConditions.has(condition) && !isHttpStatus(condition)) found.error(`${path}.retryOn`, `${JSON.stringify(condition)} is no condition to retry on`)
  }
}

function checkRewrite(found: Findings, path: string, rewrite: HttpRouteSpec['rewrite']): void {
  if (rewrite === undefined) return
  const regex = rewrite.uriRegexRewrite
  const uri = (rewrite.uri ?? '') !== ''
  if (uri && regex !== undefined) return found.error(`${path}.uriRegexRewrite`, 'uriRegexRewrite can’t stand beside uri')
  if (!uri && regex === undefined && (rewrite.authority ?? '') === '') return found.error(path, 'a rewrite needs uri, uriRegexRewrite or authority')
  if (regex === undefined) return
  if ((regex.match ?? '') === '' || (regex.rewrite ?? '') === '') found.error(`${path}.uriRegexRewrite`, 'uriRegexRewrite needs both match and rewrite')
  else found.error(`${path}.uriRegexRewrite.match`, regexFault(regex.match as string))
}

/** Only one place may set the request's authority. */
function checkAuthority(found: Findings, path: string, route: HttpRouteSpec): void {
  const places = (route.rewrite?.authority ?? '') === '' ? [] : [`${path}.rewrite.authority`]
  for (const verb of ['set', 'add'] as const) {
    for (const name of Object.keys(route.headers?.request?.[verb] ?? {})) if (isAuthorityHeader(name)) places.push(`${path}.headers.request.${verb}.${name}`)
  }
  if (places.length > 1) found.error(places[1] as string, 'the authority is set in two places')
}
