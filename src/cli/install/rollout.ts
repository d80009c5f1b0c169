// Waits for a Deployment to be what was asked for, and can say why it is not. `kubectl rollout status`, with the reason.
import { setTimeout as pause } from 'node:timers/promises'
import { isRecord } from '#api'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'

const pollMs = 400

type Fields = Readonly<Record<string, unknown>>
const fields = (value: unknown): Fields => (isRecord(value) ? value : {})
const records = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isRecord) : [])
const count = (value: unknown): number => (typeof value === 'number' ? value : 0)

/** Throws INSTALL_NOT_READY with what its pods say. */
export async function waitForRollout(client: KubernetesClient, namespace: string, name: string, timeoutMs: number, say: (text: string) => void): Promise<void> {
  const endMs = Date.now() + timeoutMs
  let last = ''
  for (;;) {
    const deployment = await client.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name })
    if (deployment === undefined) throw new KithError('INSTALL_NOT_READY', `Deployment ${namespace}/${name} has gone while it was waited for`)
    const state = stateOf(deployment)
    if (state.done) return
    const pods = state.seen ? await podsOf(client, deployment) : []
    const reasons = [...new Set(pods.map(podReason).filter((r) => r !== undefined))]
    last = reasons.map((r) => r.text).join('; ')
    say(`${state.text}${last === '' ? '' : ` (${last})`}`)
    const hopeless = reasons.some((r) => r.hopeless)
    if (hopeless || Date.now() > endMs) {
      const said = await lastWords(client, pods)
      const advice = /Image/.test(last) ? '\nIs the image where the nodes can pull it? npm run image builds it; --set hub=REGISTRY/PATH --set tag=TAG say where it is.' : ''
      throw new KithError('INSTALL_NOT_READY', `Deployment ${namespace}/${name} is not ready${hopeless ? '' : ` after ${timeoutMs / 1000} s`}: ${state.text}${last === '' ? '' : `; ${last}`}${said}${advice}`)
    }
    await pause(pollMs)
  }
}

function stateOf(deployment: KubernetesObject): { readonly done: boolean; readonly seen: boolean; readonly text: string } {
  const wanted = count(fields(deployment['spec'])['replicas'])
  const status = fields(deployment['status'])
  const seen = count(status['observedGeneration']) >= (deployment.metadata.generation ?? 0)
  const [updated, available, replicas] = [count(status['updatedReplicas']), count(status['availableReplicas']), count(status['replicas'])]
  if (!seen) return { done: false, seen, text: 'asked for' }
  if (updated < wanted) return { done: false, seen, text: `${updated} of ${wanted} replicas made` }
  if (replicas > updated) return { done: false, seen, text: `${replicas - updated} former ${replicas - updated === 1 ? 'replica' : 'replicas'} still there` }
  return { done: available >= wanted, seen, text: `${available} of ${wanted} replicas ready` }
}

/** Of the template as it is now: pods of a former one are on their way out, whatever they say. */
async function podsOf(client: KubernetesClient, deployment: KubernetesObject): Promise<readonly KubernetesObject[]> {
  const labels = fields(fields(fields(deployment['spec'])['selector'])['matchLabels'])
  const of = { ...(deployment.metadata.namespace === undefined ? {} : { namespace: deployment.metadata.namespace }), labelSelector: Object.entries(labels).map(([k, v]) => `${k}=${String(v)}`).join(',') }
  const [sets, pods] = await Promise.all([client.list({ apiVersion: 'apps/v1', kind: 'ReplicaSet', ...of }), client.list({ apiVersion: 'v1', kind: 'Pod', ...of })])
  const revision = deployment.metadata.annotations?.[revisionKey]
  const hash = sets.items.find((s) => revision !== undefined && s.metadata.annotations?.[revisionKey] === revision)?.metadata.labels?.['pod-template-hash']
  return pods.items.filter((p) => p.metadata.deletionTimestamp === undefined && (hash === undefined || p.metadata.labels?.['pod-template-hash'] === hash))
}

const revisionKey = 'deployment.kubernetes.io/revision'

interface PodReason { readonly text: string; readonly hopeless: boolean }

/** What keeps a pod from being ready; undefined where nothing is known. */
function podReason(pod: KubernetesObject): PodReason | undefined {
  const status = fields(pod['status'])
  const unscheduled = records(status['conditions']).find((c) => c['type'] === 'PodScheduled' && c['status'] === 'False')
  if (unscheduled !== undefined) return { text: `not scheduled: ${String(unscheduled['message'] ?? '')}`, hopeless: false }
  for (const container of [...records(status['initContainerStatuses']), ...records(status['containerStatuses'])]) {
    const waiting = fields(fields(container['state'])['waiting'])
    const reason = waiting['reason']
    if (typeof reason !== 'string' || reason === 'ContainerCreating' || reason === 'PodInitializing') continue
    const message = typeof waiting['message'] === 'string' ? `: ${waiting['message']}` : ''
    // These will not mend themselves; a pull that fails may (a registry that is away for a moment).
    return { text: `${reason}${message}`, hopeless: ['ErrImageNeverPull', 'InvalidImageName', 'CreateContainerConfigError'].includes(reason) || (reason === 'CrashLoopBackOff' && count(container['restartCount']) >= 3) }
  }
  return undefined
}

/** The end of the log of a container that ended: the reason stands there. */
async function lastWords(client: KubernetesClient, pods: readonly KubernetesObject[]): Promise<string> {
  for (const pod of pods) {
    const ended = records(fields(pod['status'])['containerStatuses']).find((c) => count(c['restartCount']) > 0 || isRecord(fields(c['state'])['terminated']))
    if (ended === undefined) continue
    const path = `/api/v1/namespaces/${pod.metadata.namespace ?? ''}/pods/${pod.metadata.name ?? ''}/log`
    const ask = (previous: string): Promise<unknown> => client.request('GET', path, { query: { container: String(ended['name']), tailLines: '5', previous } })
    const text = await ask('true').catch(() => ask('false')).catch(() => '')
    const shown = typeof text === 'string' ? text : JSON.stringify(text)
    if (shown.trim() !== '') return `\nIts last words:\n${shown.trim().split('\n').map((l) => `  ${l}`).join('\n')}`
  }
  return ''
}

/** Until the API server serves the kinds that were just defined. */
export async function waitForCrds(client: KubernetesClient, names: readonly string[], timeoutMs: number): Promise<void> {
  const endMs = Date.now() + timeoutMs
  for (const name of names) {
    for (;;) {
      const crd = await client.get({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', name })
      const conditions = records(fields(crd?.['status'])['conditions'])
      if (conditions.some((c) => c['type'] === 'Established' && c['status'] === 'True')) break
      const refused = conditions.find((c) => (c['type'] === 'NamesAccepted' || c['type'] === 'NonStructuralSchema') && c['status'] === (c['type'] === 'NamesAccepted' ? 'False' : 'True'))
      if (refused !== undefined || Date.now() > endMs) throw new KithError('INSTALL_NOT_READY', `CustomResourceDefinition ${name} is not served${refused === undefined ? ` after ${timeoutMs / 1000} s` : `: ${String(refused['message'] ?? '')}`}`)
      await pause(pollMs)
    }
  }
}
