// Writes what became of them onto the mesh's kinds. Law: the leader alone, only what differs, slowly; a status that can't be written harms nothing.
import { setTimeout as pause } from 'node:timers/promises'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, ObjectKey } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import type { Problem } from '#lib/problem.ts'
import type { HeldStatus, KubernetesWatch } from '#sources'
import { statusToWrite } from './status-conditions.ts'

export interface StatusWriter {
  /** `more`: what takes work to find; asked for where it is written. */
  take(statuses: ReturnType<KubernetesWatch['statuses']>, problems: readonly Problem[], more?: (wanted: () => boolean) => Promise<readonly Problem[]>): void
  setLeading(leads: boolean): void
  close(): void
}

/** Twenty writes a second: an upgrade of the control plane may change what is said of thousands. */
const betweenMs = 50
const settleMs = 500
const refusedMs = 60_000

export function statusWriter({ client, log, on }: { readonly client: Pick<KubernetesClient, 'patch'>; readonly log: Logger; readonly on: boolean }): StatusWriter {
  let leads = false
  let latest: { readonly statuses: ReturnType<KubernetesWatch['statuses']>; readonly problems: readonly Problem[]; readonly more?: Parameters<StatusWriter['take']>[2] } | undefined
  let timer: NodeJS.Timeout | undefined
  let running = false
  const ending = new AbortController()
  /** Kinds whose status can't be written, until when they are left alone. */
  const refused = new Map<string, number>()
  /** What was written is seen a moment later only. */
  const written = new Map<string, string>()

  const wake = (ms = settleMs): void => {
    if (!on || !leads || latest === undefined || timer !== undefined || running || ending.signal.aborted) return
    timer = setTimeout(() => {
      timer = undefined
      running = true
      const taken = latest
      void write().finally(() => {
        running = false
        if (latest !== taken) wake()
      })
    }, ms)
    timer.unref()
  }
  const write = async (): Promise<void> => {
    const taken = latest
    if (taken === undefined) return
    const byObject = new Map<string, Problem[]>()
    const more = await taken.more?.(() => latest === taken && leads && !ending.signal.aborted)
    // Of something older than what is there by now nothing is said.
    if (latest !== taken) return
    for (const p of [...taken.problems, ...(more ?? [])]) {
      const key = `${p.ref.kind} ${p.ref.namespace}/${p.ref.name}`
      byObject.set(key, [...(byObject.get(key) ?? []), p])
    }
    for (const { kind, key, status } of taken.statuses) {
      if (!leads || ending.signal.aborted) return
      if ((refused.get(kind.of.kind) ?? 0) > Date.now()) continue
      const next = statusToWrite(status.status, status.generation, byObject.get(`${kind.of.kind} ${key}`) ?? [], Date.now())
      if (next === undefined || written.get(status.uid) === markOf(status, next)) continue
      await writeOne({ apiVersion: kind.of.apiVersion, kind: kind.of.kind, namespace: key.slice(0, key.indexOf('/')), name: key.slice(key.indexOf('/') + 1) }, status, next)
      await pause(betweenMs)
    }
    for (const uid of written.keys()) if (!taken.statuses.some((s) => s.status.uid === uid)) written.delete(uid)
  }
  const writeOne = async (key: ObjectKey, held: HeldStatus, status: object): Promise<void> => {
    try {
      await client.patch(key, 'merge', { metadata: { uid: held.uid }, status }, { subresource: 'status' })
      written.set(held.uid, markOf(held, status))
    } catch (error) {
      const code = error instanceof KithError ? error.code : 'UNEXPECTED'
      // Gone or made anew in between: its next life is seen soon.
      if (code === 'K8S_NOT_FOUND' || code === 'K8S_CONFLICT') return void written.set(held.uid, markOf(held, status))
      refused.set(key.kind, Date.now() + refusedMs)
      log.warn({ kind: key.kind, code, reason: (error as Error).message }, 'status could not be written, left alone for a while')
    }
  }
  return {
    take(statuses, problems, more) {
      latest = { statuses, problems, more }
      wake()
    },
    setLeading(now) {
      leads = now
      wake()
    },
    close() {
      clearTimeout(timer)
      ending.abort()
    },
  }
}

function markOf(held: HeldStatus, status: object): string {
  const { lastTransitionTime: _time, ...condition } = ((status as { conditions: Record<string, unknown>[] }).conditions.at(-1) ?? {}) as Record<string, unknown>
  return JSON.stringify([held.generation, condition])
}
