// An installation in stages, each a line that a person can follow. Law: nothing refuses pods before something answers: the webhooks come last.
import { valueAtPath, type InstallPlan } from './plan-install.ts'
import { KithError } from '#lib/errors.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Progress } from '../progress.ts'
import { applyObject, nameOf, type ApplyOptions, type Change } from './apply.ts'
import { staleObjects } from './inventory.ts'
import { waitForCrds, waitForRollout } from './rollout.ts'
import { waitForWebhooks } from './webhooks-ready.ts'

export interface StageOptions extends ApplyOptions {
  readonly wait: boolean
  readonly timeoutMs: number
}

interface Stage {
  readonly title: string
  readonly holds: (object: KubernetesObject) => boolean
}

const kinds = (...names: readonly string[]) => ({ kind }: KubernetesObject): boolean => names.includes(kind)
const stages: readonly Stage[] = [
  { title: 'namespace', holds: kinds('Namespace') },
  { title: 'resource definitions', holds: kinds('CustomResourceDefinition') },
  { title: 'account and roles', holds: kinds('ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding') },
  { title: 'configuration', holds: kinds('ConfigMap') },
  { title: 'control plane', holds: kinds('Service', 'PodDisruptionBudget', 'Deployment') },
  { title: 'webhooks', holds: kinds('MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration') },
]

/** A new control plane proves itself before sidecars of its version are injected: where it does not come up, the configuration stays as it was. */
const upgradeStages: readonly Stage[] = ['namespace', 'resource definitions', 'account and roles', 'control plane', 'configuration', 'webhooks'].map((title) => stages.find((s) => s.title === title) as Stage)

/** How many objects were created, changed, left. Throws with the object's name and the API server's sentence. */
export async function runStages(client: KubernetesClient, plan: InstallPlan, options: StageOptions, progress: Progress): Promise<Readonly<Record<Change | 'removed', number>>> {
  const total = { created: 0, changed: 0, unchanged: 0, removed: 0 }
  const { namespace } = plan
  const namespaceThere = (await client.get({ apiVersion: 'v1', kind: 'Namespace', name: namespace })) !== undefined
  const upgrade = (await client.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name: plan.name })) !== undefined
  for (const { title, holds } of upgrade ? upgradeStages : stages) {
    const objects = plan.objects.filter(holds)
    if (objects.length === 0) continue
    const changes: { readonly object: KubernetesObject; readonly change: Change }[] = []
    for (const object of objects) {
      progress.at(`${title}: ${nameOf(object)}`)
      // What lives in a namespace that a dry run did not make can't be asked about.
      const unasked = options.dryRun && !namespaceThere && object.metadata.namespace === namespace
      const change = unasked ? 'created' : await applyObject(client, object, options)
      changes.push({ object, change })
      total[change]++
    }
    if (!options.dryRun && options.wait) await waitFor(title, client, objects, namespace, options.timeoutMs, progress)
    progress.done(`${title}: ${changesText(changes, options.dryRun)}`)
  }
  const stale = namespaceThere ? await staleObjects(client, plan) : []
  for (const object of stale) {
    if (!options.dryRun) await client.delete(objectKey(object))
    progress.done(`${options.dryRun ? 'would remove' : 'removed'} ${nameOf(object)}, which these values no longer ask for`)
    total.removed++
  }
  return total
}

async function waitFor(title: string, client: KubernetesClient, objects: readonly KubernetesObject[], namespace: string, timeoutMs: number, progress: Progress): Promise<void> {
  if (title === 'resource definitions') await waitForCrds(client, objects.map((o) => o.metadata.name ?? ''), Math.min(timeoutMs, 60_000))
  for (const object of objects) if (object.kind === 'Deployment') await waitForRollout(client, namespace, object.metadata.name ?? '', timeoutMs, (text) => progress.doing(`${title}: ${text}`))
  if (title === 'webhooks') await waitForWebhooks(client, objects, timeoutMs, (text) => progress.doing(`${title}: ${text}`))
}

/** `13 created`; a few are named. */
function changesText(changes: readonly { readonly object: KubernetesObject; readonly change: Change }[], dryRun: boolean): string {
  const would = dryRun ? 'would be ' : ''
  return (['created', 'changed', 'unchanged'] as const).flatMap((change) => {
    const of = changes.filter((c) => c.change === change)
    if (of.length === 0) return []
    const named = change !== 'unchanged' && of.length <= 3 ? ` (${of.map((c) => nameOf(c.object)).join(', ')})` : ''
    return [`${of.length} ${change === 'unchanged' ? '' : would}${change}${named}`]
  }).join(', ')
}

/** Whether another mesh's control plane answers to the same names. */
export async function foreignControlPlane(client: KubernetesClient, { namespace, name }: InstallPlan): Promise<KubernetesObject | undefined> {
  const there = await client.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name })
  return there === undefined || there.metadata.labels?.['app.kubernetes.io/managed-by'] === 'kith' ? undefined : there
}

export function refuseForeign(there: KubernetesObject): never {
  const images = valueAtPath(there, 'spec.template.spec.containers')
  const image = Array.isArray(images) && typeof images[0] === 'object' && images[0] !== null ? String((images[0] as { image?: unknown }).image ?? '') : ''
  throw new KithError('INSTALL_CONFLICT', `${nameOf(there)} runs ${image} and was not made by kith: another control plane serves this mesh. Install beside it with --revision NAME, or remove it first.`)
}
