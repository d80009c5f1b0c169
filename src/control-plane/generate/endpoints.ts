// EndpointsPlan → ClusterLoadAssignment; the mark that automatic mTLS goes by stands on each endpoint.
import { isIP } from 'node:net'
import type { Endpoint, EndpointsPlan } from '#plan'
import { some, type Obj } from './json.ts'

export function clusterLoadAssignment(plan: EndpointsPlan): Obj {
  // EDS takes addresses only; one host name among them and Envoy refuses all.
  return { clusterName: plan.upstream, endpoints: localityEndpoints(plan.endpoints.filter((e) => isIP(e.address) !== 0), plan.localityWeights) }
}

/** Grouped by priority and locality `region/zone/subzone`, sorted. `weights`: of localities; where they count, each has one. */
export function localityEndpoints(endpoints: readonly Endpoint[], weights?: Readonly<Record<string, number>>): Obj[] {
  const groups = new Map<string, Endpoint[]>()
  for (const e of endpoints) {
    const key = `${e.priority ?? 0} ${e.locality ?? ''}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [e])
    else group.push(e)
  }
  const sorted = [...groups.values()].sort(([a], [b]) => (a?.priority ?? 0) - (b?.priority ?? 0) || ((a?.locality ?? '') < (b?.locality ?? '') ? -1 : 1))
  return sorted.map((members) => {
    const { locality = '', priority = 0 } = members[0] as Endpoint
    const [region, zone, subZone] = locality.split('/')
    return some({
      locality: locality === '' ? undefined : some({ region, zone, subZone }), lbEndpoints: members.map(lbEndpoint), priority: priority === 0 ? undefined : priority,
      loadBalancingWeight: weights === undefined ? undefined : (weights[locality] ?? members.reduce((sum, e) => sum + Math.max(1, e.weight), 0)),
    })
  })
}

function lbEndpoint(e: Endpoint): Obj {
  const workload = e.workload === undefined ? undefined : `${e.workload.name};${e.workload.namespace};${e.labels['service.istio.io/canonical-name'] ?? e.labels['app'] ?? e.workload.name};${e.labels['service.istio.io/canonical-revision'] ?? e.labels['version'] ?? 'latest'};Kubernetes`
  const filterMetadata = some({ 'envoy.transport_socket_match': e.tls.value === 'ISTIO_MUTUAL' ? { tlsMode: 'istio' } : undefined, istio: workload === undefined ? undefined : { workload } })
  return some({
    endpoint: { address: { socketAddress: { address: e.address, portValue: e.port } } }, loadBalancingWeight: Math.max(1, e.weight), healthStatus: e.healthy ? 'HEALTHY' : 'UNHEALTHY',
    metadata: Object.keys(filterMetadata).length === 0 ? undefined : { filterMetadata },
  })
}
