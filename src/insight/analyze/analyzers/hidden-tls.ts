// KITH0105: a DestinationRule without tls that hides another one with: rules of different levels are not merged, and of one level only the first traffic policy counts.
import type { DestinationRule } from '#api'
import type { Problem } from '#lib/problem.ts'
import { hostCovers, isVisible, type Mesh, type MeshService, type Workload } from '#mesh'
import { effectivePolicy } from '#plan'
import { fullName, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { hostOf, rulesInForce } from '../rules-in-force.ts'

export function hiddenTls(context: AnalysisContext): Problem[] {
  const withTls = context.all('DestinationRule').filter((r) => r.spec.trafficPolicy?.tls !== undefined)
  if (withTls.length === 0) return []
  const { mesh } = context
  const said = new Map<string, Problem>()
  for (const { client, service, rule } of rulesInForce(mesh)) {
    if (effectivePolicy(rule, service.ports[0]?.number ?? 0, null).tls !== undefined) continue
    const winner = rule.policy?.from ?? rule.from[0]
    if (winner === undefined) continue
    for (const hidden of withTls) {
      if (hidden === winner || !couldApply(mesh, hidden, client, service)) continue
      const key = `${fullName(winner)}\0${fullName(hidden)}\0${service.host}`
      const mode = hidden.spec.trafficPolicy?.tls?.mode ?? 'DISABLE'
      if (!said.has(key)) said.set(key, say('KITH0105', 'warning', winner, 'spec.host', `has no tls, and hides DestinationRule ${fullName(hidden)} with tls ${mode} from calls of ${client.namespace} to ${service.host}`, 'repeat the tls settings here, or merge the two'))
    }
  }
  return [...said.values()]
}

/** Whether the rule would hold for this client if it were alone. */
function couldApply(mesh: Mesh, rule: DestinationRule, client: Workload, service: MeshService): boolean {
  const { namespace } = rule.metadata
  if (rule.spec.workloadSelector !== undefined || !hostCovers(hostOf(mesh, rule), service.host.toLowerCase())) return false
  if (![client.namespace, service.namespace, mesh.options.rootNamespace].includes(namespace)) return false
  return isVisible(rule.spec.exportTo ?? [], namespace, client.namespace, mesh.options.config.defaultDestinationRuleExportTo ?? [])
}
