// The winner of a decision, for the resource's metadata: a proxy's own log line can then name the policy.
import type { Decided } from '#lib/decided.ts'
import { formatRef } from '#lib/problem.ts'
import type { Obj } from './json.ts'

export function kithMetadata(decided: Decided<unknown>): Obj {
  const winner = decided.because[0]
  return { rule: winner?.rule ?? '', source: winner === undefined || winner.source === 'default' ? 'default' : formatRef(winner.source) }
}

export function metadata(decided: Decided<unknown>, more: Obj = {}): Obj {
  return { filterMetadata: { kith: kithMetadata(decided), ...more } }
}
