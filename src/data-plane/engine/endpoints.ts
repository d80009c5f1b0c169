// EDS: the addresses behind a cluster, grouped by priority, each with the metadata that chooses its transport socket.
import { fields, type Notes } from './notes.ts'
import type { ClusterLoadAssignment } from '../../../generated/types/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { LbEndpoint } from '../../../generated/types/envoy/config/endpoint/v3/endpoint_components_pb.ts'

export interface RuntimeEndpoint {
  /** An IP; a host name only in STRICT_DNS and LOGICAL_DNS clusters. */
  readonly address: string
  readonly port: number
  /** `1.2.3.4:80`: the identity of pools and counters. */
  readonly key: string
  readonly hostname: string
  readonly weight: number
  readonly healthy: boolean
  readonly priority: number
  /** `region/zone/subzone`; '' = none. */
  readonly locality: string
  /** The whole locality's share within its priority. */
  readonly localityWeight: number
  /** `filter_metadata["envoy.transport_socket_match"]`, values as text. */
  readonly socketMatch: Readonly<Record<string, string>>
  /** Istio's `workload;namespace;canonical-name;canonical-revision;cluster`. */
  readonly workload: string
}

export interface RuntimeEndpoints {
  readonly cluster: string
  /** All of them, by priority, in the order given. */
  readonly all: readonly RuntimeEndpoint[]
}

const served = fields('cluster_name endpoints policy')
const servedLocality = fields('locality lb_endpoints load_balancing_weight priority')
const servedEndpoint = fields('endpoint health_status metadata load_balancing_weight')

export function compileEndpoints(assignment: ClusterLoadAssignment, notes: Notes): RuntimeEndpoints {
  notes.onlyServes(assignment, served)
  if (assignment.policy !== undefined) notes.onlyServes(assignment.policy, fields('overprovisioning_factor'))
  const all: RuntimeEndpoint[] = []
  for (const locality of assignment.endpoints) {
    notes.onlyServes(locality, servedLocality)
    const { region = '', zone = '', subZone = '' } = locality.locality ?? {}
    const place = { priority: locality.priority, locality: [region, zone, subZone].join('/').replace(/\/+$/, ''), localityWeight: locality.loadBalancingWeight ?? 1 }
    for (const endpoint of locality.lbEndpoints) {
      const compiled = compileEndpoint(endpoint, place, notes)
      if (compiled !== undefined) all.push(compiled)
    }
  }
  all.sort((a, b) => a.priority - b.priority)
  return { cluster: assignment.clusterName, all }
}

function compileEndpoint(lb: LbEndpoint, place: Pick<RuntimeEndpoint, 'priority' | 'locality' | 'localityWeight'>, notes: Notes): RuntimeEndpoint | undefined {
  notes.onlyServes(lb, servedEndpoint)
  const endpoint = lb.hostIdentifier.case === 'endpoint' ? lb.hostIdentifier.value : undefined
  const socket = endpoint?.address?.address
  if (socket?.case !== 'socketAddress') {
    notes.error(`endpoint address ${socket?.case ?? 'is missing'}: only socket_address is served`)
    return undefined
  }
  const { address } = socket.value
  const port = socket.value.portSpecifier.case === 'portValue' ? socket.value.portSpecifier.value : 0
  const match = lb.metadata?.filterMetadata['envoy.transport_socket_match'] ?? {}
  const workload = lb.metadata?.filterMetadata['istio']?.['workload']
  return {
    address,
    port,
    key: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
    hostname: endpoint?.hostname ?? '',
    weight: lb.loadBalancingWeight ?? 1,
    // UNKNOWN 0 and HEALTHY 1 serve; UNHEALTHY 2, DRAINING 3, TIMEOUT 4 don't; DEGRADED 5 would, last.
    healthy: lb.healthStatus === 0 || lb.healthStatus === 1 || lb.healthStatus === 5,
    ...place,
    socketMatch: Object.fromEntries(Object.entries(match).map(([k, v]) => [k, String(v)])),
    workload: typeof workload === 'string' ? workload : '',
  }
}
