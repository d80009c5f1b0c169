// Objects of an installation → the cluster, by server-side apply under a name of our own. Law: what others set is never taken over in silence.
import { KithError } from '#lib/errors.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { isRecord } from '#api'

export const fieldManager = 'kith-install'

export type Change = 'created' | 'changed' | 'unchanged'

export interface ApplyOptions {
  /** The API server checks, and keeps nothing. */
  readonly dryRun: boolean
  /** Fields that others have set are taken over. */
  readonly force: boolean
}

/** `Deployment istio-system/istiod` */
export function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name ?? ''}`
}

export async function applyObject(client: KubernetesClient, object: KubernetesObject, { dryRun, force }: ApplyOptions): Promise<Change> {
  const live = await client.get(objectKey(object))
  // A namespace that is there already is somebody's: it stays as it is, and uninstalling leaves it.
  if (live !== undefined && object.kind === 'Namespace') return 'unchanged'
  try {
    const applied = await client.apply(withoutGiven(object, live), { dryRun, force, fieldManager })
    return live === undefined ? 'created' : isSame(live, applied, dryRun) ? 'unchanged' : 'changed'
  } catch (cause) {
    if (cause instanceof KithError && cause.code === 'K8S_CONFLICT') throw new KithError('INSTALL_CONFLICT', `${nameOf(object)}: ${conflictText(cause.message)}. Settle it there, or let --force take these fields over.`, { cause })
    if (cause instanceof KithError) throw new KithError(cause.code, `${nameOf(object)} could not be applied: ${cause.message}`, { cause })
    throw cause
  }
}

/** Once it serves, the control plane itself says how its webhooks fail: what we give them at first must not be put back. */
function withoutGiven(object: KubernetesObject, live: KubernetesObject | undefined): KubernetesObject {
  if (live === undefined || object.kind !== 'ValidatingWebhookConfiguration' || !Array.isArray(object['webhooks'])) return object
  return { ...object, webhooks: object['webhooks'].map((w) => (isRecord(w) ? Object.fromEntries(Object.entries(w).filter(([k]) => k !== 'failurePolicy')) : w)) }
}

function isSame(live: KubernetesObject, applied: KubernetesObject, dryRun: boolean): boolean {
  if (!dryRun) return live.metadata.resourceVersion === applied.metadata.resourceVersion
  // In a dry run the version never moves; the generation does where the spec differs, and the rest is compared.
  const content = ({ metadata, status: _status, ...rest }: KubernetesObject): string => JSON.stringify([rest, metadata.labels, metadata.annotations])
  return content(live) === content(applied)
}

/** `Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas`; several stand in lines of their own: `- .spec.replicas`. */
export function conflictText(message: string): string {
  const fields = [...message.matchAll(/(?:^- |: )(\.\S+)/gm)].map((m) => (m[1] as string).slice(1))
  const managers = [...new Set([...message.matchAll(/conflicts? with "([^"]+)"/g)].map((m) => m[1] as string))]
  if (managers.length === 0) return message
  const shown = fields.slice(0, 3).join(', ') + (fields.length > 3 ? ` and ${fields.length - 3} more` : '')
  return `${fields.length === 0 ? 'fields' : shown} ${fields.length === 1 ? 'was' : 'were'} set by ${managers.join(', ')}`
}
