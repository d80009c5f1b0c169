// Who has these labels: an index a snapshot, so that thousands of selectors over thousands of pods stay cheap.
import type { Labels, Mesh, Workload } from './types.ts'

type Index = ReadonlyMap<string, readonly Workload[]>

/** Derived from an immutable snapshot alone. */
const indices = new WeakMap<Mesh, Index>()

export function selectorCovers(selector: Labels, labels: Labels): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false
  return true
}

/** Workloads of a namespace that a selector covers, in the snapshot's order; an empty selector covers all. */
export function selectWorkloads(mesh: Mesh, namespace: string, selector: Labels): readonly Workload[] {
  const index = indexOf(mesh)
  let fewest = index.get(namespace) ?? []
  for (const [key, value] of Object.entries(selector)) {
    const list = index.get(`${namespace}\0${key}\0${value}`) ?? []
    if (list.length < fewest.length) fewest = list
  }
  return fewest.filter((w) => selectorCovers(selector, w.labels))
}

function indexOf(mesh: Mesh): Index {
  const known = indices.get(mesh)
  if (known !== undefined) return known
  const index = new Map<string, Workload[]>()
  const add = (key: string, w: Workload): void => {
    const list = index.get(key)
    if (list === undefined) index.set(key, [w])
    else list.push(w)
  }
  for (const w of mesh.workloads) {
    add(w.namespace, w)
    for (const [key, value] of Object.entries(w.labels)) add(`${w.namespace}\0${key}\0${value}`, w)
  }
  indices.set(mesh, index)
  return index
}
