// What the webhooks count, by Istio's names: pkg/kube/inject/monitoring.go, pkg/webhooks/validation/server/monitoring.go.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Review } from '#inject'
import type { ConfigReview } from './review-config.ts'

export interface WebhookMetrics {
  injected(review: Review, seconds: number): void
  validated(review: ConfigReview): void
  /** A request that held no review. */
  refused(route: string, why: string): void
  patched(name: string, outcome: 'done' | 'failed'): void
}

export function webhookMetrics(registry: Registry): WebhookMetrics {
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> => new Counter({ name, help, labelNames: [...labelNames], registers: [registry] })
  const requests = counter('sidecar_injection_requests_total', 'Total number of sidecar injection requests.')
  const successes = counter('sidecar_injection_success_total', 'Total number of successful sidecar injection requests.')
  const failures = counter('sidecar_injection_failure_total', 'Total number of failed sidecar injection requests.')
  const skips = counter('sidecar_injection_skip_total', 'Total number of skipped injection requests.')
  const time = new Histogram({ name: 'sidecar_injection_time_seconds', help: 'Time taken by an injection.', buckets: [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 1], registers: [registry] })
  const resource = ['group', 'version', 'resource'] as const
  const passed = counter('galley_validation_passed', 'Resource is valid.', resource)
  const failed = counter('galley_validation_failed', 'Resource validation failed.', [...resource, 'reason'])
  const httpErrors = counter('galley_validation_http_error', 'Resource validation HTTP serve errors.', ['reason'])
  const attempts = counter('webhook_patch_attempts_total', 'Webhook patching attempts.', ['name'])
  const patchFailures = counter('webhook_patch_failures_total', 'Webhook patching failures.', ['name'])
  return {
    injected({ outcome }, seconds) {
      requests.inc()
      time.observe(seconds)
      if (outcome === 'skipped') skips.inc()
      if (outcome === 'injected' || outcome === 'skipped') successes.inc()
      else failures.inc()
    },
    validated({ outcome, resource: of }) {
      if (outcome === 'passed') passed.inc(of)
      else failed.inc({ ...of, reason: outcome === 'refused' ? 'invalid_resource' : 'yaml_decode_error' })
    },
    refused(route, why) {
      if (route === 'validate') return httpErrors.inc({ reason: why })
      requests.inc()
      failures.inc()
    },
    patched(name, outcome) {
      attempts.inc({ name })
      if (outcome === 'failed') patchFailures.inc({ name })
    },
  }
}

/** `trust`: the webhook configurations of this control plane, and whether the API server believes all of their webhooks. */
export function trustMetric(registry: Registry, trust: () => ReadonlyMap<string, boolean>): void {
  const help = 'Whether the caBundle of all webhooks of a configuration verifies the certificate that is served (1) or not (0).'
  new Gauge({
    name: 'kith_webhook_trusted',
    help,
    labelNames: ['name'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [name, holds] of trust()) this.set({ name }, holds ? 1 : 0)
    },
  })
}
