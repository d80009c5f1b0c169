// check-inject of a cluster: the pod as it is there (or as its workload would make it), its namespace, the webhooks, their injectors' settings.
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { decode, isRecord, type ApiObject } from '#api'
import { checkWebhooks, ownerOfPod, type PodOwner, type InjectionCandidate, type InjectionSettings, type WebhookCheck } from '#inject'
import { clusterInjector } from './cluster-injector.ts'
import { ExitError } from './failure.ts'

const kinds: Readonly<Record<string, { readonly apiVersion: string; readonly kind: string; readonly template: readonly string[] }>> = {
  pod: { apiVersion: 'v1', kind: 'Pod', template: [] }, deployment: { apiVersion: 'apps/v1', kind: 'Deployment', template: ['spec', 'template'] }, deploy: { apiVersion: 'apps/v1', kind: 'Deployment', template: ['spec', 'template'] },
  statefulset: { apiVersion: 'apps/v1', kind: 'StatefulSet', template: ['spec', 'template'] }, daemonset: { apiVersion: 'apps/v1', kind: 'DaemonSet', template: ['spec', 'template'] }, replicaset: { apiVersion: 'apps/v1', kind: 'ReplicaSet', template: ['spec', 'template'] },
  job: { apiVersion: 'batch/v1', kind: 'Job', template: ['spec', 'template'] }, cronjob: { apiVersion: 'batch/v1', kind: 'CronJob', template: ['spec', 'jobTemplate', 'spec', 'template'] },
}

export async function webhooksOf(client: KubernetesClient, name: string | undefined, options: { readonly namespace?: string; readonly labels?: string }): Promise<{ readonly checks: WebhookCheck[]; readonly objects: readonly ApiObject[] }> {
  const { pod, object, space } = await candidate(client, name, options)
  const { items } = await client.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration' })
  const revisions = new Set(items.map((c) => c.metadata.labels?.['istio.io/rev'] ?? 'default'))
  const settings = new Map(await Promise.all([...revisions].map(async (r) => [r, await settingsOf(client, r)] as const)))
  const checks = checkWebhooks(items, pod, (revision) => settings.get(revision) ?? {})
  const related = object === undefined ? [] : [object, ...(await relatives(client, object))]
  return { checks, objects: [space, ...related].flatMap((o) => decode(o, {}).object ?? []) }
}

/** Of a pod what made it; of a workload its pods. What may not be read is not there. */
async function relatives(client: KubernetesClient, object: KubernetesObject): Promise<readonly KubernetesObject[]> {
  const { namespace = '', name = '' } = object.metadata
  try {
    if (object.kind !== 'Pod') {
      const { items } = await client.list({ apiVersion: 'v1', kind: 'Pod', namespace })
      return items.filter((p) => isOf(ownerOf(p), object.kind, name)).map((p) => ({ ...p, apiVersion: 'v1', kind: 'Pod' }))
    }
    const owner = ownerOf(object)
    if (owner.kind === 'Pod') return []
    const made = await client.get({ apiVersion: owner.apiVersion, kind: owner.kind, namespace, name: owner.name })
    return made === undefined ? [] : [made]
  } catch (error) {
    if (error instanceof KithError && (error.code === 'K8S_FORBIDDEN' || error.code === 'K8S_NOT_FOUND')) return []
    throw error
  }
}

const ownerOf = ({ metadata }: KubernetesObject): PodOwner => ownerOfPod({ generateName: `${metadata.name ?? ''}-`, ...metadata })
const isOf = (owner: { readonly kind: string; readonly name: string }, kind: string, name: string): boolean => owner.kind === kind && owner.name === name

interface Named {
  /** What has the pod's metadata and spec. */
  readonly holder: Readonly<Record<string, unknown>>
  readonly namespace: string
  readonly object: KubernetesObject
}

interface Candidate {
  readonly pod: InjectionCandidate
  /** The pod or workload that was named; undefined where only labels were. */
  readonly object: KubernetesObject | undefined
  readonly space: KubernetesObject
}

async function candidate(client: KubernetesClient, asked: string | undefined, options: { readonly namespace?: string; readonly labels?: string }): Promise<Candidate> {
  const { holder, namespace, object }: Partial<Named> & Omit<Named, 'object'> = asked === undefined ? { holder: { metadata: { labels: labelsOf(options.labels ?? '') } }, namespace: options.namespace ?? client.namespace } : await named(client, asked, options.namespace)
  const space = await client.get({ apiVersion: 'v1', kind: 'Namespace', name: namespace })
  if (space === undefined) throw new ExitError(1, `kith check-inject: there is no namespace ${namespace}`)
  const metadata = isRecord(holder['metadata']) ? holder['metadata'] : {}
  const spec = isRecord(holder['spec']) ? holder['spec'] : {}
  const texts = (raw: unknown): Record<string, string> => (isRecord(raw) ? (raw as Record<string, string>) : {})
  const pod: InjectionCandidate = {
    namespace, namespaceLabels: space.metadata.labels ?? {}, labels: texts(metadata['labels']), annotations: texts(metadata['annotations']), hostNetwork: spec['hostNetwork'] === true,
    ...(isRecord(spec['os']) ? { os: String(spec['os']['name']) } : {}),
  }
  return { pod, object, space }
}

/** `deployment/web`, `web.shop`, `web`: a pod of that name, else a Deployment. */
async function named(client: KubernetesClient, asked: string, wanted: string | undefined): Promise<Named> {
  const [type, rest] = asked.includes('/') ? [asked.slice(0, asked.indexOf('/')).toLowerCase(), asked.slice(asked.indexOf('/') + 1)] : [undefined, asked]
  const dot = wanted === undefined ? rest.lastIndexOf('.') : -1
  const name = dot === -1 ? rest : rest.slice(0, dot)
  const namespace = wanted ?? (dot === -1 ? client.namespace : rest.slice(dot + 1))
  const types = type === undefined ? ['pod', 'deployment', 'statefulset', 'daemonset'] : [type.replace(/s$/, '') in kinds ? type.replace(/s$/, '') : type]
  for (const word of types) {
    const kind = Object.hasOwn(kinds, word) ? kinds[word] : undefined
    if (kind === undefined) throw new ExitError(2, `kith check-inject: ${word} makes no pods; there are ${Object.keys(kinds).join(', ')}`)
    const object = await client.get({ apiVersion: kind.apiVersion, kind: kind.kind, namespace, name })
    const holder = object === undefined ? undefined : kind.template.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), object)
    if (object !== undefined && isRecord(holder)) return { holder, namespace, object: { ...object, apiVersion: kind.apiVersion, kind: kind.kind } }
  }
  throw new ExitError(1, `kith check-inject: there is no ${type ?? 'pod or workload'} ${name} in namespace ${namespace}`)
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(text.split(',').filter((p) => p !== '').map((p) => (p.includes('=') ? [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)] : [p, ''])))
}

/** Where they may not be read, or are not there, the defaults. */
async function settingsOf(client: KubernetesClient, revision: string): Promise<InjectionSettings> {
  try {
    return (await clusterInjector(client, { revision, istioNamespace: 'istio-system' })).injection
  } catch (error) {
    if (error instanceof KithError && ['K8S_FORBIDDEN', 'K8S_NOT_FOUND', 'YAML_INVALID'].includes(error.code)) return {}
    throw error
  }
}
