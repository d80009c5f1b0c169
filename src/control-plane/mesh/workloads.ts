// Pods, and what stands for them where there are none yet: the templates of Deployments and their kin.
import type { InterceptionDefaults } from '#interception'
import type { Decided } from '#lib/decided.ts'
import { decideInjection, type InjectionSettings } from '#inject'
import { refTo, type ApiObject, type CronJobSpec, type PodSpec, type PodStatus, type PodTemplate, type WorkloadSpec } from '#api'
import { assignAddresses, canonicalAddress, podPrefix } from './addresses.ts'
import type { Labels, MeshOptions, Workload } from './types.ts'

const templateKinds = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job', 'CronJob'])

interface Found {
  readonly object: ApiObject
  readonly name: string
  readonly pod: string
  readonly template: PodTemplate
  readonly path: string
  readonly replicas: number
}

export interface NamespaceInfo {
  readonly labels: Labels
  readonly object?: ApiObject
}

export function buildWorkloads(objects: readonly ApiObject[], namespaces: ReadonlyMap<string, NamespaceInfo>, options: MeshOptions, injection: InjectionSettings): Workload[] {
  const pods = objects.filter((o) => o.kind === 'Pod' && o.apiVersion === 'v1')
  const owned = new Set(pods.map((p) => `${p.metadata.namespace}/${ownerName(p)}`))
  const found: Found[] = pods.filter(isAlive).map((p) => ({ object: p, name: ownerName(p), pod: p.metadata.name, template: { metadata: p.metadata, spec: p.spec as PodSpec }, path: 'metadata', replicas: 1 }))
  for (const object of objects) {
    if (!templateKinds.has(object.kind) || owned.has(`${object.metadata.namespace}/${object.metadata.name}`)) continue
    if ((object.metadata.ownerReferences ?? []).some((o) => templateKinds.has(o.kind))) continue
    const template = templateOf(object)
    if (template !== undefined) found.push({ object, name: object.metadata.name, pod: object.metadata.name, replicas: (object.spec as WorkloadSpec).replicas ?? 1, ...template })
  }
  const keys = new Map(found.map((f) => [f, key(f)]))
  found.sort((a, b) => ((keys.get(a) as string) < (keys.get(b) as string) ? -1 : 1))
  const addressed = found.filter((f) => podAddresses(f.object).length === 0 && f.replicas > 0 && !isObserved(f.object))
  const taken = new Set(found.flatMap((f) => podAddresses(f.object)))
  const given = assignAddresses(addressed.map(key), podPrefix, taken)
  const nodes = new Map(objects.filter((o) => o.kind === 'Node').map((o) => [o.metadata.name, localityOfNode(o.metadata.labels)]))
  return found.map((f) => observedOnce(f, options, nodes) ?? buildOne(f, given.get(keys.get(f) as string), namespaces.get(f.object.metadata.namespace), options, injection, nodes))
}

const key = (f: Found): string => `${f.object.metadata.namespace}/${f.pod}/${f.object.kind}`

interface Observed {
  readonly trustDomain: string
  readonly locality: string | undefined
  readonly mode: string | undefined
  readonly workload: Workload
}

const observed = new WeakMap<ApiObject, Observed>()

/** A pod that a cluster has admitted depends on nothing beside itself, its node, the trust domain and the mesh's interception mode; in a cluster of thousands all but one are as they were. */
function observedOnce(f: Found, options: MeshOptions, nodes: ReadonlyMap<string, string>): Workload | undefined {
  if (!isObserved(f.object)) return undefined
  const { trustDomain } = options
  const locality = nodes.get(f.template.spec?.nodeName ?? '')
  const { mode } = options.interception
  const before = observed.get(f.object)
  if (before?.trustDomain === trustDomain && before.locality === locality && before.mode === mode) return before.workload
  const workload = buildOne(f, undefined, undefined, options, {}, nodes)
  observed.set(f.object, { trustDomain, locality, mode, workload })
  return workload
}

function buildOne(f: Found, address: string | undefined, namespace: NamespaceInfo | undefined, options: MeshOptions, injection: InjectionSettings, nodes: ReadonlyMap<string, string>): Workload {
  const { metadata } = f.object
  const labels = f.template.metadata?.labels ?? {}
  const annotations = f.template.metadata?.annotations ?? {}
  const spec = f.template.spec ?? {}
  const serviceAccount = spec.serviceAccountName || spec.serviceAccount || 'default'
  const sidecar = decideSidecar(f, labels, annotations, spec, namespace, injection)
  const isPod = f.object.kind === 'Pod'
  const addresses = isPod && podAddresses(f.object).length > 0 ? podAddresses(f.object) : address === undefined ? [] : [address]
  const own = labels['istio-locality']
  const locality = own === undefined || own === '' ? nodes.get(spec.nodeName ?? '') : own.includes('/') ? own : own.replaceAll('.', '/')
  const tlsMode = labels['security.istio.io/tlsMode']
  return {
    id: `${f.pod}.${metadata.namespace}`, kind: f.object.kind, name: f.name, pod: f.pod, namespace: metadata.namespace, labels, annotations, serviceAccount,
    identity: `spiffe://${options.trustDomain}/ns/${metadata.namespace}/sa/${serviceAccount}`,
    addresses,
    ports: (spec.containers ?? []).filter((c) => c.name !== 'istio-proxy').flatMap((c) => (c.ports ?? []).map((p) => ({ port: p.containerPort, ...(p.name === undefined ? {} : { name: p.name }) }))),
    sidecar,
    takesMtls: tlsMode === undefined ? sidecar.value : tlsMode === 'istio',
    ready: isReady(f.object),
    ...(locality === undefined || locality === '' ? {} : { locality }),
    ...(spec.hostname === undefined ? (podOrdinal(f) === undefined ? {} : { hostname: f.pod }) : { hostname: spec.hostname }),
    object: f.object, podPath: f.path.slice(0, -'metadata'.length), spec, observed: isObserved(f.object),
    interceptionDefaults: isObserved(f.object) ? observedDefaults(options) : options.interception,
  }
}

/** Injection has written what its values say of ports and addresses into the pod; of the mode NONE nothing is written. */
function observedDefaults({ interception: { mode } }: MeshOptions): InterceptionDefaults {
  return mode === undefined ? {} : { mode }
}

/** What a pod shows; otherwise what injection will do. */
function decideSidecar(f: Found, labels: Labels, annotations: Labels, spec: PodSpec, namespace: NamespaceInfo | undefined, injection: InjectionSettings): Decided<boolean> {
  const all = [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
  if (all.some((c) => c.name === 'istio-proxy')) return { value: true, because: [{ rule: 'sidecar.present', source: refTo(f.object), effect: 'chosen' }] }
  if (isObserved(f.object)) return { value: false, because: [{ rule: 'sidecar.absent', source: refTo(f.object), effect: 'chosen' }] }
  return decideInjection(
    {
      labels, annotations, hostNetwork: spec.hostNetwork ?? false, ...(spec.os?.name === undefined ? {} : { os: spec.os.name }), namespace: f.object.metadata.namespace,
      namespaceLabels: namespace?.labels ?? {}, pod: f.object, metadataPath: f.path, ...(namespace?.object === undefined ? {} : { namespaceObject: namespace.object }),
    },
    injection,
  )
}

/** https://kubernetes.io/docs/reference/labels-annotations-taints/ and Istio's own label for what is smaller than a zone. */
function localityOfNode(labels: Labels): string {
  const of = (name: string, old: string): string => labels[`topology.kubernetes.io/${name}`] ?? labels[`failure-domain.beta.kubernetes.io/${old}`] ?? ''
  return [of('region', 'region'), of('zone', 'zone'), labels['topology.istio.io/subzone'] ?? ''].join('/').replace(/\/+$/, '')
}

function templateOf(object: ApiObject): { template: PodTemplate; path: string } | undefined {
  if (object.kind === 'CronJob') {
    const template = (object.spec as CronJobSpec).jobTemplate?.spec?.template
    return template === undefined ? undefined : { template, path: 'spec.jobTemplate.spec.template.metadata' }
  }
  const template = (object.spec as WorkloadSpec).template
  return template === undefined || template === null ? undefined : { template, path: 'spec.template.metadata' }
}

/** Deployment's name from the ReplicaSet's, CronJob's from the Job's; a bare pod is its own workload. */
export function ownerName(pod: ApiObject): string {
  const owner = (pod.metadata.ownerReferences ?? []).find((o) => o.controller !== false)
  if (owner === undefined) return pod.metadata.name
  const hash = pod.metadata.labels['pod-template-hash']
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) return owner.name.slice(0, -hash.length - 1)
  if (owner.kind === 'Job') return owner.name.replace(/-\d{8,}$/, '')
  return owner.name
}

const addressesOf = new WeakMap<ApiObject, readonly string[]>()

function podAddresses(object: ApiObject): readonly string[] {
  if (object.kind !== 'Pod') return []
  const before = addressesOf.get(object)
  if (before !== undefined) return before
  const status = (object.raw['status'] ?? {}) as PodStatus
  const all = [status.podIP, ...(status.podIPs ?? []).map((p) => p.ip)].filter((ip): ip is string => typeof ip === 'string' && ip !== '')
  const addresses = [...new Set(all.map(canonicalAddress))]
  addressesOf.set(object, addresses)
  return addresses
}

/** A cluster has admitted it: what it lacks it will not get by injection, and its address is for the cluster to give. */
function isObserved(object: ApiObject): boolean {
  if (object.kind !== 'Pod') return false
  const { phase, podIP } = (object.raw['status'] ?? {}) as PodStatus
  return (podIP !== undefined && podIP !== '') || (phase !== undefined && phase !== '')
}

function isAlive(pod: ApiObject): boolean {
  const phase = ((pod.raw['status'] ?? {}) as PodStatus).phase
  return phase !== 'Succeeded' && phase !== 'Failed'
}

function isReady(object: ApiObject): boolean {
  if (object.kind !== 'Pod') return true
  // On its way out: whoever chooses an endpoint now shall choose another.
  if ((object.raw['metadata'] as { deletionTimestamp?: unknown } | undefined)?.deletionTimestamp !== undefined) return false
  const conditions = ((object.raw['status'] ?? {}) as PodStatus).conditions
  const ready = conditions?.find((c) => c.type === 'Ready')
  return ready === undefined ? true : ready.status === 'True'
}

function podOrdinal(f: Found): string | undefined {
  return (f.object.metadata.ownerReferences ?? []).some((o) => o.kind === 'StatefulSet') ? f.pod : undefined
}
