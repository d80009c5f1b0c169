// What shall be installed: the objects and the names by which they are looked for again. Pure.
import { manifests, settingsOf, type Values } from '#deploy'
import { isRecord } from '#api'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'

export interface InstallPlan {
  readonly objects: readonly KubernetesObject[]
  readonly namespace: string
  readonly revision: string
  /** Of Deployment, Service and account. */
  readonly name: string
  readonly image: string
}

export function planInstall(values: Values): InstallPlan {
  const { namespace, revision, name, image } = settingsOf(values)
  return { objects: manifests(values), namespace, revision, name, image }
}

export function valueAtPath(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), value)
}
