// Whose pod it is: what the user wrote and names things by, not the ReplicaSet or Job that Kubernetes made of it.
// Istio: pkg/kube/labels.go, GetWorkloadMetaFromPod: a ReplicaSet named after the pod's template hash is a Deployment's; a Job named after a time is a CronJob's.
import { isRecord } from '#api'

type Obj = Readonly<Record<string, unknown>>

export interface PodOwner {
  readonly apiVersion: string
  readonly kind: string
  /** Empty: a pod by itself whose name is not yet made. */
  readonly name: string
}

const scheduledJob = /^(.+)-\d{8,10}$/

export function ownerOfPod(metadata: Obj): PodOwner {
  const name = typeof metadata['name'] === 'string' ? metadata['name'] : ''
  const generateName = typeof metadata['generateName'] === 'string' ? metadata['generateName'] : ''
  const itself: PodOwner = { apiVersion: 'v1', kind: 'Pod', name: name === '' ? generateName.replace(/-$/, '') : name }
  if (generateName === '') return itself
  const controller = controllerOf(metadata)
  if (controller === undefined) return itself
  const labels = isRecord(metadata['labels']) ? metadata['labels'] : {}
  const { apiVersion, kind } = controller
  const label = (key: string): string => (typeof labels[key] === 'string' ? labels[key] : '')
  const without = (hash: string): string | undefined => (hash !== '' && controller.name.endsWith(`-${hash}`) ? controller.name.slice(0, -hash.length - 1) : undefined)
  if (kind === 'ReplicaSet') {
    const deployment = without(label('pod-template-hash'))
    if (deployment !== undefined) return { apiVersion, kind: 'Deployment', name: deployment }
    const rollout = without(label('rollouts-pod-template-hash'))
    if (rollout !== undefined) return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name: rollout }
  }
  if (kind === 'ReplicationController' && label('deploymentconfig') !== '') return { apiVersion: 'apps.openshift.io/v1', kind: 'DeploymentConfig', name: label('deploymentconfig') }
  const cronJob = kind === 'Job' ? scheduledJob.exec(controller.name)?.[1] : undefined
  return cronJob === undefined ? { apiVersion, kind, name: controller.name } : { apiVersion: 'batch/v1', kind: 'CronJob', name: cronJob }
}

/** The one owner that is the pod's controller. */
export function controllerOf(metadata: Obj): (PodOwner & { readonly uid: string }) | undefined {
  const references = Array.isArray(metadata['ownerReferences']) ? (metadata['ownerReferences'] as unknown[]) : []
  const found = references.find((r) => isRecord(r) && r['controller'] === true)
  if (!isRecord(found)) return undefined
  const text = (key: string): string => (typeof found[key] === 'string' ? found[key] : '')
  return { apiVersion: text('apiVersion'), kind: text('kind'), name: text('name'), uid: text('uid') }
}

/** ISTIO_META_OWNER */
export function ownerUrl(owner: PodOwner, namespace: string): string {
  return `kubernetes://apis/${owner.apiVersion}/namespaces/${namespace === '' ? 'default' : namespace}/${owner.kind.toLowerCase()}s/${owner.name}`
}
