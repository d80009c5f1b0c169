// Objects of kinds that the mesh does not serve, and which proxies they would have touched: said in explain, in the object's status and in the sidecar's own log.
import { reachOf, unserved, type ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { selectorCovers, type Mesh, type Workload } from '#mesh'

export type Side = 'client' | 'server'

interface Found {
  readonly object: ApiObject
  readonly problems: readonly Problem[]
  readonly reach: ReturnType<typeof reachOf>
}

const inMesh = new WeakMap<Mesh, readonly Found[]>()

/** Those with something to say, of a snapshot. A VirtualService's gateways touch no proxy that there is. */
function foundIn(mesh: Mesh): readonly Found[] {
  const known = inMesh.get(mesh)
  if (known !== undefined) return known
  const found = mesh.objects.flatMap((object): Found[] => {
    if (object.kind === 'VirtualService' || !object.apiVersion.includes('istio.io/')) return []
    const problems = unserved(object).filter((p) => p.code === 'KITH0121')
    return problems.length === 0 ? [] : [{ object, problems, reach: reachOf(object) }]
  })
  inMesh.set(mesh, found)
  return found
}

/** KITH0121 of the objects that would have touched this workload's proxy, on that side of its calls. Default: on either. */
export function unservedKindsAt(mesh: Mesh, workload: Pick<Workload, 'namespace' | 'labels'>, side?: Side): readonly Problem[] {
  return foundIn(mesh).flatMap(({ object, problems, reach }) => {
    const { namespace } = object.metadata
    const near = reach.everywhere || namespace === workload.namespace || namespace === mesh.options.rootNamespace
    // An empty selector is none; a Gateway without one stands for no pod.
    const selects = selectorCovers(reach.labels, workload.labels) && (object.kind !== 'Gateway' || Object.keys(reach.labels).length > 0)
    const touches = side === undefined ? reach.sides.size > 0 : reach.sides.has(side)
    return near && selects && touches ? problems : []
  })
}
