// The endpoints of one upstream, as one client sees them: a small plan of its own, so that a scale-up touches EDS alone.
import type { MeshService, ServicePort } from '#mesh'
import type { PlanContext } from './context.ts'
import type { MergedRule } from './destination-rules.ts'
import { effectivePolicy } from './traffic-policy.ts'
import type { Endpoint, EndpointsPlan, Upstream } from './types.ts'
import { decideEndpointTls, serverMtls } from './upstream-tls.ts'
import { subsetCovers } from './upstreams.ts'

export function endpointsFor(context: PlanContext, service: MeshService, port: ServicePort, subset: string | null, rule: MergedRule | undefined): Endpoint[] {
  const policy = effectivePolicy(rule, port.number, subset)
  return context
    .endpoints(service, port)
    .filter((e) => subsetCovers(rule, subset, e.labels))
    .map((e) => ({
      address: e.address, port: e.port, tls: decideEndpointTls(context, e, policy), serverMtls: serverMtls(context, e), weight: e.weight, healthy: e.ready, labels: e.labels,
      ...(e.workload === undefined ? {} : { workload: { namespace: e.workload.namespace, name: e.workload.name, pod: e.workload.pod } }), ...(e.serviceAccount === undefined ? {} : { serviceAccount: e.serviceAccount }),
      ...(e.identity === undefined ? {} : { identity: e.identity }), ...(e.locality === undefined ? {} : { locality: e.locality }),
    }))
}

/** Endpoints of the plan's EDS upstreams; `names` narrows them. */
export function planEndpoints(context: PlanContext, plan: { readonly upstreams: readonly Pick<Upstream, 'name' | 'discovery' | 'host' | 'port' | 'subset'>[] }, names?: ReadonlySet<string>): EndpointsPlan[] {
  return plan.upstreams
    .filter((u) => u.discovery === 'EDS' && (names === undefined || names.has(u.name)))
    .map((u) => {
      const service = context.scope.byHost.get(u.host)
      const port = service?.ports.find((p) => p.number === u.port)
      return { upstream: u.name, endpoints: service === undefined || port === undefined ? [] : endpointsFor(context, service, port, u.subset, context.ruleFor(service)) }
    })
}
