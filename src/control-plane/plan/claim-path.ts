// Which claim of a token an AuthorizationPolicy's attribute asks for. Istio: authz/model/generator.go, requestAudiences, requestPresenter, requestClaim.

/** undefined: it asks for no claim, or for one in a way that nobody knows. */
export function claimPath(attribute: string): readonly string[] | undefined {
  if (attribute === 'request.auth.audiences') return ['aud']
  if (attribute === 'request.auth.presenter') return ['azp']
  return /^request\.auth\.claims(\[[^[\]]+\])+$/.test(attribute) ? [...attribute.matchAll(/\[([^[\]]+)\]/g)].map((m) => m[1] as string) : undefined
}
