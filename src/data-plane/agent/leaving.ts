// When a sidecar that was told to end may do so: not while callers may still come, nor while work is open. Pure.
// Istio: pkg/envoy/agent.go; TERMINATION_DRAIN_DURATION_SECONDS, EXIT_ON_ZERO_ACTIVE_CONNECTIONS, MINIMUM_DRAIN_DURATION.

export interface LeavingSettings {
  /** Istio: 5 s. */
  readonly drainMs: number
  /** Stay as long as connections are open, until the kubelet's patience ends. */
  readonly untilIdle: boolean
  /** With `untilIdle`: at least this long, for callers that have not heard yet. */
  readonly leastMs: number
  /** Nobody comes any more once nothing is open: no reason to sit out `drainMs`. */
  readonly whenIdle: boolean
}

export interface Leaving {
  /** Since the sidecar was told to end. */
  readonly elapsedMs: number
  readonly connections: number
  /** The application has ended before (a native sidecar), or has asked for the end itself. */
  readonly alone: boolean
}

export function mayLeave(settings: LeavingSettings, now: Leaving): boolean {
  const idle = now.connections === 0
  if (settings.whenIdle || now.alone) return idle || now.elapsedMs >= settings.drainMs
  if (settings.untilIdle) return idle && now.elapsedMs >= settings.leastMs
  return now.elapsedMs >= settings.drainMs
}
