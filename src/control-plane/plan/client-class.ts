// What of a workload can change its outbound plan: its namespace, the labels that some rule asks clients for, where it stands, which addresses it has. Whoever agrees in these has the same plan, made once a snapshot.
import { familiesOf, type Mesh, type Workload } from '#mesh'

const keysOf = new WeakMap<Mesh, readonly string[]>()

/** Two workloads of one class see the same mesh. */
export function clientClass(mesh: Mesh, client: Workload): string {
  const keys = keysOf.get(mesh) ?? labelsAsked(mesh)
  keysOf.set(mesh, keys)
  return JSON.stringify([client.namespace, keys.map((k) => client.labels[k] ?? null), client.locality ?? '', familiesOf(client.addresses)])
}

/** Labels of clients that a VirtualService, DestinationRule, Sidecar or failover goes by. */
function labelsAsked(mesh: Mesh): readonly string[] {
  const asked = new Set<string>()
  const add = (labels: Readonly<Record<string, string>> | undefined): void => Object.keys(labels ?? {}).forEach((k) => asked.add(k))
  for (const { spec } of mesh.virtualServices) {
    for (const rule of spec.http ?? []) for (const match of rule.match ?? []) add(match.sourceLabels)
    for (const rule of [...(spec.tls ?? []), ...(spec.tcp ?? [])]) for (const match of rule.match ?? []) add(match.sourceLabels)
  }
  for (const { spec } of mesh.sidecars) add(spec.workloadSelector?.labels)
  for (const { spec } of mesh.destinationRules) add(spec.workloadSelector?.matchLabels)
  for (const spec of [mesh.options.config.localityLbSetting, ...mesh.destinationRules.map((r) => r.spec)]) for (const name of failoverLabels(spec)) asked.add(name)
  return [...asked].sort()
}

/** Wherever in a rule it stands. */
function failoverLabels(value: unknown): string[] {
  if (value === null || typeof value !== 'object') return []
  if (Array.isArray(value)) return value.flatMap(failoverLabels)
  return Object.entries(value).flatMap(([key, own]) => (key === 'failoverPriority' && Array.isArray(own) ? own.map((entry) => String(entry).split('=')[0] as string) : failoverLabels(own)))
}

/** So many classes of a snapshot are kept: proxies are planned one after the other, and there may be more namespaces than memory. */
const mostKept = 64

/** Keeps what was made for a class beside the snapshot. */
export function onceAClass<T>(make: (mesh: Mesh, client: Workload) => T): (mesh: Mesh, client: Workload) => T {
  const kept = new WeakMap<Mesh, Map<string, T>>()
  return (mesh, client) => {
    const known = kept.get(mesh) ?? new Map<string, T>()
    kept.set(mesh, known)
    const key = clientClass(mesh, client)
    const before = known.get(key)
    if (before !== undefined) return before
    const made = make(mesh, client)
    if (known.size >= mostKept) known.delete(known.keys().next().value as string)
    known.set(key, made)
    return made
  }
}
