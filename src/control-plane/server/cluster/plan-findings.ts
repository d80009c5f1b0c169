// What planning finds amiss with objects of the mesh's kinds, for their statuses: of all workloads with a sidecar, one of each sort.
// Law: pure but for its pauses; a little at a time, since sidecars wait for the same thread.
import { setImmediate as others } from 'node:timers/promises'
import type { Problem } from '#lib/problem.ts'
import { unserved, unservedSettings } from '#api'
import { foreignHostProblem, foreignHosts, type Mesh, type Workload } from '#mesh'
import { planContext, planProblems } from '#plan'

/** At a stretch. */
const workMs = 10

/** Each once. `wanted`: false ends it early. */
export async function planFindings(mesh: Mesh, wanted: () => boolean): Promise<readonly Problem[]> {
  const found = new Map<string, Problem>()
  const seen = new Set<string>()
  const add = (p: Problem): void => void found.set(JSON.stringify([p.code, p.ref.kind, p.ref.namespace, p.ref.name, p.ref.path, p.message]), p)
  for (const f of foreignHosts(mesh)) add(foreignHostProblem(f, mesh.options))
  // Of all objects with a status of ours, whether a workload is there for them or not.
  for (const o of mesh.objects) if (o.apiVersion.includes('istio.io/')) for (const p of [...unserved(o), ...unservedSettings(o)]) add(p)
  let untilMs = performance.now() + workMs
  for (const workload of mesh.workloads) {
    if (!workload.sidecar.value) continue
    const sort = sortOf(workload)
    if (seen.has(sort)) continue
    seen.add(sort)
    for (const p of planProblems(planContext(mesh, workload))) add(p)
    if (performance.now() < untilMs) continue
    await others()
    if (!wanted()) break
    untilMs = performance.now() + workMs
  }
  return [...found.values()]
}

/** Pods of one template are planned alike, as far as their policies go. */
function sortOf({ namespace, labels, ports, locality }: Workload): string {
  return JSON.stringify([namespace, Object.entries(labels).filter(([k]) => k !== 'pod-template-hash' && k !== 'statefulset.kubernetes.io/pod-name' && k !== 'apps.kubernetes.io/pod-index').sort(), ports, locality ?? ''])
}
