// The objects that tell an API server whom to ask about which pods and which of the mesh's kinds. Istio's selectors, per revision and per tag.
// Law: the table of decide.ts and these selectors say the same; an outage of the control plane never blocks Kubernetes' own namespaces.
// Istio: manifests/charts/istio-control/istio-discovery/templates/{mutatingwebhook,revision-tags,validatingwebhookconfiguration}.yaml.
import { istioGroups } from '#api'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { ignoredNamespaces, injectKey } from './decide.ts'

export interface WebhookOptions {
  /** `default`, or the revision that namespaces name in `istio.io/rev`. */
  readonly revision: string
  /** Where the control plane runs. */
  readonly namespace: string
  /** A tag: pods that name it are sent to `revision`. The tag `default` also takes over `istio-injection=enabled`. */
  readonly tag?: string
  /** PEM. Left out, the control plane fills it in. */
  readonly caBundle?: string
  /** Instead of the Service: where the control plane's webhooks are reached, such as `https://10.0.0.1:15017`. */
  readonly url?: string
  /** Also namespaces without any label. Default false. */
  readonly enableNamespacesByDefault?: boolean
}

/** An expression in CEL that must hold for a request to be sent to a webhook; API servers know them from 1.28 on. */
export interface MatchCondition {
  readonly name: string
  readonly expression: string
}

const injectAnnotation = `has(object.metadata.annotations) && '${injectKey}' in object.metadata.annotations`
const injectLabel = `has(object.metadata.labels) && '${injectKey}' in object.metadata.labels`

/**
 * Pods that the injector refuses whatever its settings say: it is not asked about them, so that they come while the control
 * plane is down. The rules are decide.ts's (hostNetwork, windows, mirrorPod, askedByPod): the label beats the annotation.
 */
export const injectorConditions: readonly MatchCondition[] = [
  { name: 'not-on-the-host-network', expression: '!has(object.spec.hostNetwork) || !object.spec.hostNetwork' },
  { name: 'not-for-windows', expression: "!has(object.spec.os) || object.spec.os.name != 'windows'" },
  {
    name: 'not-a-mirror-pod',
    expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
  },
  {
    name: 'not-opted-out-by-annotation',
    expression: `(${injectLabel}) || !(${injectAnnotation} && object.metadata.annotations['${injectKey}'] == 'false')`,
  },
]

interface Expression {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  readonly values?: readonly string[]
}

const rev = 'istio.io/rev'
const injection = 'istio-injection'
const is = (key: string, ...values: string[]): Expression => ({ key, operator: 'In', values })
const isNot = (key: string, ...values: string[]): Expression => ({ key, operator: 'NotIn', values })
const absent = (key: string): Expression => ({ key, operator: 'DoesNotExist' })
const notRefused = isNot(injectKey, 'false')
const notSystem = isNot('kubernetes.io/metadata.name', ...ignoredNamespaces)

/** MutatingWebhookConfiguration first, ValidatingWebhookConfiguration second; a tag other than `default` has none of its own. */
export function webhookConfigurations(options: WebhookOptions): KubernetesObject[] {
  const validating = options.tag === undefined || options.tag === 'default' ? [validatingConfiguration(options)] : []
  return [mutatingConfiguration(options), ...validating]
}

/** `istio-sidecar-injector[-R]` or `istio-revision-tag-T`; outside istio-system the namespace is appended, as Istio does. */
export function mutatingName(options: Pick<WebhookOptions, 'revision' | 'namespace' | 'tag'>): string {
  const own = options.tag === undefined ? `istio-sidecar-injector${suffix(options.revision)}` : `istio-revision-tag-${options.tag}`
  return options.namespace === 'istio-system' ? own : `${own}-${options.namespace}`
}

export function validatingName(options: Pick<WebhookOptions, 'revision' | 'namespace' | 'tag'>): string {
  return options.tag === 'default' ? 'istiod-default-validator' : `istio-validator${suffix(options.revision)}-${options.namespace}`
}

function suffix(revision: string): string {
  return revision === 'default' ? '' : `-${revision}`
}

function mutatingConfiguration(options: WebhookOptions): KubernetesObject {
  const name = options.tag ?? options.revision
  const webhook = (prefix: string, namespaces: readonly Expression[], pods: readonly Expression[]): object => ({
    name: `${prefix}.sidecar-injector.istio.io`,
    clientConfig: clientConfig(options, '/inject'),
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: 'Namespaced' }],
    failurePolicy: 'Fail', matchPolicy: 'Equivalent', sideEffects: 'None', reinvocationPolicy: 'IfNeeded', timeoutSeconds: 10, admissionReviewVersions: ['v1'],
    namespaceSelector: { matchExpressions: [...namespaces, notSystem] },
    objectSelector: { matchExpressions: pods }, matchConditions: injectorConditions,
  })
  const webhooks = [webhook('rev.namespace', [is(rev, name), absent(injection)], [notRefused]), webhook('rev.object', [absent(rev), absent(injection)], [notRefused, is(rev, name)])]
  if (name === 'default') {
    webhooks.push(webhook('namespace', [is(injection, 'enabled')], [notRefused]), webhook('object', [absent(injection), absent(rev)], [is(injectKey, 'true'), absent(rev)]))
    if (options.enableNamespacesByDefault === true) webhooks.push(webhook('auto', [absent(injection), absent(rev)], [absent(injectKey), absent(rev)]))
  }
  return {
    apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration',
    metadata: { name: mutatingName(options), labels: { ...labels(options), app: 'sidecar-injector' } },
    webhooks,
  }
}

/** The mesh's kinds. Fails open until the control plane answers: it sets `Fail` together with the caBundle. */
function validatingConfiguration(options: WebhookOptions): KubernetesObject {
  const webhook = (name: string, selected: Expression): object => ({
    name,
    clientConfig: clientConfig(options, '/validate'),
    rules: [{ operations: ['CREATE', 'UPDATE'], apiGroups: [...istioGroups].toSorted(), apiVersions: ['*'], resources: ['*'], scope: '*' }],
    failurePolicy: 'Ignore', matchPolicy: 'Equivalent', sideEffects: 'None', timeoutSeconds: 10, admissionReviewVersions: ['v1'],
    namespaceSelector: {}, objectSelector: { matchExpressions: [selected] },
  })
  const own = webhook('rev.validation.istio.io', is(rev, options.revision))
  const everyone = webhook('validation.istio.io', absent(rev))
  return {
    apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingWebhookConfiguration',
    metadata: { name: validatingName(options), labels: { ...labels(options), app: 'istiod', istio: 'istiod' } },
    webhooks: options.tag === 'default' ? [everyone] : options.revision === 'default' ? [own, everyone] : [own],
  }
}

function labels(options: WebhookOptions): Record<string, string> {
  return { [rev]: options.revision, ...(options.tag === undefined ? {} : { 'istio.io/tag': options.tag }) }
}

function clientConfig(options: WebhookOptions, path: string): object {
  const ca = options.caBundle === undefined ? {} : { caBundle: Buffer.from(options.caBundle).toString('base64') }
  if (options.url !== undefined) return { url: options.url.replace(/\/+$/, '') + path, ...ca }
  return { service: { name: `istiod${suffix(options.revision)}`, namespace: options.namespace, path, port: 443 }, ...ca }
}
