// What of an installation is in the cluster: by the label that every object of it carries. Order: that in which it must go.
import { installationLabel } from '#deploy'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { nameOf } from './apply.ts'
import type { InstallPlan } from './plan-install.ts'

interface Kind { readonly apiVersion: string; readonly kind: string; readonly ofCluster?: true }

/** Webhooks first: once the control plane is gone, they would refuse pods. */
export const installedKinds: readonly Kind[] = [
  { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration', ofCluster: true }, { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingWebhookConfiguration', ofCluster: true },
  { apiVersion: 'apps/v1', kind: 'Deployment' }, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' }, { apiVersion: 'v1', kind: 'Service' }, { apiVersion: 'v1', kind: 'ConfigMap' },
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding' }, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role' },
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', ofCluster: true }, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', ofCluster: true }, { apiVersion: 'v1', kind: 'ServiceAccount' },
]

/** Of one revision, or of all. */
export async function installedObjects(client: KubernetesClient, namespace: string, revision?: string): Promise<readonly KubernetesObject[]> {
  const labelSelector = revision === undefined ? installationLabel : `${installationLabel}=${revision}`
  const lists = await Promise.all(installedKinds.map(async ({ apiVersion, kind, ofCluster }) => (await client.list({ apiVersion, kind, labelSelector, ...(ofCluster === true ? {} : { namespace }) })).items))
  return lists.flat()
}

/** What an earlier installation of this revision made and this one no longer asks for; tags that were set by hand stay. */
export async function staleObjects(client: KubernetesClient, { objects, namespace, revision }: InstallPlan): Promise<readonly KubernetesObject[]> {
  const wanted = new Set(objects.map(nameOf))
  const found = await installedObjects(client, namespace, revision).catch((error: unknown) => {
    // Who may apply but not list leaves what is stale.
    if (error instanceof KithError && error.code === 'K8S_FORBIDDEN') return []
    throw error
  })
  return found.filter((o) => !wanted.has(nameOf(o)) && o.metadata.labels?.['istio.io/tag'] === undefined)
}
