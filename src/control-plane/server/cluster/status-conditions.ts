// What an object's status shall say of it: whether it was taken up, and what is wrong with it. Pure.
import type { Problem } from '#lib/problem.ts'
import { isRecord } from '#api'

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
  readonly observedGeneration: number
  readonly lastTransitionTime: string
}

const type = 'Accepted'
/** A status is no log: who wants all asks `analyze`. */
const longestMessage = 1024

/** The status to write, or undefined where it stands already. What others wrote beside it stays. */
export function statusToWrite(present: unknown, generation: number, problems: readonly Problem[], nowMs: number): object | undefined {
  const before = isRecord(present) ? present : {}
  const conditions = (Array.isArray(before['conditions']) ? before['conditions'] : []).filter(isRecord)
  const mine = conditions.find((c) => c['type'] === type)
  const refused = problems.some((p) => p.severity === 'error')
  const status = refused ? 'False' : 'True'
  const reason = refused ? 'Invalid' : problems.length > 0 ? 'AcceptedWithWarnings' : 'Accepted'
  const message = textOf(problems)
  if (mine?.['status'] === status && mine['reason'] === reason && (mine['message'] ?? '') === message && Number(mine['observedGeneration'] ?? 0) === generation && Number(before['observedGeneration'] ?? 0) === generation) return undefined
  const since = mine?.['status'] === status && typeof mine['lastTransitionTime'] === 'string' ? mine['lastTransitionTime'] : new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
  const condition: Condition = { type, status, reason, message, observedGeneration: generation, lastTransitionTime: since }
  return { observedGeneration: generation, conditions: [...conditions.filter((c) => c['type'] !== type), condition] }
}

function textOf(problems: readonly Problem[]): string {
  const all = problems.map((p) => `${p.severity} ${p.code}${p.ref.path === '' ? '' : ` ${p.ref.path}`}: ${p.message}${p.help === undefined ? '' : ` (${p.help})`}`).join('; ')
  return all.length <= longestMessage ? all : `${all.slice(0, longestMessage - 1)}…`
}
