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
  for (const { service, rules } of servicesWithRules(mesh)) {
    // Clients of namespaces without a rule of their own for this host are alike, unless some rule names whom it is exported to.
    const own = new Set(rules.map((r) => r.metadata.namespace))
    const named = rules.some((r) => (r.spec.exportTo ?? []).length > 0)
    // Several namespaces that use the same rules make one case.
    const seen = new Set<string>()
    let stranger = false
    for (const client of clients) {
      const isStranger = !named && !own.has(client.namespace)
      if (isStranger && stranger) continue
      if (!isVisible(service.exportTo, service.namespace, client.namespace, mesh.options.config.defaultServiceExportTo ?? [])) continue
      stranger ||= isStranger
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

function servicesWithRules(mesh: Mesh): { readonly service: MeshService; readonly rules: readonly DestinationRule[] }[] {
  const exact = new Map<string, DestinationRule[]>()
  const wild: { readonly host: string; readonly rule: DestinationRule }[] = []
  for (const rule of mesh.destinationRules) {
    const host = hostOf(mesh, rule)
    if (host.includes('*')) wild.push({ host, rule })
    else exact.set(host, [...(exact.get(host) ?? []), rule])
  }
  return mesh.services.flatMap((service) => {
    const host = service.host.toLowerCase()
    const rules = [...(exact.get(host) ?? []), ...wild.filter((w) => hostCovers(w.host, host)).map((w) => w.rule)]
    return rules.length === 0 ? [] : [{ service, rules }]
  })
}
