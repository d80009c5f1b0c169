// Where a pod of a labelled namespace got no sidecar, its owner says so in `kubectl describe`, with the reason. Once for an owner and a reason, not for each of its pods.
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { rules } from '#api'
import type { Review } from '#inject'

const againAfterMs = 10 * 60_000
const remembered = 2000

export function notInjectedEvents({ client, log, now }: { readonly client: Pick<KubernetesClient, 'create'>; readonly log: Logger; readonly now: () => number }): (review: Review) => void {
  const told = new Map<string, number>()
  return ({ outcome, decided, pod }) => {
    const rule = decided?.because[0]?.rule
    if (outcome !== 'skipped' || rule === undefined || pod?.controller === undefined || pod.dryRun) return
    const { controller, namespace } = pod
    const key = `${controller.uid} ${rule}`
    const atMs = now()
    const beforeMs = told.get(key)
    if (beforeMs !== undefined && atMs - beforeMs < againAfterMs) return
    told.delete(key)
    told.set(key, atMs)
    if (told.size > remembered) told.delete(told.keys().next().value ?? '')
    const time = new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z')
    const message = `pod ${pod.name}… got no sidecar: ${rules[rule]?.sentence ?? rule}`
    client.create({
      apiVersion: 'v1', kind: 'Event', metadata: { name: `${controller.name}.${atMs.toString(16)}${Math.abs(hash(key)).toString(16)}`, namespace },
      involvedObject: { apiVersion: controller.apiVersion, kind: controller.kind, name: controller.name, namespace, uid: controller.uid },
      type: 'Normal', reason: 'SidecarNotInjected', message, source: { component: 'istiod' }, reportingComponent: 'istiod', firstTimestamp: time, lastTimestamp: time, count: 1,
    }).catch((error: unknown) => log.warn({ namespace, owner: controller.name, code: error instanceof KithError ? error.code : 'UNEXPECTED', reason: (error as Error).message }, 'an event could not be written'))
  }
}

function hash(text: string): number {
  let value = 0
  for (const char of text) value = (Math.imul(value, 31) + (char.codePointAt(0) ?? 0)) | 0
  return value
}
