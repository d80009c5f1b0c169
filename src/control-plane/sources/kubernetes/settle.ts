// When a change is taken up: after a short quiet, as Istio does (100 ms, at most 10 s); one of endpoints at once. Pure: times in, time out.

export interface Pending {
  readonly firstMs: number
  readonly lastMs: number
  readonly urgent: boolean
}

export interface LastRun {
  readonly endMs: number
  readonly tookMs: number
}

export const quietMs = 100
export const longestMs = 10_000
/** Of the time, at most a third goes into urgent runs: a rollout of hundreds of pods is taken up in some runs, not hundreds. */
const restFactor = 2

/** The time at which the pending changes shall be taken up. */
export function dueMs(pending: Pending, last: LastRun | undefined): number {
  if (!pending.urgent) return Math.min(pending.lastMs + quietMs, pending.firstMs + longestMs)
  return last === undefined ? pending.firstMs : Math.max(pending.firstMs, last.endMs + restFactor * last.tookMs)
}

export function notice(pending: Pending | undefined, nowMs: number, urgent: boolean): Pending {
  return pending === undefined ? { firstMs: nowMs, lastMs: nowMs, urgent } : { firstMs: pending.firstMs, lastMs: nowMs, urgent: pending.urgent || urgent }
}
