// The webhooks by themselves: a port, what they go by, what they count. Knows no cluster; cluster-webhooks.ts gives it one.
import type { Registry } from 'prom-client'
import type { Logger } from '#lib/log.ts'
import { reviewAdmission, type Review, type ReviewContext } from '#inject'
import { reviewConfig } from './review-config.ts'
import { onPath } from './inject-path.ts'
import { webhookMetrics, type WebhookMetrics } from './webhook-metrics.ts'
import { serveWebhooks, type WebhookServer, type WebhookServerOptions } from './webhook-server.ts'

export interface WebhooksOptions extends Pick<WebhookServerOptions, 'host' | 'port' | 'serving'> {
  /** What holds now for a pod on this node (none yet: undefined). undefined: not known yet, and no pod is let in until it is. */
  readonly injector: (node: string | undefined) => ReviewContext | undefined
  readonly registry: Registry
  readonly metrics?: WebhookMetrics
  readonly onReview?: (review: Review) => void
  readonly log: Logger
}

export function startWebhooks(options: WebhooksOptions): Promise<WebhookServer> {
  const { log } = options
  const metrics = options.metrics ?? webhookMetrics(options.registry)
  const inject = (body: unknown, path: string): object => {
    const from = performance.now()
    const injector = options.injector(nodeOf(body))
    if (injector === undefined) throw new Error('asked before anything is known to inject by')
    const review = reviewAdmission(body, onPath(path, injector))
    metrics.injected(review, (performance.now() - from) / 1000)
    const { outcome, pod, decided, message } = review
    const fields = { outcome, namespace: pod?.namespace, pod: pod?.name, owner: pod?.controller?.name, rule: decided?.because[0]?.rule, dryRun: pod?.dryRun === true ? true : undefined, message }
    if (outcome === 'injected' || outcome === 'skipped') log.info(fields, 'pod reviewed')
    else log.warn(fields, 'pod reviewed')
    options.onReview?.(review)
    return review.answer
  }
  const validate = (body: unknown): object => {
    const review = reviewConfig(body)
    metrics.validated(review)
    if (review.outcome !== 'passed') log.info({ ...review.resource, message: review.message }, 'configuration refused')
    return review.answer
  }
  return serveWebhooks({ ...options, ready: () => options.injector(undefined) !== undefined, routes: { inject, validate }, onRefused: (route, why) => metrics.refused(route, why) })
}

function nodeOf(body: unknown): string | undefined {
  const node = (body as { request?: { object?: { spec?: { nodeName?: unknown } } } } | null)?.request?.object?.spec?.nodeName
  return typeof node === 'string' && node !== '' ? node : undefined
}
