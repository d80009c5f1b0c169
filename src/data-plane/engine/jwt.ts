// envoy.filters.http.jwt_authn: where tokens are looked for, which must hold, and what becomes of a request that brought one.
// Law: a token that is there must hold; a clause of the filter that is not understood is an error. Pure: time is an argument.
import { fields, type Notes } from './notes.ts'
import { audiencesOf, readKeys, readToken, signatureFault, timeFault, type Claims, type Jwk } from './jwt-token.ts'
import { missingKeysId } from '#xds'
import type { RouteRequest } from './route-match.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { JwtAuthentication, JwtProvider as ProviderProto, JwtRequirement } from '../../../generated/types/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts'

export const jwtType = 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'

interface Provider {
  readonly issuer: string
  readonly audiences: ReadonlySet<string>
  readonly keys: readonly Jwk[]
  /** The control plane could not fetch any: nobody's signature holds. */
  readonly keysMissing: boolean
  readonly headers: readonly { readonly name: string; readonly prefix: string }[]
  readonly params: readonly string[]
  readonly cookies: readonly string[]
  readonly forward: boolean
  readonly payloadHeader: string
  readonly padPayload: boolean
  readonly claimHeaders: readonly { readonly header: string; readonly claim: readonly string[] }[]
  readonly spaceDelimited: readonly string[]
  readonly skewSeconds: number
  readonly metadataKey: string
}

type Requirement =
  | { readonly kind: 'provider'; readonly provider: Provider }
  | { readonly kind: 'any' | 'all'; readonly of: readonly Requirement[] }
  | { readonly kind: 'missing' | 'failed' }

export interface JwtAuthn {
  readonly requires: Requirement
  readonly skipsPreflight: boolean
  /** Lower case: what only the filter may write. */
  readonly ownHeaders: readonly string[]
}

export interface JwtPassed {
  readonly kind: 'passed'
  /** `payload` of the filter's dynamic metadata; undefined: no token. */
  readonly claims?: Claims
  /** Lower case → what it is now; undefined: gone. */
  readonly headers: ReadonlyMap<string, string | undefined>
  /** Where a token stood in the query. */
  readonly path?: string
}

export type JwtVerdict = JwtPassed | { readonly kind: 'refused'; readonly status: 401 | 403; readonly message: string; readonly missing: boolean }

const served = fields('issuer audiences local_jwks forward from_headers from_params from_cookies forward_payload_header pad_forward_payload_header payload_in_metadata normalize_payload_in_metadata clock_skew_seconds claim_to_headers clear_route_cache')

export function compileJwt(any: Any | undefined, notes: Notes): JwtAuthn | undefined {
  const filter = notes.unpack<JwtAuthentication>(any, jwtType)
  if (filter === undefined) return undefined
  notes.onlyServes(filter, fields('providers rules bypass_cors_preflight'))
  const providers = new Map(Object.entries(filter.providers).map(([name, p]) => [name, notes.at(`providers[${name}]`, () => compileProvider(p, notes))]))
  const [rule, ...others] = filter.rules
  const path = rule?.match?.pathSpecifier
  if (others.length > 0 || rule?.requirementType.case !== 'requires' || path?.case !== 'prefix' || path.value !== '/') {
    notes.error('jwt_authn: only one rule for the prefix / with its requirement inline is understood')
    return undefined
  }
  const all = [...providers.values()]
  return { requires: compileRequirement(rule.requirementType.value, providers, notes), skipsPreflight: filter.bypassCorsPreflight, ownHeaders: all.flatMap((p) => [p.payloadHeader, ...p.claimHeaders.map((c) => c.header)]).filter((n) => n !== '') }
}

function compileProvider(p: ProviderProto, notes: Notes): Provider {
  notes.onlyServes(p, served)
  const source = p.jwksSourceSpecifier
  const text = source.case === 'localJwks' && source.value.specifier.case === 'inlineString' ? source.value.specifier.value : undefined
  if (text === undefined) notes.error('jwks: only local_jwks with an inline_string is understood')
  const keys = readKeys(text ?? '') ?? []
  const anywhere = p.fromHeaders.length + p.fromParams.length + p.fromCookies.length === 0
  return {
    issuer: p.issuer, audiences: new Set(p.audiences.map(plainAudience)), keys, keysMissing: keys.length > 0 && keys.every((k) => k.keyId === missingKeysId),
    headers: anywhere ? [{ name: 'authorization', prefix: 'Bearer ' }] : p.fromHeaders.map((h) => ({ name: h.name.toLowerCase(), prefix: h.valuePrefix })),
    params: anywhere ? ['access_token'] : p.fromParams, cookies: p.fromCookies, forward: p.forward, payloadHeader: p.forwardPayloadHeader.toLowerCase(), padPayload: p.padForwardPayloadHeader,
    claimHeaders: p.claimToHeaders.map((c) => ({ header: c.headerName.toLowerCase(), claim: c.claimName.split('.') })), spaceDelimited: p.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    skewSeconds: p.clockSkewSeconds === 0 ? 60 : p.clockSkewSeconds, metadataKey: p.payloadInMetadata,
  }
}

function compileRequirement(requirement: JwtRequirement, providers: ReadonlyMap<string, Provider>, notes: Notes): Requirement {
  const type = requirement.requiresType
  switch (type.case) {
    case 'providerName': {
      const provider = providers.get(type.value)
      if (provider !== undefined) return { kind: 'provider', provider }
      notes.error(`jwt_authn: there is no provider ${type.value}`)
      return { kind: 'any', of: [] }
    }
    case 'requiresAny':
      return { kind: 'any', of: type.value.requirements.map((r) => compileRequirement(r, providers, notes)) }
    case 'requiresAll':
      return { kind: 'all', of: type.value.requirements.map((r) => compileRequirement(r, providers, notes)) }
    case 'allowMissing':
      return { kind: 'missing' }
    case 'allowMissingOrFailed':
      return { kind: 'failed' }
    default:
      notes.error(`jwt_authn: requirement ${type.case ?? 'without a type'} is not understood`)
      return { kind: 'any', of: [] }
  }
}

const missing = 'Jwt is missing'
const unknownIssuer = 'Jwt issuer is not configured'
const wrongAudience = 'Audiences in Jwt are not allowed'

interface Question {
  readonly request: RouteRequest
  /** undefined: tokens are judged without their times. */
  readonly nowMs: number | undefined
  /** Whose keys could not be fetched: their signatures count. For answering questions, never for serving. */
  readonly believesUnknownKeys: boolean
}

/** What the tokens that hold change; '' = it holds. */
interface Outcome {
  readonly fault: string
  readonly effects: readonly Effect[]
}

interface Effect {
  readonly provider: Provider
  readonly claims: Claims
  readonly payload: string
  readonly from: { readonly header?: string; readonly param?: string }
}

export function decideJwt(jwt: JwtAuthn, request: RouteRequest, nowMs: number | undefined, believesUnknownKeys = false): JwtVerdict {
  const headers = new Map<string, string | undefined>(jwt.ownHeaders.filter((n) => request.header(n) !== undefined).map((n) => [n, undefined]))
  if (jwt.skipsPreflight && request.method === 'OPTIONS' && request.header('origin') !== undefined && request.header('access-control-request-method') !== undefined) return { kind: 'passed', headers }
  const { fault, effects } = ask(jwt.requires, { request, nowMs, believesUnknownKeys })
  if (fault !== '') return { kind: 'refused', status: fault === wrongAudience ? 403 : 401, message: fault, missing: fault === missing }
  let claims: Claims | undefined
  let path = request.path
  for (const effect of effects) {
    const { provider, from } = effect
    if (provider.metadataKey !== '') claims = normalized(effect)
    if (!provider.forward && from.header !== undefined) headers.set(from.header, undefined)
    if (!provider.forward && from.param !== undefined) path = withoutParam(path, from.param)
    if (provider.payloadHeader !== '') headers.set(provider.payloadHeader, provider.padPayload ? effect.payload.padEnd(Math.ceil(effect.payload.length / 4) * 4, '=') : effect.payload)
    for (const { header, claim } of provider.claimHeaders) {
      const value = headerValue(claimAt(effect.claims, claim))
      if (value !== undefined) headers.set(header, value)
    }
  }
  return { kind: 'passed', headers, ...(claims === undefined ? {} : { claims }), ...(path === request.path ? {} : { path }) }
}

function ask(requirement: Requirement, q: Question): Outcome {
  switch (requirement.kind) {
    case 'provider':
      return askProvider(requirement.provider, q)
    case 'all': {
      const effects: Effect[] = []
      for (const one of requirement.of) {
        const outcome = ask(one, q)
        if (outcome.fault !== '') return outcome
        effects.push(...outcome.effects)
      }
      return { fault: '', effects }
    }
    case 'any': {
      // Of several faults the one that says most: a token that fails, then one of another issuer, then none.
      let fault = missing
      for (const one of requirement.of) {
        if (one.kind === 'missing' || one.kind === 'failed') continue
        const outcome = ask(one, q)
        if (outcome.fault === '') return outcome
        if (outcome.fault !== missing && (outcome.fault !== unknownIssuer || fault === missing)) fault = outcome.fault
      }
      const pass = requirement.of.some((r) => r.kind === 'failed' || (r.kind === 'missing' && fault === missing))
      return { fault: pass ? '' : fault, effects: [] }
    }
    default:
      return { fault: '', effects: [] }
  }
}

/** Every token in the provider's places must hold. */
function askProvider(provider: Provider, q: Question): Outcome {
  const found = tokensOf(provider, q.request)
  if (found.length === 0) return { fault: missing, effects: [] }
  const effects: Effect[] = []
  for (const { text, from } of found) {
    const token = readToken(text)
    const fault = typeof token === 'string' ? token : faultOf(provider, token, q)
    if (typeof token === 'string' || fault !== undefined) return { fault: fault ?? missing, effects: [] }
    effects.push({ provider, claims: token.claims, payload: token.payload, from })
  }
  return { fault: '', effects }
}

function faultOf(provider: Provider, token: Exclude<ReturnType<typeof readToken>, string>, { nowMs, believesUnknownKeys }: Question): string | undefined {
  const { claims } = token
  if (provider.issuer !== '' && claims['iss'] !== provider.issuer) return unknownIssuer
  const time = nowMs === undefined ? undefined : timeFault(claims, nowMs, provider.skewSeconds)
  if (time !== undefined) return time
  if (provider.audiences.size > 0 && !audiencesOf(claims).some((a) => provider.audiences.has(plainAudience(a)))) return wrongAudience
  return believesUnknownKeys && provider.keysMissing ? undefined : signatureFault(token, provider.keys)
}

/** Scheme and last slash don't count, as in Envoy. */
function plainAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, '').replace(/\/$/, '')
}

interface Found {
  readonly text: string
  readonly from: Effect['from']
}

function tokensOf({ headers, params, cookies }: Provider, request: RouteRequest): Found[] {
  const found: Found[] = []
  for (const { name, prefix } of headers) {
    const value = request.header(name)
    const at = value === undefined ? -1 : value.indexOf(prefix)
    if (value === undefined || at < 0) continue
    found.push({ text: value.slice(at + prefix.length).trim(), from: { header: name } })
  }
  const query = request.path.includes('?') ? new URLSearchParams(request.path.slice(request.path.indexOf('?') + 1)) : undefined
  for (const param of params) {
    const text = query?.get(param)
    if (text !== null && text !== undefined) found.push({ text, from: { param } })
  }
  const jar = cookies.length === 0 ? undefined : request.header('cookie')
  for (const name of cookies) {
    const pair = jar?.split(';').map((p) => p.trim()).find((p) => p.startsWith(`${name}=`))
    if (pair !== undefined) found.push({ text: pair.slice(name.length + 1).replace(/^"(.*)"$/, '$1'), from: {} })
  }
  return found
}

function withoutParam(path: string, name: string): string {
  const at = path.indexOf('?')
  const left = path.slice(at + 1).split('&').filter((part) => !new URLSearchParams(part).has(name))
  return left.length === 0 ? path.slice(0, at) : `${path.slice(0, at)}?${left.join('&')}`
}

function normalized({ claims, provider }: Effect): Claims {
  const split = provider.spaceDelimited.flatMap((name) => (typeof claims[name] === 'string' ? [[name, claims[name].split(' ').filter((w) => w !== '')] as const] : []))
  return { ...claims, ...Object.fromEntries(split) }
}

export function claimAt(claims: unknown, path: readonly string[]): unknown {
  let value = claims
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/** Text, numbers and truth as they are; everything else as JSON in base64. Never a line of its own. */
function headerValue(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return /[\r\n\0]/.test(value) ? undefined : value
  // As Envoy writes what is no whole number.
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(6)
  return typeof value === 'object' ? Buffer.from(JSON.stringify(value)).toString('base64') : String(value)
}
