// Who of several control planes writes: a Lease, taken and renewed. Law: whoever can't renew stops leading before another may begin.
import { setTimeout as pause } from 'node:timers/promises'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'

export interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

/** A lease as it was last seen to change: clocks of others are not trusted, only ours is. */
export interface Seen {
  readonly record: string
  readonly atMs: number
}

const durationSeconds = 15
const renewEveryMs = 4000
/** From the last renewal on; then this one no longer acts. */
const leadsForMs = 10_000

/** Pure: what to write, or undefined: another holds it. */
export function claim(spec: LeaseSpec | undefined, me: string, nowMs: number, seen: Seen | undefined): LeaseSpec | undefined {
  const now = new Date(nowMs).toISOString().replace('Z', '000Z')
  const mine = spec?.holderIdentity === me
  const free = spec?.holderIdentity === undefined || spec.holderIdentity === ''
  const ranOut = spec !== undefined && seen?.record === recordOf(spec) && nowMs - seen.atMs > (spec.leaseDurationSeconds ?? durationSeconds) * 1000
  if (!mine && !free && !ranOut) return undefined
  return { holderIdentity: me, leaseDurationSeconds: durationSeconds, renewTime: now, acquireTime: mine ? (spec?.acquireTime ?? now) : now, leaseTransitions: (spec?.leaseTransitions ?? 0) + (mine ? 0 : 1) }
}

export function recordOf(spec: LeaseSpec): string {
  return `${spec.holderIdentity ?? ''} ${spec.renewTime ?? ''} ${spec.leaseTransitions ?? 0}`
}

export interface Leadership {
  isLeader(): boolean
  /** Called at once with how it stands, and whenever that changes. */
  watch(listener: (leads: boolean) => void): void
  /** Lets another lead at once. */
  release(): Promise<void>
}

export interface LeadershipOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'update'>
  readonly namespace: string
  readonly name: string
  readonly me: string
  readonly log: Logger
}

export function campaign(options: LeadershipOptions): Leadership {
  const { client, namespace, name, me, log } = options
  const key = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name }
  const listeners: ((leads: boolean) => void)[] = []
  const ending = new AbortController()
  let leads = false
  let renewedMs = 0
  let seen: Seen | undefined
  let said = ''
  const set = (now: boolean, why: string): void => {
    if (now === leads) return
    leads = now
    log.info({ lease: name, me, why }, now ? 'this control plane leads' : 'this control plane no longer leads')
    for (const listener of listeners) listener(now)
  }
  const attempt = async (): Promise<void> => {
    const held = await client.get(key)
    const spec = held?.['spec'] as LeaseSpec | undefined
    const nowMs = Date.now()
    if (spec !== undefined && seen?.record !== recordOf(spec)) seen = { record: recordOf(spec), atMs: nowMs }
    const next = claim(spec, me, nowMs, seen)
    if (next === undefined) return set(false, `${spec?.holderIdentity} leads`)
    const object: KubernetesObject = { apiVersion: key.apiVersion, kind: key.kind, metadata: { name, namespace, ...(held?.metadata.resourceVersion === undefined ? {} : { resourceVersion: held.metadata.resourceVersion }) }, spec: next }
    await (held === undefined ? client.create(object) : client.update(object))
    renewedMs = nowMs
    set(true, held === undefined ? 'there was no lease' : 'the lease is ours')
  }
  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await attempt()
        said = ''
      } catch (error) {
        const conflict = error instanceof KithError && error.code === 'K8S_CONFLICT'
        if (!conflict && said !== (error as Error).message) log.warn({ lease: name, reason: (error as Error).message }, 'lease could not be read or written')
        if (!conflict) said = (error as Error).message
        if (leads && (conflict || Date.now() - renewedMs > leadsForMs)) set(false, 'the lease could not be renewed')
      }
      await pause(leads ? renewEveryMs : renewEveryMs * (0.5 + Math.random()), undefined, { signal: ending.signal }).catch(() => undefined)
    }
  }
  const running = run()
  return {
    // An event loop that stood still must not lead past its time.
    isLeader: () => leads && Date.now() - renewedMs < durationSeconds * 1000,
    watch(listener) {
      listeners.push(listener)
      listener(leads)
    },
    async release() {
      ending.abort()
      // What is under way would take it again after it was let go.
      await running
      if (!leads) return
      set(false, 'this control plane ends')
      const held = await client.get(key).catch(() => undefined)
      const spec = held?.['spec'] as LeaseSpec | undefined
      if (held === undefined || spec?.holderIdentity !== me) return
      await client.update({ ...held, spec: { ...spec, holderIdentity: '', leaseDurationSeconds: 1 } }).catch(() => undefined)
    },
  }
}
