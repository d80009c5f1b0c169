// A cluster's objects as documents, as if they stood in files: what a mesh is made from, read once.
// Law: what can't be read is said; a cluster that can't be reached, or that shows neither pods nor services, is no mesh.
import { istioKinds } from '#api'
import { KithError } from '#lib/errors.ts'
import type { Collection, KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Problem } from '#lib/problem.ts'
import type { RawDocument } from '#sources'

export interface ClusterObjects {
  readonly documents: readonly RawDocument[]
  readonly problems: readonly Problem[]
}

const meshKinds: readonly Collection[] = Object.entries(istioKinds).map(([kind, { group, versions }]) => ({ apiVersion: `${group}/${versions[0]}`, kind }))
const needed: readonly Collection[] = [
  { apiVersion: 'v1', kind: 'Namespace' }, { apiVersion: 'v1', kind: 'Service' }, { apiVersion: 'v1', kind: 'Pod', fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
]
const helpful: readonly Collection[] = [{ apiVersion: 'v1', kind: 'Node' }, { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }]
/** What makes pods: analyzers look at it; a mesh is made from the pods that there are. */
const templates: readonly Collection[] = [...['Deployment', 'StatefulSet', 'DaemonSet'].map((kind) => ({ apiVersion: 'apps/v1', kind })), ...['Job', 'CronJob'].map((kind) => ({ apiVersion: 'batch/v1', kind }))]

/** Kinds that others have brought: where they are, analyze says what of them the mesh does not serve. */
const brought: readonly Collection[] = [
  { apiVersion: 'extensions.istio.io/v1alpha1', kind: 'WasmPlugin' }, ...['Gateway', 'HTTPRoute', 'GRPCRoute'].map((kind) => ({ apiVersion: 'gateway.networking.k8s.io/v1', kind })), { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
]

export interface ReadOptions {
  /** Also Deployments and the injector's ConfigMaps. */
  readonly templates?: boolean
  /** Where the ConfigMap `istio` stands. Default istio-system. */
  readonly istioNamespace?: string
}

export async function readCluster(client: KubernetesClient, options: ReadOptions = {}): Promise<ClusterObjects> {
  const problems: Problem[] = []
  const unknown: string[] = []
  const listed = async (of: Collection, required: boolean): Promise<readonly KubernetesObject[]> => {
    try {
      return (await client.list(of)).items
    } catch (error) {
      if (!(error instanceof KithError) || required) throw error
      if (error.code === 'K8S_NOT_FOUND') unknown.push(of.kind)
      else if (error.code === 'K8S_FORBIDDEN') problems.push(problem(`${of.kind} objects can't be read, so what they say is not known here: ${error.message}`))
      else throw error
      return []
    }
  }
  const ifThere = (of: Collection): Promise<readonly KubernetesObject[]> => client.list(of).then(({ items }) => items, (error: unknown) => {
    if (error instanceof KithError && (error.code === 'K8S_NOT_FOUND' || error.code === 'K8S_FORBIDDEN')) return []
    throw error
  })
  const namespace = options.istioNamespace ?? 'istio-system'
  const configMaps = await configMapsOf(client, namespace, options.templates === true, problems)
  const lists = await Promise.all([...needed.map((of) => listed(of, true)), ...[...helpful, ...meshKinds, ...(options.templates === true ? templates : [])].map((of) => listed(of, false)), ...(options.templates === true ? brought : []).map(ifThere)])
  if (unknown.length > 0) {
    problems.push(problem(unknown.length === meshKinds.length ? 'this cluster does not know the mesh’s kinds; kith install brings their definitions' : `this cluster does not know ${unknown.join(', ')}; kith install brings the definitions`))
  }
  return { documents: [...lists.flat(), ...configMaps].map(documentOf), problems }
}

async function configMapsOf(client: KubernetesClient, namespace: string, injectors: boolean, problems: Problem[]): Promise<readonly KubernetesObject[]> {
  try {
    if (injectors) return (await client.list({ apiVersion: 'v1', kind: 'ConfigMap', namespace })).items.filter(({ metadata: { name = '' } }) => /^istio(-sidecar-injector)?(-|$)/.test(name) && name !== 'istio-ca-root-cert')
    const found = await client.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'istio' })
    return found === undefined ? [] : [found]
  } catch (error) {
    if (!(error instanceof KithError) || error.code !== 'K8S_FORBIDDEN') throw error
    problems.push(problem(`meshConfig can't be read, so its defaults are taken: ${error.message}`))
    return []
  }
}

/** Who owns which field, and what kubectl once applied, is of no interest and half of the bytes. */
function documentOf(object: KubernetesObject): RawDocument {
  const { managedFields: _fields, annotations, ...metadata } = object.metadata
  const kept = annotations === undefined ? undefined : Object.fromEntries(Object.entries(annotations).filter(([k]) => k !== 'kubectl.kubernetes.io/last-applied-configuration'))
  return { value: { ...object, metadata: { ...metadata, ...(kept === undefined ? {} : { annotations: kept }) } }, origin: {} }
}

function problem(message: string): Problem {
  return { code: 'KITH0041', severity: 'warning', ref: { kind: '', namespace: '', name: '', path: '' }, message }
}
