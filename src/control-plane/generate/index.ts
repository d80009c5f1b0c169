// In: ProxyPlan, EndpointsPlan, and nothing else. Out: Envoy v3 resources with Istio's names, versioned by their content.
// Law: pure, deterministic; one argument. Stock Envoy accepts all of it.
// Read first: filter-chains.ts, listeners.ts, clusters.ts, routes.ts, http-filters.ts.
import type { EndpointsPlan, OutboundListener, ProxyPlan } from '#plan'
import { typeUrls, type Resource } from '#xds'
import { fixedClusters, inboundClusters, upstreamCluster } from './clusters.ts'
import { clusterLoadAssignment } from './endpoints.ts'
import { wildcards } from './families.ts'
import { outboundListener, virtualInbound, virtualOutbound } from './listeners.ts'
import { resource, type Obj } from './json.ts'
import { notServedBy } from './reasons.ts'
import { routeConfiguration } from './routes.ts'

export { asMessage } from './json.ts'
export { chainsOf, type Chain } from './filter-chains.ts'

export interface ResourceJson {
  readonly type: string
  readonly json: Obj
}

/** Clusters, listeners, routes of one proxy, in the order of a push. */
export function generate(plan: ProxyPlan): Resource[] {
  const [clusters, listeners] = ownJson(plan).map((own) => own.map(made)) as [Resource[], Resource[]]
  const shared = sharedResources(plan)
  return [...clusters, ...shared.clusters, ...listeners, ...shared.listeners, ...shared.routes]
}

/** The same as Envoy's documentation writes it: for dumps and goldens, and for explain, which takes of it what a call can touch. */
export function generateJson(plan: ProxyPlan): readonly ResourceJson[] {
  const [clusters, listeners] = ownJson(plan)
  const shared = sharedJson(plan)
  return [...clusters, ...shared.clusters, ...listeners, ...shared.listeners, ...shared.routes]
}

const made = ({ type, json }: ResourceJson): Resource => resource(type, String(json['name']), json)
const ofType = (type: string, all: readonly Obj[]): ResourceJson[] => all.map((json) => ({ type, json }))

/** What a workload's own ports make: clusters, then listeners. */
function ownJson(plan: ProxyPlan): [ResourceJson[], ResourceJson[]] {
  return [ofType(typeUrls.cluster, inboundClusters(plan)), ofType(typeUrls.listener, [virtualInbound(plan)])]
}

type Shared<T> = Readonly<Record<'clusters' | 'listeners' | 'routes', readonly T[]>>

/** What the client's side makes. */
function sharedJson(plan: ProxyPlan): Shared<ResourceJson> {
  const outbound = plan.outbound.filter(standsAlone)
  const asked = new Set(outbound.map((l) => l.routeTable))
  return {
    clusters: ofType(typeUrls.cluster, [...fixedClusters(plan), ...plan.upstreams.map((u) => upstreamCluster(plan, u))]),
    listeners: ofType(typeUrls.listener, [virtualOutbound(plan), ...outbound.map((l) => outboundListener(plan, l))]),
    routes: ofType(typeUrls.route, plan.routeTables.filter((t) => asked.has(t.name)).map((t) => routeConfiguration(plan, t))),
  }
}

type Inputs = Pick<ProxyPlan, 'outbound' | 'routeTables' | 'upstreams' | 'egress' | 'passthrough'>
interface Kept {
  readonly from: Inputs
  readonly settings: string
  readonly resources: Shared<Resource>
}

/** Clients that see the same mesh share these parts of their plans, as the same objects: what was made of them last is there still. */
const kept = new WeakMap<ProxyPlan['upstreams'], Kept>()

function sharedResources(plan: ProxyPlan): Shared<Resource> {
  const { outbound, routeTables, upstreams, egress, passthrough } = plan
  const settings = JSON.stringify([plan.mesh, wildcards(plan), notServedBy(plan)])
  const before = kept.get(upstreams)
  if (before !== undefined && before.settings === settings && before.from.outbound === outbound && before.from.routeTables === routeTables && before.from.egress === egress && before.from.passthrough === passthrough) return before.resources
  const { clusters, listeners, routes } = sharedJson(plan)
  const resources = { clusters: clusters.map(made), listeners: listeners.map(made), routes: routes.map(made) }
  kept.set(upstreams, { from: { outbound, routeTables, upstreams, egress, passthrough }, settings, resources })
  return resources
}

/** The two interception ports are taken on the address of all. */
function standsAlone(l: OutboundListener): boolean {
  return l.address !== '0.0.0.0' || (l.port !== 15001 && l.port !== 15006)
}

export function generateEndpoints(plan: EndpointsPlan): Resource {
  return resource(typeUrls.endpoint, plan.upstream, clusterLoadAssignment(plan))
}

export function generateEndpointsJson(plan: EndpointsPlan): ResourceJson {
  return { type: typeUrls.endpoint, json: clusterLoadAssignment(plan) }
}
