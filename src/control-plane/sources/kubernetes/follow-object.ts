// One object by its name, followed: meshConfig's ConfigMap, an authority's Secret. With the right to read that one alone.
import type { Collection, KubernetesClient, KubernetesObject, ObjectKey } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { follow } from './follow.ts'

export interface FollowedObject {
  /** undefined: not there, or not ours to read. */
  current(): KubernetesObject | undefined
  /** It was read, or is known not to be there. */
  readonly settled: Promise<void>
  /** Why it can't be read, where it never was: whether it is there is not known then. */
  unread(): string | undefined
  close(): void
}

export function followObject(client: Pick<KubernetesClient, 'pages' | 'watch'>, key: ObjectKey, log: Logger, onChange: (object: KubernetesObject | undefined) => void): FollowedObject {
  const ending = new AbortController()
  let held: KubernetesObject | undefined
  const of: Collection = { apiVersion: key.apiVersion, kind: key.kind, fieldSelector: `metadata.name=${key.name}`, ...(key.namespace === undefined ? {} : { namespace: key.namespace }) }
  let seen = false
  const followed = follow(of, {
    client, log, signal: ending.signal,
    onChange({ put, gone }) {
      if (put.length === 0 && gone.length === 0) return
      held = put.at(-1)
      seen = true
      onChange(held)
    },
  })
  const unread = (): string | undefined => (seen || followed.reflector.synced ? undefined : followed.reflector.lost?.message)
  return { current: () => held, settled: followed.settled, unread, close: () => ending.abort() }
}
