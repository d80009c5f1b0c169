// May the caller call? What the RBAC filters said, with the policies that had a say, the deciding one first.
import { byDefault, type Decided, type Reason } from '#lib/decided.ts'
import type { RbacVerdict } from '#engine'
import type { AccessPolicy, Authorization } from '#plan'

export function accessReasons(authorization: Authorization | undefined, verdicts: readonly RbacVerdict[]): Decided<'allow' | 'deny'> {
  if (authorization === undefined) return byDefault<'allow' | 'deny'>('allow', 'authorization.default')
  const last = verdicts.at(-1)
  const value = last?.allowed === false ? 'deny' : 'allow'
  const all = [...authorization.deny, ...authorization.allow]
  const hit = all.find((p) => !p.dryRun && last !== undefined && ruleIndex(last.policy, p) !== undefined)
  const others = all.filter((p) => p !== hit)
  const ignored = others.flatMap((p): Reason[] => {
    if (p.dryRun) return [{ rule: 'authorization.dry-run', source: p.ref, effect: 'ignored' }]
    return authorization.deny.includes(p) && (hit === undefined || authorization.allow.includes(hit)) ? [{ rule: 'authorization.deny-not-met', source: p.ref, effect: 'ignored' }] : []
  })
  const audited = verdicts.flatMap((v): Reason[] => {
    const policy = (authorization.audit ?? []).find((p) => v.audited !== undefined && ruleIndex(v.audited, p) !== undefined)
    return policy === undefined ? [] : [{ rule: 'authorization.audit', source: policy.rules[ruleIndex(v.audited ?? '', policy) ?? 0]?.ref ?? policy.ref, effect: 'chosen' }]
  })
  return { value, because: [chosen(authorization, hit, last, value), ...audited, ...ignored] }
}

function chosen(authorization: Authorization, hit: AccessPolicy | undefined, last: RbacVerdict | undefined, value: 'allow' | 'deny'): Reason {
  if (hit !== undefined && last !== undefined) return { rule: authorization.deny.includes(hit) ? (value === 'deny' ? 'authorization.deny' : 'authorization.deny-not-met') : 'authorization.allow', source: hit.rules[ruleIndex(last.policy, hit) ?? 0]?.ref ?? hit.ref, effect: 'chosen' }
  const limits = authorization.allow.find((p) => !p.dryRun)
  return limits !== undefined && value === 'deny' ? { rule: 'authorization.none-allows', source: limits.ref, effect: 'chosen' } : { rule: 'authorization.none-denies', source: 'default', effect: 'chosen' }
}

/** `ns[foo]-policy[httpbin]-rule[2]` of this policy → 2. */
function ruleIndex(name: string, { ref }: AccessPolicy): number | undefined {
  const head = `ns[${ref.namespace}]-policy[${ref.name}]-rule[`
  return name.startsWith(head) ? Number(name.slice(head.length, -1)) : undefined
}
