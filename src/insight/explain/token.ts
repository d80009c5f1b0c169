// What becomes of a request's token, in words. Law: the engine has decided; of a token its issuer and subject are said, never the token.
import type { Claims } from '#engine'
import { formatRef } from '#lib/problem.ts'
import type { JwtRule } from '#plan'
import type { InboundDecision } from '../simulate/index.ts'
import { blockedBy } from './ends.ts'
import { answered } from './symptom.ts'
import type { Verdict, Words } from './verdict.ts'

const remedies: readonly (readonly [RegExp, string])[] = [
  [/expired/, 'ask the issuer for a new token'], [/not yet/, 'wait, or set the clocks'], [/issuer/, 'send a token of one of the issuers, or add a rule for its own'],
  [/Audiences/, 'ask for a token for this audience, or add it to the rule’s audiences'], [/Jwks|verification/, 'send a token that one of the issuer’s keys has signed; look at jwks or jwksUri'], [/./, 'send a JSON Web Token, or none'],
]

/** undefined: no token was refused. */
export function tokenVerdict(decision: InboundDecision, w: Words, rules: readonly JwtRule[] | undefined): Verdict | undefined {
  if (decision.kind !== 'token-refused') return undefined
  const { message, status } = decision.verdict
  const source = rules?.[0]?.ref ?? 'default'
  const asked = rules === undefined || rules.length < 2 ? '' : ` and ${rules.length - 1} more`
  const fix = remedies.find(([pattern]) => pattern.test(message))?.[1] ?? ''
  return {
    outcome: 'blocked', provided: null,
    blocked: blockedBy('token-refused', 'server', answered(w.grpc, status, 'server', { message }), { server: w.name, rules: `${source === 'default' ? '' : formatRef(source)}${asked}`, message, fix, source }),
  }
}

/** `issuer/subject`, as AuthorizationPolicy names it. */
export function principalOf({ iss, sub }: Claims): string {
  return `${typeof iss === 'string' ? iss : ''}/${typeof sub === 'string' ? sub : ''}`
}

/** Keys that the control plane fetches and that are not at hand here; null: the signature was looked at. */
export function keysNeeded(claims: Claims, rules: readonly JwtRule[] = []): string | null {
  const rule = rules.find((r) => r.issuer === claims['iss'])
  return rule === undefined || rule.keys !== null ? null : `one of the keys at ${rule.keysFrom.split('?')[0]}, which were not fetched for this answer, made the token’s signature`
}
