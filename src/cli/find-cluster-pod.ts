// `[kind/]name[.namespace]` → a running pod of the cluster: that one, or the first of the workload of that name.
import { KithError } from '#lib/errors.ts'
import { nearest } from '#lib/nearest.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'

export async function findClusterPod(client: KubernetesClient, given: string, otherwise: string): Promise<{ readonly namespace: string; readonly pod: string }> {
  const name = given.includes('/') ? given.slice(given.indexOf('/') + 1) : given
  const dot = name.lastIndexOf('.')
  const [wanted, namespace] = dot === -1 ? [name, otherwise] : [name.slice(0, dot), name.slice(dot + 1)]
  const { items } = await client.list({ apiVersion: 'v1', kind: 'Pod', namespace, fieldSelector: 'status.phase=Running' })
  const names = items.filter((p) => p.metadata.deletionTimestamp === undefined).map((p) => p.metadata.name ?? '')
  const pod = names.find((n) => n === wanted) ?? names.find((n) => workloadOf(n) === wanted)
  if (pod !== undefined) return { namespace, pod }
  const near = nearest(wanted, [...names, ...names.map(workloadOf)])
  throw new KithError('NO_SUCH_WORKLOAD', `no running pod "${wanted}" in namespace "${namespace}"${near === undefined ? '' : `; did you mean ${near}?`}`)
}

/** `httpbin-6c5bbfc8cf-9vrkc` → httpbin; `db-0` → db. */
const workloadOf = (pod: string): string => pod.replace(/-[a-z0-9]{6,10}-[a-z0-9]{5}$|-\d+$/, '')
