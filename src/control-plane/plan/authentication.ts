// Tokens of end users: the rules of every RequestAuthentication that reaches a workload, with the keys that they are verified by.
// Istio: pilot/pkg/security/authn/policy_applier.go. Law: where keys are not there, no token holds; nothing is let through for that.
import { refTo, type RequestAuthentication } from '#api'
import type { Mesh } from '#mesh'
import { policyReaches } from './authorization.ts'
import type { PlanContext } from './context.ts'
import type { JwtRule } from './types.ts'

type Rule = NonNullable<RequestAuthentication['spec']['jwtRules']>[number]

/** Absent where nobody asks for tokens. All rules together, by their issuers. */
export function authenticated({ mesh, client }: PlanContext): { readonly authentication?: readonly JwtRule[] } {
  const rules = mesh.requestAuthentications.filter((p) => policyReaches(p, mesh, client)).flatMap((policy) => (policy.spec.jwtRules ?? []).map((rule, i) => jwtRule(policy, rule, i, mesh)))
  return rules.length === 0 ? {} : { authentication: rules.sort((a, b) => (a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : 0)) }
}

function jwtRule(policy: RequestAuthentication, rule: Rule, index: number, mesh: Mesh): JwtRule {
  const source = keySource(rule)
  const optional = { payloadHeader: rule.outputPayloadToHeader }
  return {
    ref: refTo(policy, `spec.jwtRules[${index}]`), issuer: rule.issuer ?? '', audiences: rule.audiences ?? [], keysFrom: source.url, keys: source.url === '' ? (rule.jwks ?? '') : (mesh.keys.get(keyOf(source)) ?? null),
    fromHeaders: (rule.fromHeaders ?? []).map((h) => ({ name: h.name ?? '', prefix: h.prefix ?? '' })), fromParams: rule.fromParams ?? [], fromCookies: rule.fromCookies ?? [], forward: rule.forwardOriginalToken ?? false,
    claimHeaders: (rule.outputClaimToHeaders ?? []).map((c) => ({ header: c.header ?? '', claim: c.claim ?? '' })), spaceDelimitedClaims: [...new Set(['permission', 'scope', ...(rule.spaceDelimitedClaims ?? [])])].sort(),
    ...(Object.fromEntries(Object.entries(optional).filter(([, v]) => v !== undefined && v !== '')) as object),
  }
}

export interface KeySource {
  /** '' = the keys stand in the rule. */
  readonly url: string
  /** The URL is the issuer's: what it serves says where the keys are. */
  readonly discovery: boolean
  readonly timeoutMs: number
}

/** Under which the mesh holds what was fetched. */
export function keyOf({ url, discovery }: Pick<KeySource, 'url' | 'discovery'>): string {
  return discovery ? `openid ${url}` : url
}

const usualTimeoutMs = 5000

function keySource(rule: Rule): KeySource {
  const timeoutMs = rule.timeout ?? usualTimeoutMs
  const uri = rule.jwksUri ?? rule.jwks_uri ?? ''
  if (uri !== '') return { url: uri, discovery: false, timeoutMs }
  if ((rule.jwks ?? '') !== '') return { url: '', discovery: false, timeoutMs }
  return { url: `${(rule.issuer ?? '').replace(/\/$/, '')}/.well-known/openid-configuration`, discovery: true, timeoutMs }
}

/** Everything that has to be fetched for this mesh. */
export function keysWanted(policies: readonly RequestAuthentication[]): ReadonlyMap<string, KeySource> {
  const sources = policies.flatMap((p) => (p.spec.jwtRules ?? []).map(keySource)).filter((s) => s.url !== '')
  return new Map(sources.map((s) => [keyOf(s), s]))
}
