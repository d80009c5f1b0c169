// The injector's webhooks among the files, and whom they select; a selector that is absent selects everybody, as Kubernetes has it.
import { selectorHolds, type LabelSelector } from '#lib/kubernetes/label-selector.ts'
import { isRecord, type ApiObject } from '#api'
import type { AnalysisContext, Labels } from './context.ts'

export interface InjectorWebhook {
  readonly object: ApiObject
  /** Of the configuration, then its own. */
  readonly name: string
  readonly index: number
  readonly namespaceSelector: LabelSelector | undefined
  readonly objectSelector: LabelSelector | undefined
  readonly service: { readonly namespace: string; readonly name: string } | undefined
}

/** Of MutatingWebhookConfigurations that have one of Istio's, or name a revision. */
export function injectorWebhooks(context: AnalysisContext): readonly InjectorWebhook[] {
  return context.all('MutatingWebhookConfiguration').flatMap((object) => {
    const list = Array.isArray(object.raw['webhooks']) ? object.raw['webhooks'].filter(isRecord) : []
    if (!list.some((w) => String(w['name']).endsWith('istio.io')) && object.metadata.labels['istio.io/rev'] === undefined) return []
    return list.map((w, index): InjectorWebhook => ({
      object, index, name: `${object.metadata.name}/${String(w['name'])}`, namespaceSelector: w['namespaceSelector'] as LabelSelector | undefined, objectSelector: w['objectSelector'] as LabelSelector | undefined, service: serviceOf(w),
    }))
  })
}

function serviceOf(webhook: Record<string, unknown>): InjectorWebhook['service'] {
  const config = webhook['clientConfig']
  const service = isRecord(config) ? config['service'] : undefined
  return isRecord(service) ? { namespace: String(service['namespace']), name: String(service['name']) } : undefined
}

export function webhookSelects(webhook: InjectorWebhook, namespaceLabels: Labels, objectLabels: Labels): boolean {
  return selectorHolds(webhook.namespaceSelector ?? {}, namespaceLabels) && selectorHolds(webhook.objectSelector ?? {}, objectLabels)
}

/** Every revision that the webhooks name. */
export function revisionsOf(webhooks: readonly InjectorWebhook[]): ReadonlySet<string> {
  const key = 'istio.io/rev'
  const of = (s: LabelSelector | undefined): string[] => [...(s?.matchLabels?.[key] === undefined ? [] : [s.matchLabels[key]]), ...(s?.matchExpressions ?? []).flatMap((e) => (e.key === key ? (e.values ?? []) : []))]
  return new Set(webhooks.flatMap((w) => [...(w.object.metadata.labels[key] === undefined ? [] : [w.object.metadata.labels[key]]), ...of(w.namespaceSelector), ...of(w.objectSelector)]))
}
