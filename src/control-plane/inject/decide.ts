// Who gets a sidecar: ordered adjudicators, each with a reason or nothing to say; the first that speaks decides.
// Webhook selectors first (would the API server ask at all?), then the injector's own rules, as Istio does it.
import { byDefault, type Decided, type Reason } from '#lib/decided.ts'
import type { Ref } from '#lib/problem.ts'
import { refTo, type ApiObject } from '#api'

export interface InjectionSettings {
  /** Also namespaces without any label (`enableNamespacesByDefault`). Default false. */
  readonly enableNamespacesByDefault?: boolean
  /** The injector's `policy`. Default enabled. */
  readonly policy?: 'enabled' | 'disabled'
  readonly neverInjectSelector?: readonly LabelSelector[]
  readonly alwaysInjectSelector?: readonly LabelSelector[]
  /** The revision that `istio.io/rev` must name. Default `default`. */
  readonly revision?: string
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

export interface InjectionCandidate {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly hostNetwork?: boolean
  readonly os?: string
  readonly namespace: string
  readonly namespaceLabels: Readonly<Record<string, string>>
  /** Where pod and namespace were written, for the reasons. */
  readonly pod?: ApiObject
  readonly namespaceObject?: ApiObject
  /** Path of the pod's metadata in its object: `metadata` or `spec.template.metadata`. */
  readonly metadataPath?: string
}

export const injectKey = 'sidecar.istio.io/inject'
export const ignoredNamespaces = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'])
const yes = new Set(['y', 'yes', 'true', 'on'])
const no = new Set(['n', 'no', 'false', 'off'])

/** true: the pod is injected. The reasons name what decided, the winner first. */
export function decideInjection(pod: InjectionCandidate, settings: InjectionSettings = {}): Decided<boolean> {
  const asked = selectedByWebhook(pod, settings)
  if (!asked.value) return asked
  return injectionRequired(pod, settings, asked.because)
}

/** The namespaceSelector and objectSelector of Istio's webhooks for one revision. */
function selectedByWebhook(pod: InjectionCandidate, settings: InjectionSettings): Decided<boolean> {
  const revision = settings.revision ?? 'default'
  const { namespaceLabels, labels } = pod
  const namespace = (key: string): Ref | 'default' => (pod.namespaceObject === undefined ? 'default' : refTo(pod.namespaceObject, `metadata.labels.${key}`))
  const own = labels[injectKey]
  const decided = (value: boolean, rule: string, source: Ref | 'default'): Decided<boolean> => ({ value, because: [{ rule, source, effect: 'chosen' }] })
  const injection = namespaceLabels['istio-injection']
  const revisionOfNamespace = namespaceLabels['istio.io/rev']
  const optedOut = own === 'false'
  if (injection === 'disabled') return decided(false, 'inject.namespace-disabled', namespace('istio-injection'))
  if (optedOut) return decided(false, 'inject.label', podRef(pod, 'labels'))
  if (injection === 'enabled') return revision === 'default' ? decided(true, 'inject.namespace-enabled', namespace('istio-injection')) : decided(false, 'inject.namespace-enabled', namespace('istio-injection'))
  if (injection !== undefined) return decided(false, 'inject.namespace-unlabelled', namespace('istio-injection'))
  if (revisionOfNamespace !== undefined) return decided(revisionOfNamespace === revision, 'inject.namespace-revision', namespace('istio.io/rev'))
  if (labels['istio.io/rev'] !== undefined) return decided(labels['istio.io/rev'] === revision, 'inject.pod-revision', podRef(pod, 'labels', 'istio.io/rev'))
  if (own === 'true') return decided(revision === 'default', 'inject.label', podRef(pod, 'labels'))
  if (own !== undefined) return decided(false, 'inject.namespace-unlabelled', 'default')
  if (settings.enableNamespacesByDefault === true && revision === 'default') return decided(true, 'inject.by-default', 'default')
  return byDefault(false, 'inject.namespace-unlabelled')
}

/** Istio's `injectRequired`: what the injector itself decides about a pod that it is asked about (also by kube-inject). */
export function injectionRequired(pod: InjectionCandidate, settings: InjectionSettings = {}, before: readonly Reason[] = []): Decided<boolean> {
  const decided = (value: boolean, rule: string, source: Ref | 'default'): Decided<boolean> => ({
    value,
    because: [{ rule, source, effect: 'chosen' }, ...before.map((r): Reason => (r.rule === rule ? { ...r, effect: 'ignored' } : { ...r, effect: 'overruled' })).filter((r) => r.rule !== rule)],
  })
  if (pod.hostNetwork === true) return decided(false, 'inject.host-network', podRef(pod, ''))
  if (ignoredNamespaces.has(pod.namespace)) return decided(false, 'inject.ignored-namespace', 'default')
  if (pod.os === 'windows') return decided(false, 'inject.windows', podRef(pod, ''))
  const where = pod.labels[injectKey] === undefined ? 'annotations' : 'labels'
  const word = (pod.labels[injectKey] ?? pod.annotations[injectKey] ?? '').toLowerCase()
  const rule = where === 'labels' ? 'inject.label' : 'inject.annotation'
  if (yes.has(word)) return decided(true, rule, podRef(pod, where))
  if (no.has(word)) return decided(false, rule, podRef(pod, where))
  if ((settings.neverInjectSelector ?? []).some((s) => selects(s, pod.labels))) return decided(false, 'inject.never-selector', 'default')
  if ((settings.alwaysInjectSelector ?? []).some((s) => selects(s, pod.labels))) return decided(true, 'inject.always-selector', 'default')
  if (settings.policy === 'disabled') return decided(false, 'inject.policy', 'default')
  return before.length > 0 ? { value: true, because: before } : decided(true, 'inject.policy', 'default')
}

function podRef(pod: InjectionCandidate, part: 'labels' | 'annotations' | '', key = injectKey): Ref | 'default' {
  if (pod.pod === undefined) return 'default'
  const metadata = pod.metadataPath ?? 'metadata'
  return refTo(pod.pod, part === '' ? metadata.replace(/metadata$/, 'spec.hostNetwork') : `${metadata}.${part}.${key}`)
}

/** Kubernetes' label selector; an empty one selects nothing here, as in Istio's injector. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(selector.matchLabels ?? {})
  const expressions = selector.matchExpressions ?? []
  if (wanted.length === 0 && expressions.length === 0) return false
  return wanted.every(([k, v]) => labels[k] === v) && expressions.every((e) => expressionHolds(e, labels))
}

function expressionHolds(e: { readonly key: string; readonly operator: string; readonly values?: readonly string[] }, labels: Readonly<Record<string, string>>): boolean {
  const value = labels[e.key]
  if (e.operator === 'In') return value !== undefined && (e.values ?? []).includes(value)
  if (e.operator === 'NotIn') return value === undefined || !(e.values ?? []).includes(value)
  if (e.operator === 'Exists') return value !== undefined
  return e.operator === 'DoesNotExist' && value === undefined
}
