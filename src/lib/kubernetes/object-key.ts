// The name of an object for whoever asks the API server about it.
import type { KubernetesObject, ObjectKey } from './types.ts'

export function objectKey({ apiVersion, kind, metadata }: KubernetesObject): ObjectKey {
  return { apiVersion, kind, name: metadata.name ?? '', ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }) }
}
