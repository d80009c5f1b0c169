// Until the API server trusts the webhooks: the control plane has written its certificate into each. Before that, pods of labelled namespaces are refused.
import { setTimeout as pause } from 'node:timers/promises'
import { isRecord } from '#api'
import { KithError } from '#lib/errors.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { nameOf } from './apply.ts'

export async function waitForWebhooks(client: KubernetesClient, objects: readonly KubernetesObject[], timeoutMs: number, say: (text: string) => void): Promise<void> {
  const endMs = Date.now() + Math.min(timeoutMs, 60_000)
  for (const object of objects) {
    while (!trusted(await client.get(objectKey(object)))) {
      say(`waiting for the control plane’s certificate in ${object.metadata.name ?? ''}`)
      if (Date.now() > endMs) throw new KithError('INSTALL_NOT_READY', `${nameOf(object)} has no certificate yet: the control plane should have written it; kubectl logs -n ${String(serviceOf(object)?.['namespace'] ?? 'istio-system')} -l app=istiod says why not`)
      await pause(200)
    }
  }
}

function trusted(object: KubernetesObject | undefined): boolean {
  const webhooks = object?.['webhooks']
  return Array.isArray(webhooks) && webhooks.every((w) => isRecord(w) && isRecord(w['clientConfig']) && typeof w['clientConfig']['caBundle'] === 'string' && w['clientConfig']['caBundle'] !== '')
}

function serviceOf(object: KubernetesObject): Readonly<Record<string, unknown>> | undefined {
  const webhooks = object['webhooks']
  const first: unknown = Array.isArray(webhooks) ? webhooks[0] : undefined
  const config = isRecord(first) ? first['clientConfig'] : undefined
  return isRecord(config) && isRecord(config['service']) ? config['service'] : undefined
}
