// Takes an installation out of a cluster. Law: says beforehand what goes; what users wrote goes only where they say so.
import { customResourceDefinitions, managedBy } from '#deploy'
import { KithError } from '#lib/errors.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { nameOf } from './apply.ts'
import { installedObjects } from './inventory.ts'

export interface Removal {
  /** In the order in which they go. */
  readonly objects: readonly KubernetesObject[]
  /** Of the mesh's kinds, written by users: they go with their definitions. */
  readonly users: readonly KubernetesObject[]
  /** Definitions that stay because of them. */
  readonly kept: readonly KubernetesObject[]
  /** Pods whose sidecar belongs to what is removed. */
  readonly meshed: readonly KubernetesObject[]
}

export interface RemovalOptions {
  readonly namespace: string
  /** One revision; undefined: everything. */
  readonly revision?: string
  readonly definitions: 'keep' | 'delete' | 'where-unused'
}

export async function planRemoval(client: KubernetesClient, { namespace, revision, definitions }: RemovalOptions): Promise<Removal> {
  const installed = await installedObjects(client, namespace, revision)
  const pods = (await client.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: 'security.istio.io/tlsMode=istio' })).items
  const meshed = pods.filter((p) => p.metadata.annotations?.['sidecar.istio.io/status'] !== undefined && (revision === undefined || (p.metadata.annotations['istio.io/rev'] ?? 'default') === revision))
  if (revision !== undefined) {
    const lease = revision === 'default' ? undefined : await client.get({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name: `istio-webhook-leader-${revision}` })
    return { objects: [...installed, ...(lease === undefined ? [] : [lease])], users: [], kept: [], meshed }
  }
  const [traces, crds, namespaces] = await Promise.all([tracesOf(client, namespace), definedKinds(client), client.list({ apiVersion: 'v1', kind: 'Namespace' })])
  // What goes with its namespace is nobody's any more.
  const ending = new Set(namespaces.items.filter((n) => n.metadata.deletionTimestamp !== undefined).map((n) => n.metadata.name))
  const users = (await Promise.all(crds.map((crd) => objectsOf(client, crd)))).flat().filter((o) => !ending.has(o.metadata.namespace))
  const used = (crd: KubernetesObject): boolean => users.some((u) => u.kind === kindOf(crd))
  const going = crds.filter((crd) => definitions === 'delete' || (definitions === 'where-unused' && !used(crd)))
  return { objects: [...installed, ...traces, ...going], users: definitions === 'delete' ? users : users.filter((u) => going.some((crd) => kindOf(crd) === u.kind)), kept: crds.filter((crd) => !going.includes(crd)), meshed }
}

export async function remove(client: KubernetesClient, objects: readonly KubernetesObject[], said: (object: KubernetesObject) => void): Promise<void> {
  for (const object of objects) if (await client.delete(objectKey(object))) said(object)
}

/** What the control plane itself made: trust bundles everywhere, its CA's key, what its replicas agreed on, its leases. */
async function tracesOf(client: KubernetesClient, namespace: string): Promise<readonly KubernetesObject[]> {
  const [bundles, leases, ...secrets] = await Promise.all([
    client.list({ apiVersion: 'v1', kind: 'ConfigMap', fieldSelector: 'metadata.name=istio-ca-root-cert' }),
    client.list({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace }),
    ...['istio-ca-secret', 'istio-ca-staging'].map((name) => client.get({ apiVersion: 'v1', kind: 'Secret', namespace, name })),
  ])
  return [...bundles.items, ...leases.items.filter((l) => l.metadata.name?.startsWith('istio-') === true), ...secrets.filter((s) => s !== undefined)]
}

async function definedKinds(client: KubernetesClient): Promise<readonly KubernetesObject[]> {
  const ours = new Set(customResourceDefinitions().map((c) => c.metadata.name))
  return (await client.list({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' })).items.filter((c) => ours.has(c.metadata.name ?? ''))
}

const namesOf = (crd: KubernetesObject): { readonly group: string; readonly names: { readonly kind: string }; readonly versions: readonly { readonly name: string; readonly storage: boolean }[] } =>
  crd['spec'] as { group: string; names: { kind: string }; versions: { name: string; storage: boolean }[] }
const kindOf = (crd: KubernetesObject): string => namesOf(crd).names.kind

async function objectsOf(client: KubernetesClient, crd: KubernetesObject): Promise<readonly KubernetesObject[]> {
  const { group, names, versions } = namesOf(crd)
  return (await client.list({ apiVersion: `${group}/${versions.find((v) => v.storage)?.name ?? 'v1'}`, kind: names.kind })).items
}

/** The namespace goes too where an installation made it and nothing else has moved in. */
export async function emptyOwnNamespace(client: KubernetesClient, name: string): Promise<KubernetesObject | undefined> {
  const namespace = await client.get({ apiVersion: 'v1', kind: 'Namespace', name })
  if (namespace?.metadata.labels?.['app.kubernetes.io/managed-by'] !== managedBy['app.kubernetes.io/managed-by']) return undefined
  for (const kind of ['Pod', 'Service', 'Secret', 'ConfigMap', 'ServiceAccount', 'PersistentVolumeClaim']) {
    const { items } = await client.list({ apiVersion: 'v1', kind, namespace: name })
    if (items.some((o) => o.metadata.deletionTimestamp === undefined && !isKubernetesOwn(o) && o.metadata.labels?.['app'] !== 'istiod')) return undefined
  }
  return namespace
}

function isKubernetesOwn(object: KubernetesObject): boolean {
  return ['kube-root-ca.crt', 'istio-ca-root-cert'].includes(object.metadata.name ?? '') || (object.kind === 'ServiceAccount' && object.metadata.name === 'default')
}

/** Throws where something that was to go is still there. */
export async function waitForGone(client: KubernetesClient, objects: readonly KubernetesObject[], timeoutMs: number): Promise<void> {
  const endMs = Date.now() + timeoutMs
  for (const object of objects) {
    while (await stillThere(client, object)) {
      if (Date.now() > endMs) throw new KithError('UNINSTALL_UNFINISHED', `${nameOf(object)} is still there after ${timeoutMs / 1000} s: kubectl get it and look at its finalizers`)
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  }
}

async function stillThere(client: KubernetesClient, object: KubernetesObject): Promise<boolean> {
  const now = await client.get(objectKey(object))
  // An object of that name that is a new one is not ours to wait for.
  return now !== undefined && now.metadata.uid === object.metadata.uid
}
