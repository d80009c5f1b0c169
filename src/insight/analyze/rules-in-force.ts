// Which DestinationRule each kind of client uses for each service that some DestinationRule speaks of.
import type { DestinationRule } from '#api'
import { hostCovers, isVisible, resolveHost, selectorCovers, type Mesh, type MeshService, type Workload } from '#mesh'
import { destinationRuleFor, indexDestinationRules } from '#plan'

export interface RuleInForce {
  readonly client: Workload
  readonly service: MeshService
  readonly rule: NonNullable<ReturnType<typeof destinationRuleFor>>
}

export const hostOf = (mesh: Mesh, rule: DestinationRule): string => resolveHost(rule.spec.host ?? '', rule.metadata.namespace, mesh.options.domain).toLowerCase()

const known = new WeakMap<Mesh, readonly RuleInForce[]>()

/** One client with a sidecar speaks for its namespace; those that a rule selects speak for themselves. Worked out once a snapshot. */
export function rulesInForce(mesh: Mesh): readonly RuleInForce[] {
  const before = known.get(mesh)
  if (before !== undefined) return before
  const index = indexDestinationRules(mesh)
  const found: RuleInForce[] = []
  const clients = speakers(mesh)
  const ids = new Map<DestinationRule, number>()
  const idOf = (rule: DestinationRule): number => ids.get(rule) ?? (ids.set(rule, ids.size).size - 1)
  for (const service of servicesWithRules(mesh)) {
    // Several namespaces that use the same rules make one case.
    const seen = new Set<string>()
    for (const client of clients) {
      if (!isVisible(service.exportTo, service.namespace, client.namespace, mesh.options.config.defaultServiceExportTo ?? [])) continue
      const rule = destinationRuleFor(mesh, index, client, service)
      const key = rule?.from.map(idOf).join(',')
      if (rule === undefined || key === undefined || seen.has(key)) continue
      seen.add(key)
      found.push({ client, service, rule })
    }
  }
  known.set(mesh, found)
  return found
}

function speakers(mesh: Mesh): Workload[] {
  const byNamespace = new Map<string, Workload>()
  for (const workload of mesh.workloads) if (workload.sidecar.value && !byNamespace.has(workload.namespace)) byNamespace.set(workload.namespace, workload)
  const found = new Set(byNamespace.values())
  for (const rule of mesh.destinationRules) {
    const selector = rule.spec.workloadSelector?.matchLabels
    const selected = selector === undefined ? undefined : mesh.workloads.find((w) => w.sidecar.value && w.namespace === rule.metadata.namespace && selectorCovers(selector, w.labels))
    if (selected !== undefined) found.add(selected)
  }
  return [...found]
}

function servicesWithRules(mesh: Mesh): MeshService[] {
  const exact = new Set<string>()
  const wild = new Set<string>()
  for (const rule of mesh.destinationRules) {
    const host = hostOf(mesh, rule)
    ;(host.includes('*') ? wild : exact).add(host)
  }
  return mesh.services.filter((s) => exact.has(s.host.toLowerCase()) || [...wild].some((pattern) => hostCovers(pattern, s.host.toLowerCase())))
}
