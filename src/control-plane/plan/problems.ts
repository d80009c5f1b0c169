// What the owner of a workload's policies should hear of, found while planning.
import type { Problem } from '#lib/problem.ts'
import { refTo, unserved, type ApiObject } from '#api'
import { foreignHostProblem, foreignHosts, isVisible, targetPortOn } from '#mesh'
import { unservedPolicies } from './authorization.ts'
import type { PlanContext } from './context.ts'
import { servicesSelecting } from './inbound.ts'
import { policiesFor } from './mtls.ts'
import { unservedKindsAt } from './not-served.ts'

export function planProblems(context: PlanContext): Problem[] {
  return [...servicePortsInPeerAuthentication(context), ...ignoredRootSelectors(context), ...unservedPolicies(context), ...unservedRules(context), ...foreignRules(context), ...unservedKindsAt(context.mesh, context.client)]
}

/** Objects of other namespaces that steer this client's calls to a host that is not theirs. */
function foreignRules({ mesh, client }: PlanContext): Problem[] {
  const { config } = mesh.options
  return foreignHosts(mesh).flatMap((found): Problem[] => {
    const { kind, metadata, spec } = found.object
    const fallback = (kind === 'VirtualService' ? config.defaultVirtualServiceExportTo : config.defaultServiceExportTo) ?? []
    const seen = metadata.namespace !== client.namespace && isVisible(spec.exportTo ?? [], metadata.namespace, client.namespace, fallback)
    return seen ? [foreignHostProblem(found, mesh.options)] : []
  })
}

/** Rules that this client's calls go by, and what of them its sidecar does not do. */
function unservedRules(context: PlanContext): Problem[] {
  const rules = new Set<ApiObject>(context.scope.services.flatMap((s) => context.ruleFor(s)?.from ?? []))
  const entries = new Set<ApiObject>(context.scope.services.flatMap((s) => (s.origin === 'entry' ? [s.object] : [])))
  return [...rules, ...entries, ...context.scope.virtualServices, ...(context.scope.sidecar === undefined ? [] : [context.scope.sidecar])].flatMap(unserved)
}

/** portLevelMtls takes container ports; a number that is only a Service's port has no effect, and the right one can be said. */
function servicePortsInPeerAuthentication(context: PlanContext): Problem[] {
  const winner = policiesFor(context.mesh, context.client).workload[0]
  if (winner === undefined) return []
  const services = servicesSelecting(context, context.client)
  const targets = new Set(services.flatMap((s) => s.ports.map((p) => targetPortOn(context.client, p))))
  return Object.keys(winner.spec.portLevelMtls ?? {}).flatMap((key): Problem[] => {
    const number = Number(key)
    if (targets.has(number) || context.client.ports.some((p) => p.port === number)) return []
    for (const service of services) {
      const port = service.ports.find((p) => p.number === number)
      const right = port === undefined ? undefined : targetPortOn(context.client, port)
      if (right !== undefined) return [{ code: 'KITH0103', severity: 'warning', ref: refTo(winner, `spec.portLevelMtls.${key}`), message: `portLevelMtls takes the container's port: ${key} is the Service port of ${service.host}, which leads to ${right}`, help: `write ${right}` }]
    }
    return []
  })
}

function ignoredRootSelectors(context: PlanContext): Problem[] {
  return policiesFor(context.mesh, context.client).ignored.map((p) => ({
    code: 'KITH0102', severity: 'warning' as const, ref: refTo(p, 'spec.selector'), message: `a PeerAuthentication of the root namespace with a selector counts nowhere`, help: `put it into the workload's namespace, or leave the selector out`,
  }))
}
