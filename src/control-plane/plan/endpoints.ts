// The endpoints of one upstream, as one client sees them: a small plan of its own, so that a scale-up touches EDS alone.
import { familiesOf, familyOf, selectorCovers, type MeshEndpoint, type MeshService, type ServicePort } from '#mesh'
import type { PlanContext } from './context.ts'
import type { MergedRule } from './destination-rules.ts'
import { placeByLocality, type Placed } from './locality.ts'
import { effectivePolicy } from './traffic-policy.ts'
import type { Endpoint, EndpointsPlan, Upstream } from './types.ts'
import { decideEndpointTls, serverMtls } from './upstream-tls.ts'

export function endpointsFor(context: PlanContext, service: MeshService, port: ServicePort, subset: string | null, rule: MergedRule | undefined): Placed {
  const policy = effectivePolicy(rule, port.number, subset)
  const all = context
    .endpoints(service, port)
    .filter((e) => subsetCovers(rule, subset, e.labels))
    .map((e): Endpoint => ({
      address: reachable(context, e), port: e.port, tls: decideEndpointTls(context, e, policy), serverMtls: serverMtls(context, e), weight: e.weight, healthy: e.ready, labels: e.labels,
      ...(e.workload === undefined ? {} : { workload: { namespace: e.workload.namespace, name: e.workload.name, pod: e.workload.pod } }), ...(e.serviceAccount === undefined ? {} : { serviceAccount: e.serviceAccount }),
      ...(e.identity === undefined ? {} : { identity: e.identity }), ...(e.locality === undefined ? {} : { locality: e.locality }),
    }))
  return placeByLocality(context, policy, all)
}

/** Whether a pod with these labels belongs to the subset; no subset: every pod does. */
function subsetCovers(
  rule: MergedRule | undefined,
  subset: string | null,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (subset === null) return true
  const found = rule?.subsets.find((s) => s.value.name === subset)
  return found !== undefined && selectorCovers(found.value.labels ?? {}, labels)
}

/** Of a pod with two addresses the one that the client can speak to, IPv4 first. */
function reachable({ client }: PlanContext, { address, workload }: MeshEndpoint): string {
  const families = familiesOf(client.addresses)
  if (workload === undefined || families.includes(familyOf(address))) return address
  return workload.addresses.find((a) => families.includes(familyOf(a))) ?? address
}

/** Endpoints of the plan's EDS upstreams; `names` narrows them. */
export function planEndpoints(context: PlanContext, plan: { readonly upstreams: readonly Pick<Upstream, 'name' | 'discovery' | 'host' | 'port' | 'subset'>[] }, names?: ReadonlySet<string>): EndpointsPlan[] {
  return plan.upstreams
    .filter((u) => u.discovery === 'EDS' && (names === undefined || names.has(u.name)))
    .map((u) => {
      const service = context.scope.byHost.get(u.host)
      const port = service?.ports.find((p) => p.number === u.port)
      const placed: Placed = service === undefined || port === undefined ? { endpoints: [] } : endpointsFor(context, service, port, u.subset, context.ruleFor(service))
      return { upstream: u.name, endpoints: placed.endpoints, ...(placed.weights === undefined ? {} : { localityWeights: placed.weights }) }
    })
}
