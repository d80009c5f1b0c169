// What the webhooks of a cluster, as they stand there, would do with one pod: for each of them whether it injects, and by which label. Pure.
// istioctl: pkg/checkinject. Where somebody has changed a selector by hand, this tells of what holds, not of what should.
import { selectorHolds, type LabelSelector } from '#lib/kubernetes/label-selector.ts'
import { isRecord, rules } from '#api'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { injectionRequired, injectKey, type InjectionCandidate, type InjectionSettings } from './decide.ts'

export interface WebhookCheck {
  /** Name of the MutatingWebhookConfiguration. */
  readonly webhook: string
  readonly revision: string
  readonly injected: boolean
  readonly reason: string
}

interface Webhook {
  readonly name: string
  readonly namespaceSelector: LabelSelector
  readonly objectSelector: LabelSelector
}

/** `settingsOf`: what the injector of a revision goes by. */
export function checkWebhooks(configurations: readonly KubernetesObject[], pod: InjectionCandidate, settingsOf: (revision: string) => InjectionSettings): WebhookCheck[] {
  const namespaceLabels = { 'kubernetes.io/metadata.name': pod.namespace, ...pod.namespaceLabels }
  return configurations.flatMap((configuration): WebhookCheck[] => {
    const webhooks = injectorWebhooks(configuration)
    if (webhooks.length === 0) return []
    const revision = configuration.metadata.labels?.['istio.io/rev'] ?? 'default'
    const said = { webhook: configuration.metadata.name ?? '', revision }
    const asks = webhooks.find((w) => selectorHolds(w.namespaceSelector, namespaceLabels) && selectorHolds(w.objectSelector, pod.labels))
    if (asks === undefined) return [{ ...said, injected: false, reason: whyNot(webhooks, pod) }]
    const verdict = injectionRequired(pod, settingsOf(revision))
    if (verdict.value) return [{ ...said, injected: true, reason: whyYes(asks) }]
    const rule = verdict.because[0]?.rule ?? ''
    return [{ ...said, injected: false, reason: rules[rule]?.sentence ?? rule }]
  }).toSorted((a, b) => (a.webhook < b.webhook ? -1 : 1))
}

function injectorWebhooks(configuration: KubernetesObject): Webhook[] {
  const list = configuration['webhooks']
  if (!Array.isArray(list)) return []
  const selector = (raw: unknown): LabelSelector => (isRecord(raw) ? (raw as LabelSelector) : {})
  return (list as unknown[]).filter((w): w is Record<string, unknown> => isRecord(w) && /(^|\.)sidecar-injector\.istio\.io$/.test(String(w['name']))).map((w) => ({ name: String(w['name']), namespaceSelector: selector(w['namespaceSelector']), objectSelector: selector(w['objectSelector']) }))
}

function whyYes({ namespaceSelector, objectSelector }: Webhook): string {
  const [namespace, pod] = [wanted(namespaceSelector), wanted(objectSelector)]
  if (pod.length > 0) return `pod label ${pod.join(', ')} matches`
  return namespace.length > 0 ? `namespace label ${namespace.join(', ')} matches` : 'no label says anything, and this webhook takes those too'
}

function whyNot(webhooks: readonly Webhook[], pod: InjectionCandidate): string {
  if (pod.namespaceLabels['istio-injection'] === 'disabled') return 'namespace label istio-injection=disabled prevents injection'
  if (pod.labels[injectKey] === 'false') return `pod label ${injectKey}=false prevents injection`
  const system = webhooks.every((w) => (w.namespaceSelector.matchExpressions ?? []).some((e) => e.key === 'kubernetes.io/metadata.name' && e.operator === 'NotIn' && (e.values ?? []).includes(pod.namespace)))
  if (system) return 'system namespaces are never injected'
  const all = (of: (w: Webhook) => LabelSelector): string => [...new Set(webhooks.flatMap((w) => wanted(of(w))))].join(', ')
  return `neither a namespace label (${all((w) => w.namespaceSelector)}) nor a pod label (${all((w) => w.objectSelector)}) matches`
}

/** `istio-injection=enabled` */
function wanted(selector: LabelSelector): string[] {
  const equal = Object.entries(selector.matchLabels ?? {}).map(([k, v]) => `${k}=${v}`)
  return [...equal, ...(selector.matchExpressions ?? []).filter((e) => e.operator === 'In').map((e) => `${e.key}=${(e.values ?? []).join('|')}`)]
}
