// Rules for tokens → Envoy's jwt_authn filter, as Istio composes it: a token that is there must hold; none at all is for the policies to judge.
import type { JwtRule } from '#plan'
import { missingKeys } from '#xds'
import { some, typed, type Obj } from './json.ts'

export function jwtFilters(rules: readonly JwtRule[] | undefined): Obj[] {
  if (rules === undefined) return []
  const named = rules.map((rule, i) => ({ name: `origins-${i}`, rule }))
  const each = named.map(({ name }): Obj => ({ requiresAny: { requirements: [{ providerName: name }, { allowMissing: {} }] } }))
  // Providers that look in the same place: a token of one of them is enough.
  const requires = each.length === 1 ? (each[0] as Obj) : { requiresAny: { requirements: [...named.map(({ name }): Obj => ({ providerName: name })), { requiresAll: { requirements: each } }] } }
  const config = { providers: Object.fromEntries(named.map(({ name, rule }) => [name, provider(rule)])), rules: [{ match: { prefix: '/' }, requires }], bypassCorsPreflight: true }
  return [{ name: 'envoy.filters.http.jwt_authn', typedConfig: typed('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', config) }]
}

function provider(rule: JwtRule): Obj {
  const list = <T>(values: readonly T[]): T[] | undefined => (values.length === 0 ? undefined : [...values])
  return some({
    issuer: rule.issuer, audiences: list(rule.audiences), localJwks: { inlineString: rule.keys ?? missingKeys }, forward: rule.forward ? true : undefined, forwardPayloadHeader: rule.payloadHeader,
    fromHeaders: list(rule.fromHeaders.map((h) => some({ name: h.name, valuePrefix: h.prefix === '' ? undefined : h.prefix }))), fromParams: list(rule.fromParams), fromCookies: list(rule.fromCookies),
    payloadInMetadata: 'payload', normalizePayloadInMetadata: { spaceDelimitedClaims: [...rule.spaceDelimitedClaims] },
    claimToHeaders: list(rule.claimHeaders.map((c) => ({ headerName: c.header, claimName: c.claim }))),
  })
}
