// What holds now: the objects, the mesh built from them, and what changed since the last one.
import type { ApiObject, MeshConfigSpec } from '#api'
import { buildMesh, type Mesh, type Workload } from '#mesh'
import { objectKey } from '#sources'
import { endpointChanges, type Change, type EndpointChanges } from './endpoint-changes.ts'

export interface Snapshot {
  /** Counts up; 0 = nothing read yet. */
  readonly number: number
  readonly mesh: Mesh
  readonly workloadById: ReadonlyMap<string, Workload>
  /** `PeerAuthentication foo/default` … of what is new, different or gone. */
  readonly changed: readonly string[]
  /** Set where, since the snapshot before, only endpoints have changed. */
  readonly endpoints?: EndpointChanges
}

export function nextSnapshot(before: Snapshot | undefined, objects: readonly ApiObject[], meshConfig: MeshConfigSpec, keys?: ReadonlyMap<string, string>): Snapshot {
  const mesh = buildMesh(objects, { meshConfig, ...(keys === undefined ? {} : { keys }) })
  const changes = before === undefined ? [] : difference(before.mesh.objects, objects)
  // Other keys are in the plan of whoever verifies tokens.
  const endpoints = before === undefined || !sameKeys(before.mesh.keys, mesh.keys) ? undefined : endpointChanges(before.mesh, mesh, changes)
  return {
    number: (before?.number ?? 0) + 1, mesh, workloadById: new Map(mesh.workloads.map((w) => [w.id, w])), changed: changes.map(named).sort(), ...(endpoints === undefined ? {} : { endpoints }),
  }
}

function sameKeys(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): boolean {
  return before.size === now.size && [...now].every(([name, keys]) => before.get(name) === keys)
}

/** Objects of a cluster are decoded once, so one that did not change is the same; those of files are read anew and compared. */
function difference(before: readonly ApiObject[], now: readonly ApiObject[]): Change[] {
  const [olds, youngs] = [new Set(before), new Set(now)]
  const old = new Map(before.filter((o) => !youngs.has(o)).map((o) => [objectKey(o), o]))
  const changes: Change[] = []
  for (const o of now) {
    if (olds.has(o)) continue
    const key = objectKey(o)
    const was = old.get(key)
    old.delete(key)
    if (was === undefined || JSON.stringify([was.raw, was.spec]) !== JSON.stringify([o.raw, o.spec])) changes.push({ before: was, now: o })
  }
  return [...changes, ...[...old.values()].map((o) => ({ before: o, now: undefined }))]
}

function named({ before, now }: Change): string {
  const o = (now ?? before) as ApiObject
  return `${o.kind} ${o.metadata.namespace === '' ? '' : `${o.metadata.namespace}/`}${o.metadata.name}${now === undefined ? ' (removed)' : ''}`
}
