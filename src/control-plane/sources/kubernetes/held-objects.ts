// What is held of the cluster: each object decoded once, when it changes; a newer text with a fault keeps its former self.
import { createHash } from 'node:crypto'
import type { Problem } from '#lib/problem.ts'
import { decode, type ApiObject } from '#api'
import type { Objects } from '../objects.ts'
import type { WatchedKind } from './kinds.ts'
import { keyOf, type Changes } from './reflector.ts'

/** What somebody wrote into an object's status, and of which generation it was. */
export interface HeldStatus {
  readonly uid: string
  readonly generation: number
  readonly status: unknown
}

interface Held {
  readonly hash: string
  readonly object: ApiObject | undefined
  readonly problems: readonly Problem[]
  readonly status: HeldStatus
}

export class HeldObjects {
  readonly #kinds = new Map<WatchedKind, Map<string, Held>>()

  /** True where something changed that a mesh is made from: a status that we wrote ourselves, a node's heartbeat are not. */
  take(kind: WatchedKind, changes: Changes): boolean {
    const held = this.#kinds.get(kind) ?? new Map<string, Held>()
    this.#kinds.set(kind, held)
    let changed = false
    for (const raw of changes.put) {
      const key = keyOf(raw)
      const before = held.get(key)
      const status = { uid: raw.metadata.uid ?? '', generation: raw.metadata.generation ?? 0, status: raw['status'] }
      const stripped = kind.strip(raw)
      const { resourceVersion: _version, ...metadata } = stripped.metadata
      // An API server writes an object's fields in one order; another order were no more than a needless change.
      const hash = createHash('sha1').update(JSON.stringify({ ...stripped, metadata })).digest('base64')
      if (before?.hash === hash) {
        held.set(key, { ...before, status: hasOurStatus(kind) ? status : before.status })
        continue
      }
      const { object = before?.object, problems } = decode(stripped, {})
      held.set(key, { hash, object, problems, status: hasOurStatus(kind) ? status : noStatus })
      changed = true
    }
    for (const key of changes.gone) changed = held.delete(key) || changed
    return changed
  }

  objects(): Objects {
    const objects: ApiObject[] = []
    const problems: Problem[] = []
    for (const held of this.#kinds.values()) {
      for (const h of held.values()) {
        if (h.object !== undefined) objects.push(h.object)
        problems.push(...h.problems)
      }
    }
    return { objects, problems }
  }

  /** Of the mesh's own kinds alone; `key`: `namespace/name`. */
  statuses(): readonly { readonly kind: WatchedKind; readonly key: string; readonly status: HeldStatus }[] {
    return [...this.#kinds].filter(([kind]) => hasOurStatus(kind)).flatMap(([kind, held]) => [...held].map(([key, h]) => ({ kind, key, status: h.status })))
  }
}

const noStatus: HeldStatus = { uid: '', generation: 0, status: undefined }

/** Whether its status is written by us. */
function hasOurStatus(kind: WatchedKind): boolean {
  return kind.of.apiVersion.includes('istio.io/')
}
