// One object of any kind → the same with its pods injected, or why not. What kube-inject and the webhook have in common ends here.
import { isRecord } from '#api'
import { injectKey, injectionRequired } from './decide.ts'
import { injectPod } from './inject-pod.ts'
import type { Injector } from './injector.ts'
import { ownerOfPod } from './owner.ts'
import { typeFaults, withTexts } from './pod-types.ts'
import { strings } from './strings.ts'

type Obj = Record<string, unknown>

export type ObjectResult =
  | { readonly kind: 'injected'; readonly object: Obj; readonly warnings: readonly string[] }
  | { readonly kind: 'untouched'; readonly warnings: readonly string[] }
  | { readonly kind: 'faulty'; readonly faults: readonly string[] }

/** Where each kind keeps its pod. */
const podPaths: Readonly<Record<string, readonly string[]>> = {
  Pod: [], Deployment: ['spec', 'template'], ReplicaSet: ['spec', 'template'], ReplicationController: ['spec', 'template'], StatefulSet: ['spec', 'template'], DaemonSet: ['spec', 'template'], Job: ['spec', 'template'], DeploymentConfig: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
}

export function injectObject(given: Obj, context: Injector): ObjectResult {
  const untyped = ['apiVersion', 'kind'].find((field) => given[field] !== undefined && given[field] !== null && typeof given[field] !== 'string')
  if (untyped !== undefined && Object.hasOwn(podPaths, String(given['kind']))) return { kind: 'faulty', faults: [`${untyped} must be of type string, not ${JSON.stringify(given[untyped])}`] }
  if (given['kind'] === 'List' && Array.isArray(given['items'])) return injectList(given, given['items'], context)
  if (given['kind'] === 'List' && isRecord(given['items'])) return { kind: 'faulty', faults: ['List: items must be a list'] }
  // Its kind alone tells where a pod is, whatever the group and version: as Istio does it.
  const kind = String(given['kind'])
  const path = Object.hasOwn(podPaths, kind) ? podPaths[kind] : undefined
  if (path === undefined) return { kind: 'untouched', warnings: [] }
  const object = withTexts(given, path)
  const holder = path.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), object)
  if (!isRecord(holder) || !isRecord(holder['spec'])) return { kind: 'untouched', warnings: [] }
  const faults = typeFaults(object, path)
  if (faults.length > 0) return { kind: 'faulty', faults }
  const metadata = isRecord(object['metadata']) ? object['metadata'] : {}
  const podMetadata = isRecord(holder['metadata']) ? holder['metadata'] : {}
  const owner = kind === 'Pod' ? ownerOfPod(metadata) : { apiVersion: typeof object['apiVersion'] === 'string' ? object['apiVersion'] : '', kind, name: String(metadata['name'] ?? '') }
  const name = typeof metadata['name'] === 'string' && metadata['name'] !== '' ? metadata['name'] : owner.name || String(metadata['generateName'] ?? '')
  const namespace = typeof metadata['namespace'] === 'string' ? metadata['namespace'] : ''
  const shown = `${kind} "${namespace === '' ? name : `${namespace}/${name}`}"`
  const labels = strings(podMetadata['labels'])
  const annotations = strings(podMetadata['annotations'])
  const jobMetadata = kind === 'CronJob' ? (((object['spec'] as Obj)['jobTemplate'] as Obj)['metadata'] as Obj | undefined) : undefined
  const jobLabels = strings(jobMetadata?.['labels'])
  const jobAnnotations = strings(jobMetadata?.['annotations'])
  const hostNetwork = holder['spec']['hostNetwork'] === true
  const os = isRecord(holder['spec']['os']) ? String(holder['spec']['os']['name']) : undefined
  // System namespaces are asked of what the pod itself says, as Istio does: of a template that is seldom anything.
  const decided = injectionRequired({ labels: { ...jobLabels, ...labels }, annotations: { ...jobAnnotations, ...annotations }, hostNetwork, namespace: typeof podMetadata['namespace'] === 'string' ? podMetadata['namespace'] : '', namespaceLabels: {}, ...(os === undefined ? {} : { os }) }, context.injection)
  const asked = labels[injectKey] ?? annotations[injectKey] ?? jobLabels[injectKey] ?? jobAnnotations[injectKey]
  const odd = asked !== undefined && asked !== '' && asked !== 'true' && asked !== 'false' ? [`Invalid value for ${injectKey}: "${asked}" of ${shown}; only "true" and "false" decide, so the injector's policy holds`] : []
  if (!decided.value) {
    const why = decided.because[0]?.rule === 'inject.host-network' ? 'host networking enabled' : 'sidecar injection disabled'
    return { kind: 'untouched', warnings: [...odd, `Skipping injection because ${shown} has ${why}`] }
  }
  // What a CronJob says of its Jobs, its pods are injected by as well.
  const injected = injectPod({ metadata: podMetadata, spec: holder['spec'], above: { labels: jobLabels, annotations: jobAnnotations } }, { ...context, namespace, owner })
  if ('faults' in injected) return { kind: 'faulty', faults: injected.faults.map((f) => `${shown}: ${f}`) }
  return { kind: 'injected', object: replaceAt(object, path, { ...holder, metadata: injected.metadata, spec: injected.spec }), warnings: [...odd, ...injected.warnings.map((w) => `${shown}: ${w}`)] }
}

function injectList(object: Obj, items: readonly unknown[], context: Injector): ObjectResult {
  const odd = items.findIndex((item) => item !== null && !isRecord(item))
  if (odd !== -1) return { kind: 'faulty', faults: [`List: items[${odd}] must be an object`] }
  const results = items.map((item) => (isRecord(item) ? injectObject(item, context) : ({ kind: 'untouched', warnings: [] } as const)))
  const faults = results.flatMap((r) => (r.kind === 'faulty' ? r.faults : []))
  if (faults.length > 0) return { kind: 'faulty', faults }
  const warnings = results.flatMap((r) => (r.kind === 'faulty' ? [] : r.warnings))
  if (results.every((r) => r.kind === 'untouched')) return { kind: 'untouched', warnings }
  return { kind: 'injected', warnings, object: { ...object, items: items.map((item, i) => { const r = results[i]; return r?.kind === 'injected' ? r.object : item }) } }
}

function replaceAt(object: Obj, path: readonly string[], value: Obj): Obj {
  const [key, ...rest] = path
  return key === undefined ? value : { ...object, [key]: replaceAt(object[key] as Obj, rest, value) }
}
