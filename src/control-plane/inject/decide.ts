// Who gets a sidecar: ordered adjudicators, each with a reason or nothing to say; the first that speaks decides.
// Webhook selectors first (would the API server ask at all?), then the injector's own rules, as Istio does it.
import { byDefault, type Decided, type Reason } from '#lib/decided.ts'
import { isEmptySelector, selectorHolds, type LabelSelector } from '#lib/kubernetes/label-selector.ts'
import type { Ref } from '#lib/problem.ts'
import { refTo, type ApiObject } from '#api'

export interface InjectionSettings {
  /** Also namespaces without any label (`enableNamespacesByDefault`). Default false. */
  readonly enableNamespacesByDefault?: boolean
  /** The injector's `policy`. Default enabled. `invalid`: another word; nobody is injected then, as in Istio. */
  readonly policy?: 'enabled' | 'disabled' | 'invalid'
  readonly neverInjectSelector?: readonly LabelSelector[]
  readonly alwaysInjectSelector?: readonly LabelSelector[]
  /** The revision that `istio.io/rev` must name. Default `default`. */
  readonly revision?: string
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
export const ignoredNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'])

interface Verdict {
  readonly value: boolean
  readonly rule: string
  readonly source: Ref | 'default'
}
/** undefined: nothing to say. */
type Adjudicator = (pod: InjectionCandidate, settings: InjectionSettings) => Verdict | undefined

const byLabel = (pod: InjectionCandidate, value: boolean, key = injectKey): Verdict => ({ value, rule: key === injectKey ? 'inject.label' : 'inject.pod-revision', source: podRef(pod, 'labels', key) })
const isDefault = (settings: InjectionSettings): boolean => revisionOf(settings) === 'default'
const revisionOf = (settings: InjectionSettings): string => settings.revision ?? 'default'

/** Would the API server ask at all? The namespaceSelector and objectSelector of Istio's webhooks for one revision. */
const webhookSelectors: readonly Adjudicator[] = [
  function namespaceDisabled(pod) {
    if (pod.namespaceLabels['istio-injection'] === 'disabled') return { value: false, rule: 'inject.namespace-disabled', source: namespaceRef(pod, 'istio-injection') }
  },
  function podOptsOut(pod) {
    if (pod.labels[injectKey] === 'false') return byLabel(pod, false)
  },
  function namespaceEnabled(pod, settings) {
    if (pod.namespaceLabels['istio-injection'] === 'enabled') return { value: isDefault(settings), rule: 'inject.namespace-enabled', source: namespaceRef(pod, 'istio-injection') }
  },
  function namespaceLabelOdd(pod) {
    if (pod.namespaceLabels['istio-injection'] !== undefined) return { value: false, rule: 'inject.namespace-unlabelled', source: namespaceRef(pod, 'istio-injection') }
  },
  function namespaceRevision(pod, settings) {
    const revision = pod.namespaceLabels['istio.io/rev']
    if (revision !== undefined) return { value: revision === revisionOf(settings), rule: 'inject.namespace-revision', source: namespaceRef(pod, 'istio.io/rev') }
  },
  function podRevision(pod, settings) {
    const revision = pod.labels['istio.io/rev']
    if (revision !== undefined) return byLabel(pod, revision === revisionOf(settings), 'istio.io/rev')
  },
  function podOptsIn(pod, settings) {
    if (pod.labels[injectKey] === 'true') return byLabel(pod, isDefault(settings))
  },
  function everyone(pod, settings) {
    if (settings.enableNamespacesByDefault === true && isDefault(settings) && pod.labels[injectKey] === undefined) return { value: true, rule: 'inject.by-default', source: 'default' }
  },
]

/** Istio's `injectRequired`: what the injector itself says about a pod that it is asked about. */
const injectorRules: readonly Adjudicator[] = [
  function hostNetwork(pod) {
    if (pod.hostNetwork === true) return { value: false, rule: 'inject.host-network', source: specRef(pod, 'hostNetwork') }
  },
  function systemNamespace(pod) {
    if (ignoredNamespaces.has(pod.namespace)) return { value: false, rule: 'inject.ignored-namespace', source: 'default' }
  },
  function windows(pod) {
    if (pod.os === 'windows') return { value: false, rule: 'inject.windows', source: specRef(pod, 'os.name') }
  },
  // Its kubelet runs what its file says: nothing would run the sidecar.
  function mirrorPod(pod) {
    if (pod.annotations['kubernetes.io/config.mirror'] !== undefined) return { value: false, rule: 'inject.mirror-pod', source: podRef(pod, 'annotations', 'kubernetes.io/config.mirror') }
  },
  function policyOdd(_pod, settings) {
    if (settings.policy === 'invalid') return { value: false, rule: 'inject.policy', source: 'default' }
  },
  // The label beats the annotation; what is neither true nor false leaves it to those below.
  function askedByPod(pod) {
    const where = pod.labels[injectKey] === undefined ? 'annotations' : 'labels'
    const word = pod[where][injectKey]
    if (word === 'true' || word === 'false') return { value: word === 'true', rule: where === 'labels' ? 'inject.label' : 'inject.annotation', source: podRef(pod, where) }
  },
  function neverSelected(pod, settings) {
    if ((settings.neverInjectSelector ?? []).some((s) => selects(s, pod.labels))) return { value: false, rule: 'inject.never-selector', source: 'default' }
  },
  function alwaysSelected(pod, settings) {
    if ((settings.alwaysInjectSelector ?? []).some((s) => selects(s, pod.labels))) return { value: true, rule: 'inject.always-selector', source: 'default' }
  },
  function policyDisabled(_pod, settings) {
    if (settings.policy === 'disabled') return { value: false, rule: 'inject.policy', source: 'default' }
  },
]

/** true: the pod is injected. The reasons name what decided, the winner first. */
export function decideInjection(pod: InjectionCandidate, settings: InjectionSettings = {}): Decided<boolean> {
  const selected = firstOf(webhookSelectors, pod, settings)
  const asked: Decided<boolean> = selected === undefined ? byDefault(false, 'inject.namespace-unlabelled') : decided(selected)
  return asked.value ? injectionRequired(pod, settings, asked.because) : asked
}

/** Also for kube-inject, where no API server asks. */
export function injectionRequired(pod: InjectionCandidate, settings: InjectionSettings = {}, before: readonly Reason[] = []): Decided<boolean> {
  const verdict = firstOf(injectorRules, pod, settings)
  if (verdict === undefined) return before.length > 0 ? { value: true, because: before } : byDefault(true, 'inject.policy')
  const lost = before.filter((r) => r.rule !== verdict.rule).map((r): Reason => ({ ...r, effect: 'overruled' }))
  return { value: verdict.value, because: [...decided(verdict).because, ...lost] }
}

function firstOf(adjudicators: readonly Adjudicator[], pod: InjectionCandidate, settings: InjectionSettings): Verdict | undefined {
  for (const adjudicate of adjudicators) {
    const verdict = adjudicate(pod, settings)
    if (verdict !== undefined) return verdict
  }
  return undefined
}

function decided({ value, rule, source }: Verdict): Decided<boolean> {
  return { value, because: [{ rule, source, effect: 'chosen' }] }
}

function namespaceRef(pod: InjectionCandidate, key: string): Ref | 'default' {
  return pod.namespaceObject === undefined ? 'default' : refTo(pod.namespaceObject, `metadata.labels.${key}`)
}

function podRef(pod: InjectionCandidate, part: 'labels' | 'annotations', key = injectKey): Ref | 'default' {
  return pod.pod === undefined ? 'default' : refTo(pod.pod, `${pod.metadataPath ?? 'metadata'}.${part}.${key}`)
}

function specRef(pod: InjectionCandidate, field: string): Ref | 'default' {
  return pod.pod === undefined ? 'default' : refTo(pod.pod, (pod.metadataPath ?? 'metadata').replace(/metadata$/, `spec.${field}`))
}

/** An empty selector selects nothing here, as in Istio's injector. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return !isEmptySelector(selector) && selectorHolds(selector, labels)
}
