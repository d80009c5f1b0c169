// When a request may be tried again: Envoy's retry_on conditions as a set, answered per failure. Law: pure; waiting and counting are the proxy's.
import { durationMs, fields, type Notes } from './notes.ts'
import type { RetryPolicy } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'

export interface RetryRules {
  readonly on: ReadonlySet<string>
  readonly attempts: number
  /** 0 = none. */
  readonly perTryTimeoutMs: number
  readonly statusCodes: ReadonlySet<number>
  readonly backoffMs: number
  readonly maxBackoffMs: number
  readonly avoidPreviousHosts: boolean
}

/** How one try ended. */
export type TryOutcome =
  | { readonly kind: 'status'; readonly status: number; readonly grpcStatus: string | undefined }
  | { readonly kind: 'connect-failure' }
  /** The upstream went away; `beforeRequest`: not a byte of the request had been sent. */
  | { readonly kind: 'reset'; readonly beforeRequest: boolean }
  /** An HTTP/2 server has said that it did nothing with it. */
  | { readonly kind: 'refused-stream' }
  | { readonly kind: 'per-try-timeout' }

const served = fields('retry_on num_retries per_try_timeout retry_host_predicate host_selection_retry_max_attempts retriable_status_codes retry_back_off')
const conditions = fields(`5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream retriable-status-codes retriable-headers http3-post-connect-failure
  cancelled deadline-exceeded internal resource-exhausted unavailable`)
const unserved = fields('envoy-ratelimited retriable-headers http3-post-connect-failure')
const grpcNames: Readonly<Record<string, string>> = { '1': 'cancelled', '4': 'deadline-exceeded', '8': 'resource-exhausted', '13': 'internal', '14': 'unavailable' }

export function compileRetry(policy: RetryPolicy, notes: Notes): RetryRules {
  notes.onlyServes(policy, served)
  const on = new Set<string>()
  for (const condition of policy.retryOn.split(',').map((c) => c.trim()).filter((c) => c !== '')) {
    if (!conditions.has(condition)) notes.error(`retry_on condition "${condition}" is unknown`)
    else if (unserved.has(condition)) notes.notServed(`retry_on ${condition}`)
    on.add(condition)
  }
  const predicates = policy.retryHostPredicate.map((p) => p.name)
  for (const name of predicates) if (name !== 'envoy.retry_host_predicates.previous_hosts') notes.notServed(`retry host predicate ${name}`)
  return {
    on,
    attempts: policy.numRetries ?? 1,
    perTryTimeoutMs: durationMs(policy.perTryTimeout, 0),
    statusCodes: new Set(policy.retriableStatusCodes),
    backoffMs: durationMs(policy.retryBackOff?.baseInterval, 25),
    maxBackoffMs: durationMs(policy.retryBackOff?.maxInterval, durationMs(policy.retryBackOff?.baseInterval, 25) * 10),
    avoidPreviousHosts: predicates.length > 0,
  }
}

export function mayRetry(rules: RetryRules, outcome: TryOutcome): boolean {
  const { on } = rules
  switch (outcome.kind) {
    case 'connect-failure':
      return on.has('connect-failure') || on.has('5xx') || on.has('gateway-error') || on.has('reset') || on.has('reset-before-request')
    case 'reset':
      return on.has('reset') || on.has('5xx') || on.has('gateway-error') || (on.has('reset-before-request') && outcome.beforeRequest)
    case 'refused-stream':
      return on.has('refused-stream') || on.has('reset') || on.has('5xx') || on.has('gateway-error') || on.has('reset-before-request')
    case 'per-try-timeout':
      return on.has('5xx') || on.has('gateway-error')
    case 'status': {
      const { status, grpcStatus } = outcome
      if (status >= 500 && on.has('5xx')) return true
      if ((status === 502 || status === 503 || status === 504) && on.has('gateway-error')) return true
      if (status === 409 && on.has('retriable-4xx')) return true
      if (on.has('retriable-status-codes') && rules.statusCodes.has(status)) return true
      const name = grpcStatus === undefined ? undefined : grpcNames[grpcStatus]
      return name !== undefined && on.has(name)
    }
  }
}

/** Full-jittered exponential back-off, as Envoy's. `pick` is in [0,1). */
export function retryDelayMs(rules: RetryRules, attempt: number, pick: number): number {
  return Math.floor(Math.min(rules.maxBackoffMs, rules.backoffMs * 2 ** attempt) * pick)
}
