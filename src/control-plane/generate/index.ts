// In: ProxyPlan, EndpointsPlan, and nothing else. Out: Envoy v3 resources with Istio's names, versioned by their content.
// Law: pure, deterministic; one argument. Stock Envoy accepts all of it.
// Read first: filter-chains.ts, listeners.ts, clusters.ts, routes.ts, http-filters.ts.
import type { EndpointsPlan, OutboundListener, ProxyPlan } from '#plan'
import { typeUrls, type Resource } from '#xds'
import { fixedClusters, upstreamCluster } from './clusters.ts'
import { clusterLoadAssignment } from './endpoints.ts'
import { outboundListener, virtualInbound, virtualOutbound } from './listeners.ts'
import { resource, type Obj } from './json.ts'
import { routeConfiguration } from './routes.ts'

export { chainsOf, type Chain } from './filter-chains.ts'

/** Clusters, listeners, routes of one proxy, in the order of a push. */
export function generate(plan: ProxyPlan): Resource[] {
  return generateJson(plan).map(({ type, json }) => resource(type, String(json['name']), json))
}

/** The same as Envoy's documentation writes it: for dumps and goldens. */
export function generateJson(plan: ProxyPlan): { readonly type: string; readonly json: Obj }[] {
  const clusters = [...fixedClusters(plan), ...plan.upstreams.map((u) => upstreamCluster(plan, u))]
  const outbound = plan.outbound.filter(standsAlone)
  const asked = new Set(outbound.map((l) => l.routeTable))
  const listeners = [virtualInbound(plan), virtualOutbound(plan), ...outbound.map((l) => outboundListener(plan, l))]
  const routes = plan.routeTables.filter((t) => asked.has(t.name)).map((t) => routeConfiguration(plan, t))
  return [
    ...clusters.map((json) => ({ type: typeUrls.cluster, json })),
    ...listeners.map((json) => ({ type: typeUrls.listener, json })),
    ...routes.map((json) => ({ type: typeUrls.route, json })),
  ]
}

/** The two interception ports are taken on the address of all. */
function standsAlone(l: OutboundListener): boolean {
  return l.address !== '0.0.0.0' || (l.port !== 15001 && l.port !== 15006)
}

export function generateEndpoints(plan: EndpointsPlan): Resource {
  return resource(typeUrls.endpoint, plan.upstream, clusterLoadAssignment(plan))
}
