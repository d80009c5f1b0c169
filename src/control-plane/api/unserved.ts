// What a policy asks for and the mesh does not do: said wherever the policy turns up, with what happens instead. Nothing is silently ignored.
import type { Problem } from '#lib/problem.ts'
import type { AuthorizationPolicy, RequestAuthentication } from './kinds.ts'
import { refTo, type ApiObject } from './object.ts'
import { unservedFields } from './served-fields.ts'

export function unserved(object: ApiObject): readonly Problem[] {
  if (object.apiVersion.startsWith('networking.istio.io/')) return unservedFields(object)
  if (!object.apiVersion.startsWith('security.istio.io/')) return []
  if (object.kind === 'AuthorizationPolicy') return ofPolicy(object as AuthorizationPolicy)
  return object.kind === 'RequestAuthentication' ? [ofAuthentication(object as RequestAuthentication)] : []
}

function ofPolicy(policy: AuthorizationPolicy): Problem[] {
  const say = (path: string, message: string, help: string): Problem => ({ code: 'KITH0107', severity: 'warning', ref: refTo(policy, path), message, help })
  const { action = 'ALLOW', provider } = policy.spec
  const found: Problem[] = []
  if (action === 'CUSTOM') found.push(say('spec.action', `CUSTOM asks the provider ${provider?.name ?? ''}, which this mesh does not: every request that its rules match is denied`, 'write DENY or ALLOW, or expect 403'))
  if (action === 'AUDIT') found.push(say('spec.action', 'AUDIT is not served: nothing is marked for audit, and nothing denied', 'read the access log of the workload'))
  for (const [i, rule] of (policy.spec.rules ?? []).entries()) {
    const outcome = action === 'ALLOW' ? 'so this rule allows nobody by it' : 'so this rule denies without asking for it'
    const token = rule.from?.findIndex(({ source }) => (source?.requestPrincipals ?? source?.notRequestPrincipals) !== undefined) ?? -1
    if (token !== -1) found.push(say(`spec.rules[${i}].from[${token}].source`, 'tokens of end users are not verified by this mesh: no request has a principal of its own (requestPrincipals never match)', 'let the application verify them'))
    for (const [n, { key = '' }] of (rule.when ?? []).entries()) {
      if (key.startsWith('request.auth.')) found.push(say(`spec.rules[${i}].when[${n}].key`, `tokens of end users are not verified by this mesh: ${key} never matches`, 'let the application verify them'))
      if (key.startsWith('experimental.')) found.push(say(`spec.rules[${i}].when[${n}].key`, `${key} is not served, ${outcome}`, 'use another condition'))
    }
  }
  return found
}

function ofAuthentication(policy: RequestAuthentication): Problem {
  return { code: 'KITH0108', severity: 'warning', ref: refTo(policy, 'spec.jwtRules'), message: 'RequestAuthentication is NOT enforced by this mesh: tokens reach the application unverified, bad ones too', help: 'verify them in the application until it is' }
}
