// KITH0123: where somebody asks for a sidecar, or against one, in a place where injection does not look. Each with the place where it belongs.
// Pure. https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/
import { isRecord, refTo, type ApiObject, type CronJobSpec, type PodSpec, type PodTemplate, type WorkloadSpec } from '#api'
import { decideInjection, injectKey, ownerOfPod } from '#inject'
import type { Problem } from '#lib/problem.ts'

type Labels = Readonly<Record<string, string>>

/** A pod, or the template of one, and the object that it stands in. */
interface Subject {
  readonly object: ApiObject
  readonly labels: Labels
  readonly annotations: Labels
  readonly spec: PodSpec
  /** Path of its metadata: `metadata`, `spec.template.metadata`. */
  readonly path: string
}

const templateKinds: ReadonlySet<string> = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job', 'CronJob'])
const revisionKey = 'istio.io/rev'
const namespaceKey = 'istio-injection'

/** Of all the objects given; Namespaces among them say what holds for their pods. */
export function injectionAskedElsewhere(objects: readonly ApiObject[]): Problem[] {
  const namespaces = new Map(objects.flatMap((o) => (o.kind === 'Namespace' ? [[o.metadata.name, o] as const] : [])))
  return objects.flatMap((object): Problem[] => {
    if (object.kind === 'Namespace') return ofNamespace(object)
    const subject = subjectOf(object)
    if (subject === undefined) return []
    const injected = decided(subject, namespaces.get(object.metadata.namespace))
    return [...ofWorkload(subject, injected.value), ...ofPodMetadata(subject, injected.value), ...ofRunningPod(subject, injected)]
  })
}

function say(object: ApiObject, path: string, message: string, help: string): Problem {
  return { code: 'KITH0123', severity: 'warning', ref: refTo(object, path), message, help }
}

function subjectOf(object: ApiObject): Subject | undefined {
  if (object.kind === 'Pod' && object.apiVersion === 'v1') return { object, labels: object.metadata.labels, annotations: object.metadata.annotations, spec: object.spec as PodSpec, path: 'metadata' }
  if (!templateKinds.has(object.kind)) return undefined
  // What another workload made has nothing of its own to say.
  if ((object.metadata.ownerReferences ?? []).some((o) => templateKinds.has(o.kind))) return undefined
  const cron = object.kind === 'CronJob'
  const template: PodTemplate | undefined = cron ? (object.spec as CronJobSpec).jobTemplate?.spec?.template : (object.spec as WorkloadSpec).template
  if (!isRecord(template)) return undefined
  const { metadata, spec = {} } = template as PodTemplate
  return { object, labels: metadata?.labels ?? {}, annotations: metadata?.annotations ?? {}, spec, path: `spec.${cron ? 'jobTemplate.spec.' : ''}template.metadata` }
}

/** By the rules of the revision that the labels name. */
function decided({ object, labels, annotations, spec }: Subject, namespace: ApiObject | undefined): ReturnType<typeof decideInjection> {
  const namespaceLabels = namespace?.metadata.labels ?? {}
  const asked = namespaceLabels[namespaceKey] === undefined ? (namespaceLabels[revisionKey] ?? labels[revisionKey]) : undefined
  return decideInjection(
    {
      labels, annotations, namespace: object.metadata.namespace, namespaceLabels, hostNetwork: spec.hostNetwork === true, pod: object,
      ...(namespace === undefined ? {} : { namespaceObject: namespace }), ...(spec.os?.name === undefined ? {} : { os: spec.os.name }),
    },
    asked === undefined ? {} : { revision: asked },
  )
}

/** What a word asks for, where it asks for anything that has not come about anyway. */
function asksFor(key: string, value: string, injected: boolean): 'a sidecar' | 'no sidecar' | undefined {
  const wants = key === revisionKey ? true : value === 'true' || value === 'enabled' ? true : value === 'false' || value === 'disabled' ? false : undefined
  if (wants === undefined || wants === injected) return undefined
  return wants ? 'a sidecar' : 'no sidecar'
}

/** Labels and annotations of the Deployment itself, which its pods do not get. */
function ofWorkload({ object, labels, path }: Subject, injected: boolean): Problem[] {
  if (object.kind === 'Pod') return []
  const own: readonly (readonly [string, Labels, 'label' | 'annotation'])[] = [
    ['metadata.labels', object.metadata.labels, 'label'], ['metadata.annotations', object.metadata.annotations, 'annotation'],
    ...(object.kind === 'CronJob' ? [['spec.jobTemplate.metadata.labels', (object.spec as CronJobSpec).jobTemplate?.metadata?.labels ?? {}, 'label'] as const] : []),
  ]
  return own.flatMap(([at, words, what]) => [injectKey, revisionKey].flatMap((key): Problem[] => {
    const value = words[key]
    const asked = value === undefined || labels[key] !== undefined ? undefined : asksFor(key, value, injected)
    if (asked === undefined) return []
    const place = at.startsWith('spec.') ? 'the Job’s' : `the ${object.kind}’s`
    return [say(object, `${at}.${key}`, `${place} ${what} ${key}: ${value} asks for ${asked}, and injection looks at the labels of the pods, which do not have it`, `write ${key}: ${JSON.stringify(value)} to ${path}.labels`)]
  }))
}

/** Words on a pod, or in its template, that count elsewhere or take another value. */
function ofPodMetadata({ object, labels, annotations, path }: Subject, injected: boolean): Problem[] {
  const found: Problem[] = []
  const value = labels[injectKey] ?? annotations[injectKey]
  const part = labels[injectKey] === undefined ? 'annotations' : 'labels'
  if (value !== undefined && value !== 'true' && value !== 'false') {
    found.push(say(object, `${path}.${part}.${injectKey}`, `${injectKey} takes true or false, so ${JSON.stringify(value)} says nothing`, `write ${injectKey}: "true" or "false" to ${path}.labels`))
  }
  for (const key of [injectKey, revisionKey]) {
    const word = labels[key] === undefined ? annotations[key] : undefined
    const asked = word === undefined ? undefined : asksFor(key, word, injected)
    if (asked === undefined) continue
    found.push(say(object, `${path}.annotations.${key}`, `the annotation ${key}: ${word} asks for ${asked}, and the webhook is chosen by labels`, `make it a label: ${key}: ${JSON.stringify(word)} in ${path}.labels`))
  }
  for (const [at, words] of [['labels', labels], ['annotations', annotations]] as const) {
    const word = words[namespaceKey]
    const asked = word === undefined ? undefined : asksFor(namespaceKey, word, injected)
    if (asked === undefined) continue
    found.push(say(object, `${path}.${at}.${namespaceKey}`, `${namespaceKey}: ${word} asks for ${asked}, and counts as a label of Namespaces alone`, `write ${injectKey}: "${word === 'enabled'}" to ${path}.labels, or label the namespace`))
  }
  return found
}

function ofNamespace(namespace: ApiObject): Problem[] {
  const { labels, annotations } = namespace.metadata
  const found: Problem[] = []
  for (const key of [namespaceKey, revisionKey]) {
    const word = labels[key] === undefined ? annotations[key] : undefined
    if (word !== undefined) found.push(say(namespace, `metadata.annotations.${key}`, `${key} is an annotation here, and counts as a label alone`, `write ${key}: ${word} to metadata.labels`))
  }
  for (const [at, words] of [['labels', labels], ['annotations', annotations]] as const) {
    const word = words[injectKey]
    if (word === undefined) continue
    found.push(say(namespace, `metadata.${at}.${injectKey}`, `${injectKey} counts on pods, not on namespaces`, `write ${namespaceKey}: ${word === 'false' ? 'disabled' : 'enabled'} to metadata.labels`))
  }
  const word = labels[namespaceKey]
  if (word !== undefined && word !== '' && word !== 'enabled' && word !== 'disabled') {
    found.push(say(namespace, `metadata.labels.${namespaceKey}`, `${namespaceKey} takes enabled or disabled, so ${JSON.stringify(word)} keeps the namespace’s pods from being injected`, `write ${namespaceKey}: enabled`))
  }
  return found
}

/** A pod is injected once, when it is made: what its labels say later changes nothing. */
function ofRunningPod({ object, spec }: Subject, injected: ReturnType<typeof decideInjection>): Problem[] {
  const status = object.raw['status']
  const runs = object.kind === 'Pod' && isRecord(status) && (status['podIP'] ?? status['phase'] ?? '') !== ''
  if (!runs || status['phase'] === 'Succeeded' || status['phase'] === 'Failed') return []
  const has = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].some((c) => c.name === 'istio-proxy')
  const { creationTimestamp, annotations } = object.metadata
  const made = creationTimestamp === undefined ? 'made' : `made at ${creationTimestamp},`
  const reason = injected.because[0]
  const at = reason === undefined || reason.source === 'default' ? '' : reason.source.kind === 'Namespace' ? `the namespace’s ${reason.source.path}` : reason.source.path
  if (!has && injected.value && annotations['ambient.istio.io/redirection'] !== 'enabled') {
    const why = at === '' ? 'it would be injected today' : `${at} asks for one`
    return [say(object, '', `the pod has no sidecar, though ${why}: it was ${made} before that held, or while no webhook answered`, again(object))]
  }
  const optedOut = !injected.value && (reason?.rule === 'inject.namespace-disabled' || reason?.rule === 'inject.label')
  return has && optedOut ? [say(object, '', `the pod has a sidecar, though ${at} asks for none: it was ${made} before that held`, again(object))] : []
}

/** How the pod is made anew. */
function again(pod: ApiObject): string {
  const { namespace, name } = pod.metadata
  const raw = isRecord(pod.raw['metadata']) ? pod.raw['metadata'] : {}
  const owner = ownerOfPod({ generateName: `${name}-`, ...raw })
  const restarts = owner.kind === 'Deployment' || owner.kind === 'StatefulSet' || owner.kind === 'DaemonSet'
  return restarts ? `kubectl rollout restart ${owner.kind.toLowerCase()} ${owner.name} -n ${namespace}` : 'delete it and create it again'
}
