// What holds now: the objects, the mesh built from them, and what changed since the last one.
import type { ApiObject, MeshConfigSpec } from '#api'
import { buildMesh, type Mesh, type Workload } from '#mesh'
import { objectKey } from '#sources'

export interface Snapshot {
  /** Counts up; 0 = nothing read yet. */
  readonly number: number
  readonly mesh: Mesh
  readonly workloadById: ReadonlyMap<string, Workload>
  /** `PeerAuthentication foo/default` … of what is new, different or gone. */
  readonly changed: readonly string[]
}

export function nextSnapshot(before: Snapshot | undefined, objects: readonly ApiObject[], meshConfig: MeshConfigSpec): Snapshot {
  const mesh = buildMesh(objects, { meshConfig })
  return { number: (before?.number ?? 0) + 1, mesh, workloadById: new Map(mesh.workloads.map((w) => [w.id, w])), changed: before === undefined ? [] : difference(before.mesh.objects, objects) }
}

function difference(before: readonly ApiObject[], now: readonly ApiObject[]): string[] {
  const name = (o: ApiObject): string => `${o.kind} ${o.metadata.namespace === '' ? '' : `${o.metadata.namespace}/`}${o.metadata.name}`
  const old = new Map(before.map((o) => [objectKey(o), o]))
  const changed: string[] = []
  for (const o of now) {
    const was = old.get(objectKey(o))
    old.delete(objectKey(o))
    if (was === o) continue
    if (was === undefined || JSON.stringify([was.raw, was.spec]) !== JSON.stringify([o.raw, o.spec])) changed.push(name(o))
  }
  return [...changed, ...[...old.values()].map((o) => `${name(o)} (removed)`)].sort()
}
