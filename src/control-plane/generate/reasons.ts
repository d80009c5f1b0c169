// The winner of a decision, for the resource's metadata: a proxy's own log line can then name the policy.
import type { Decided } from '#lib/decided.ts'
import { formatRef } from '#lib/problem.ts'
import type { ProxyPlan } from '#plan'
import type { Obj } from './json.ts'

export function kithMetadata(decided: Decided<unknown>): Obj {
  const winner = decided.because[0]
  return { rule: winner?.rule ?? '', source: winner === undefined || winner.source === 'default' ? 'default' : formatRef(winner.source) }
}

export function metadata(decided: Decided<unknown>, more: Obj = {}): Obj {
  return { filterMetadata: { kith: kithMetadata(decided), ...more } }
}

/** What this proxy would do if the mesh served it, for its own log. It travels on a cluster that takes no calls, so that no connection ends when it changes. */
export function notServed({ problems }: Pick<ProxyPlan, 'problems'>): Obj | undefined {
  const said = notServedBy({ problems })
  return said.length === 0 ? undefined : { filterMetadata: { kith: { not_served: [...said] } } }
}

export function notServedBy({ problems }: Pick<ProxyPlan, 'problems'>): readonly string[] {
  return problems.filter((p) => p.code === 'KITH0121').map((p) => `${formatRef(p.ref)}: ${p.message}`).sort()
}
