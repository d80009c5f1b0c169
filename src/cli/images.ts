// Which image a container of a pod has, and which version that says.
import { isRecord } from '#api'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'

/** Of a container or an init container of that name. */
export function podImage(pod: KubernetesObject, container: string): string | undefined {
  const spec = isRecord(pod['spec']) ? pod['spec'] : {}
  const containers = [spec['containers'], spec['initContainers']].flatMap((c) => (Array.isArray(c) ? c.filter(isRecord) : []))
  const image = containers.find((c) => c['name'] === container)?.['image']
  return typeof image === 'string' ? image : undefined
}

/** `hub/proxyv2:1.2.3@sha256:…` → `1.2.3` */
export function tagOf(image = ''): string {
  return /:([^:/]+)$/.exec(image.split('@')[0] ?? '')?.[1] ?? 'unknown'
}
