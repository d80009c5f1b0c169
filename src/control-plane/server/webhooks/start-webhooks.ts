// The webhooks by themselves: a port, what they go by, what they count. Knows no cluster; cluster-webhooks.ts gives it one.
import type { Registry } from 'prom-client'
import type { Logger } from '#lib/log.ts'
import { refuseReview, reviewAdmission, type Review, type ReviewContext } from '#inject'
import type { ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { reviewConfig } from './review-config.ts'
import { onPath } from './inject-path.ts'
import { webhookMetrics, type WebhookMetrics } from './webhook-metrics.ts'
import { serveWebhooks, type WebhookServer, type WebhookServerOptions } from './webhook-server.ts'

export interface WebhooksOptions extends Pick<WebhookServerOptions, 'host' | 'port' | 'serving'> {
  /** What holds now for a pod on this node (none yet: undefined). A sentence: why nothing does; no pod is let in then. */
  readonly injector: (node: string | undefined) => ReviewContext | string
  /** What the mesh and its settings say of an object of its kinds, beyond what the object itself tells. Default: nothing. */
  readonly beyond?: (object: ApiObject) => readonly Problem[]
  /** What /ready says beside "ready". Default: nothing. */
  readonly notes?: () => readonly string[]
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
    const review = typeof injector === 'string' ? refuseReview(body, injector) : reviewAdmission(body, onPath(path, injector))
    metrics.injected(review, (performance.now() - from) / 1000)
    const { outcome, pod, decided, message } = review
    const fields = { outcome, namespace: pod?.namespace, pod: pod?.name, owner: pod?.controller?.name, rule: decided?.because[0]?.rule, dryRun: pod?.dryRun === true ? true : undefined, message }
    if (outcome === 'injected' || outcome === 'skipped') log.info(fields, 'pod reviewed')
    else log.warn(fields, 'pod reviewed')
    options.onReview?.(review)
    return review.answer
  }
  const validate = (body: unknown): object => {
    const review = reviewConfig(body, options.beyond)
    metrics.validated(review)
    if (review.outcome !== 'passed') log.info({ ...review.resource, message: review.message }, 'configuration refused')
    return review.answer
  }
  return serveWebhooks({ ...options, ready: () => typeof options.injector(undefined) !== 'string', routes: { inject, validate }, onRefused: (route, why) => metrics.refused(route, why) })
}

function nodeOf(body: unknown): string | undefined {
  const node = (body as { request?: { object?: { spec?: { nodeName?: unknown } } } } | null)?.request?.object?.spec?.nodeName
  return typeof node === 'string' && node !== '' ? node : undefined
}
