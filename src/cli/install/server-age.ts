// What an API server of some age does not know is left out of what it gets: server-side apply refuses a field that is
// in no schema.
import { isRecord } from '#api'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'

/**
 * `matchConditions` of webhooks are there from this one on:
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
 */
const matchConditionsMinor = 28

/** The objects as this API server knows them. One whose version can't be read is taken for a new one. */
export async function knownToServer(
  client: Pick<KubernetesClient, 'request'>,
  objects: readonly KubernetesObject[],
): Promise<readonly KubernetesObject[]> {
  const answer = await client.request('GET', '/version').catch(() => undefined)
  const minor = isRecord(answer) ? /^\d+/.exec(String(answer['minor'] ?? ''))?.[0] : undefined
  return minor === undefined || Number(minor) >= matchConditionsMinor ? objects : objects.map(withoutConditions)
}

function withoutConditions(object: KubernetesObject): KubernetesObject {
  const webhooks = object['webhooks']
  if (!Array.isArray(webhooks)) return object
  const plain = (webhook: unknown): unknown => {
    if (!isRecord(webhook)) return webhook
    const { matchConditions: _conditions, ...rest } = webhook
    return rest
  }
  return { ...object, webhooks: webhooks.map(plain) }
}
