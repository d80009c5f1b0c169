// What an object asks for and the mesh does not do: said wherever the object turns up, with what happens instead. Nothing is silently ignored.
// By kind: not-served-kinds.ts; by field: served-fields.ts.
import type { Problem } from '#lib/problem.ts'
import type { AuthorizationPolicy } from './kinds.ts'
import { unservedKind } from './not-served-kinds.ts'
import { refTo, type ApiObject } from './object.ts'
import { unservedFields } from './served-fields.ts'

export function unserved(object: ApiObject): readonly Problem[] {
  if (object.apiVersion.startsWith('networking.istio.io/')) return [...unservedKind(object), ...unservedFields(object)]
  if (!object.apiVersion.startsWith('security.istio.io/')) return unservedKind(object)
  return [...(object.kind === 'AuthorizationPolicy' ? ofPolicy(object as AuthorizationPolicy) : []), ...unservedFields(object)]
}

function ofPolicy(policy: AuthorizationPolicy): Problem[] {
  const say = (path: string, message: string, help: string): Problem => ({ code: 'KITH0107', severity: 'warning', ref: refTo(policy, path), message, help })
  const { action = 'ALLOW', provider } = policy.spec
  const found: Problem[] = []
  if (action === 'CUSTOM') found.push(say('spec.action', `CUSTOM asks the provider ${provider?.name ?? ''}, which this mesh does not: every request that its rules match is denied`, 'write DENY or ALLOW, or expect 403'))
  for (const [i, rule] of (policy.spec.rules ?? []).entries()) {
    const outcome = action === 'ALLOW' ? 'so this rule allows nobody by it' : 'so this rule denies without asking for it'
    for (const [n, { key = '' }] of (rule.when ?? []).entries()) {
      if (key.startsWith('experimental.')) found.push(say(`spec.rules[${i}].when[${n}].key`, `${key} is not served, ${outcome}`, 'use another condition'))
    }
  }
  return found
}
