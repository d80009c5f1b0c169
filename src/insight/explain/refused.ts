// What the server's policies said of a call, as outcome, reason and remedy: access rules and tokens.
import type { Decided } from '#lib/decided.ts'
import { blockedBy, type Ends } from './ends.ts'
import { answered } from './symptom.ts'
import type { Verdict, Words } from './verdict.ts'

/** `failed`: of each ALLOW rule the clause that the call does not meet. */
export function denied(
  w: Words,
  where: string,
  http: boolean,
  decided: Decided<'allow' | 'deny'>,
  failed: () => Ends['allowed-by-none']['failed'],
): Verdict {
  const source = decided.because[0]?.source ?? 'default'
  const symptom = http
    ? answered(w.grpc, 403, 'server', { message: 'RBAC: access denied' })
    : 'the connection is closed once the first bytes arrive'
  if (decided.because[0]?.rule !== 'authorization.none-allows')
    return {
      outcome: 'blocked',
      blocked: blockedBy('denied-by-rule', 'server', symptom, { where, source }),
      provided: null,
    }
  const caller =
    w.identity === '' ? 'a caller without a certificate of the mesh' : w.identity.replace('spiffe://', '')
  return {
    outcome: 'blocked',
    blocked: blockedBy('allowed-by-none', 'server', symptom, { where, caller, failed: failed(), source }),
    provided: null,
  }
}
