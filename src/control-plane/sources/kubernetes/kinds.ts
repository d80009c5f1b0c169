// What of a cluster a mesh is made from. Law: what nobody reads is not kept: a control plane holds thousands of pods.
import { isRecord, istioKinds } from '#api'
import type { Collection, KubernetesObject } from '#lib/kubernetes/types.ts'

export interface WatchedKind {
  readonly of: Collection
  /** A change here is only about who answers now: it waits for nobody. */
  readonly endpoints: boolean
  /** Without it doors would stand open. */
  readonly guards?: boolean
  readonly strip: (object: KubernetesObject) => KubernetesObject
}

type Fields = Readonly<Record<string, unknown>>

/** Pods that have ended are nobody's endpoint. */
const running = 'status.phase!=Succeeded,status.phase!=Failed'

export const watchedKinds: readonly WatchedKind[] = [
  { of: { apiVersion: 'v1', kind: 'Namespace' }, endpoints: false, strip: (o) => ({ ...head(o), metadata: metadata(o) }) },
  { of: { apiVersion: 'v1', kind: 'Node' }, endpoints: false, strip: (o) => ({ ...head(o), metadata: { ...metadata(o), annotations: {}, labels: topology(o) } }) },
  { of: { apiVersion: 'v1', kind: 'Service' }, endpoints: false, strip: (o) => ({ ...head(o), metadata: metadata(o), spec: o['spec'] }) },
  { of: { apiVersion: 'v1', kind: 'Pod', fieldSelector: running }, endpoints: true, strip: stripPod },
  { of: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }, endpoints: true, strip: stripSlice },
  ...Object.entries(istioKinds).map(([kind, { group, versions }]): WatchedKind => ({
    of: { apiVersion: `${group}/${versions[0]}`, kind }, endpoints: false, guards: group === 'security.istio.io',
    // The whole document but what others keep in it: an unknown field is a problem that its author hears of.
    strip: (o) => ({ ...o, metadata: metadata(o), status: undefined }),
  })),
]

function head(o: KubernetesObject): { readonly apiVersion: string; readonly kind: string } {
  return { apiVersion: o.apiVersion, kind: o.kind }
}

const meshAnnotation = /(^|[./])(istio\.io|kith\.dev|prometheus\.io)\//

function metadata(o: KubernetesObject): KubernetesObject['metadata'] {
  const { name, namespace, labels, annotations, creationTimestamp, uid, resourceVersion, deletionTimestamp, ownerReferences } = o.metadata
  const kept = Object.entries(annotations ?? {}).filter(([k]) => meshAnnotation.test(k))
  return present({
    name, namespace, labels, annotations: kept.length === 0 ? undefined : Object.fromEntries(kept), creationTimestamp, uid, resourceVersion, deletionTimestamp,
    ownerReferences: ownerReferences?.map((r) => present({ apiVersion: r.apiVersion, kind: r.kind, name: r.name, uid: r.uid, controller: r.controller })),
  }) as KubernetesObject['metadata']
}

function topology(o: KubernetesObject): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(o.metadata.labels ?? {}).filter(([k]) => k.startsWith('topology.') || k === 'kubernetes.io/os'))
}

function stripPod(o: KubernetesObject): KubernetesObject {
  const spec = record(o['spec'])
  const status = record(o['status'])
  return {
    ...head(o), metadata: metadata(o),
    spec: present({
      ...pickFields(spec, ['serviceAccountName', 'hostNetwork', 'restartPolicy', 'nodeName', 'hostname', 'subdomain', 'os']),
      containers: records(spec['containers']).map((c) => present({ name: c['name'], ports: c['ports'] })), initContainers: records(spec['initContainers']).map((c) => ({ name: c['name'] })),
    }),
    status: present({
      ...pickFields(status, ['phase', 'podIP', 'podIPs']),
      conditions: records(status['conditions']).filter((c) => c['type'] === 'Ready').map((c) => ({ type: c['type'], status: c['status'] })),
    }),
  }
}

function stripSlice(o: KubernetesObject): KubernetesObject {
  return {
    ...head(o), metadata: { ...metadata(o), ownerReferences: [] }, addressType: o['addressType'], ports: o['ports'],
    endpoints: records(o['endpoints']).map((e) => {
      const target = record(e['targetRef'])
      return present({ ...pickFields(e, ['addresses', 'conditions', 'hostname', 'nodeName', 'zone']), targetRef: e['targetRef'] === undefined ? undefined : pickFields(target, ['kind', 'name', 'namespace']) })
    }),
  }
}

function record(value: unknown): Fields {
  return isRecord(value) ? value : {}
}

function records(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function pickFields(from: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.filter((n) => from[n] !== undefined).map((n) => [n, from[n]]))
}

function present<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined)) as T
}
