// The cluster as a source: every kind that a mesh is made from, followed; the same Objects as files give.
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import type { Objects } from '../objects.ts'
import { follow, type Followed } from './follow.ts'
import { gatheredLog } from './gathered-log.ts'
import { HeldObjects, type HeldStatus } from './held-objects.ts'
import { watchedKinds, type WatchedKind } from './kinds.ts'
import { dueMs, notice, type LastRun, type Pending } from './settle.ts'

export interface KubernetesWatchOptions {
  readonly log: Logger
  /** Default: all that a mesh is made from. */
  readonly kinds?: readonly WatchedKind[]
  /** 0 ≤ n < 1. */
  readonly pick?: () => number
  readonly now?: () => number
}

export interface KindStatus {
  readonly kind: string
  readonly apiVersion: string
  readonly objects: number
  readonly state: 'listing' | 'watching' | 'refused' | 'lost'
  readonly reason?: string
}

export interface KubernetesWatch {
  current(): Objects
  /** Each kind has been listed, or is known to be refused. */
  readonly synced: Promise<void>
  status(): readonly KindStatus[]
  /** What stands in the status of the mesh's kinds. */
  statuses(): readonly { readonly kind: WatchedKind; readonly key: string; readonly status: HeldStatus }[]
  close(): void
}

/** `onChange` is first called once everything is synced. */
export function watchKubernetes(client: Pick<KubernetesClient, 'pages' | 'watch'>, options: KubernetesWatchOptions, onChange: (objects: Objects) => void): KubernetesWatch {
  const { log, kinds = watchedKinds, pick = Math.random, now = () => performance.now() } = options
  const held = new HeldObjects()
  const gathered = gatheredLog(log)
  const ending = new AbortController()
  let pending: Pending | undefined
  let last: LastRun | undefined
  let timer: NodeJS.Timeout | undefined
  let synced = false
  const run = (): void => {
    pending = undefined
    const fromMs = now()
    onChange(held.objects())
    last = { endMs: now(), tookMs: now() - fromMs }
  }
  const plan = (): void => {
    clearTimeout(timer)
    if (pending === undefined || !synced || ending.signal.aborted) return
    timer = setTimeout(run, Math.max(0, dueMs(pending, last) - now()))
  }
  const followed: Followed[] = kinds.map((kind) => follow(kind.of, {
    client, log, gathered, pick, signal: ending.signal, guards: kind.guards === true,
    onChange(changes) {
      if (!held.take(kind, changes)) return
      pending = notice(pending, now(), kind.endpoints)
      plan()
    },
  }))
  return {
    current: () => held.objects(),
    synced: Promise.all(followed.map((f) => f.settled)).then(() => {
      synced = true
      if (!ending.signal.aborted) run()
    }),
    status: () => followed.map(({ of, reflector: r }) => ({
      kind: of.kind, apiVersion: of.apiVersion, objects: r.size, state: r.refused !== undefined ? 'refused' : r.lost !== undefined ? 'lost' : r.synced ? 'watching' : 'listing', ...(r.lost === undefined ? {} : { reason: r.lost.message }),
    })),
    statuses: () => held.statuses(),
    close() {
      clearTimeout(timer)
      gathered.flush()
      ending.abort()
    },
  }
}
