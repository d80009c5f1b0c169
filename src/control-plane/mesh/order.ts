// Istio's order of objects: the oldest first; of one age by name, then by namespace.
import type { ApiObject } from '#api'

export function byAge(a: ApiObject, b: ApiObject): number {
  const ages = compare(a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '')
  return ages !== 0 ? ages : compare(a.metadata.name, b.metadata.name) || compare(a.metadata.namespace, b.metadata.namespace)
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
