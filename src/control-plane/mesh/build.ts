// Objects → snapshot. The order of the input changes nothing.
import type { ApiObject, AuthorizationPolicy, DestinationRule, MeshConfigSpec, PeerAuthentication, RequestAuthentication, Sidecar, VirtualService, WorkloadEntry } from '#api'
import { clusterDomainOf } from '#api'
import type { InjectionSettings } from '#inject'
import { refusesForeignHosts, withoutForeignHosts } from './foreign-hosts.ts'
import { byAge } from './order.ts'
import { interceptionDefaults } from './redirection.ts'
import { buildServices } from './services.ts'
import type { Mesh, MeshOptions, MeshService, Workload } from './types.ts'
import { buildWorkloads, type NamespaceInfo } from './workloads.ts'

export interface BuildOptions {
  readonly meshConfig?: MeshConfigSpec
  readonly injection?: InjectionSettings
  /** JSON Web Key Sets that were fetched. */
  readonly keys?: ReadonlyMap<string, string>
}

export function buildMesh(objects: readonly ApiObject[], build: BuildOptions = {}): Mesh {
  const options = resolveOptions(build.meshConfig ?? {}, objects)
  const namespaces = new Map<string, NamespaceInfo>()
  for (const o of objects) if (o.kind === 'Namespace') namespaces.set(o.metadata.name, { labels: o.metadata.labels, object: o })
  const workloads = buildWorkloads(objects, namespaces, options, build.injection ?? {})
  const workloadByAddress = new Map<string, Workload>()
  for (const w of workloads) for (const a of w.addresses) workloadByAddress.set(a, w)
  const services = buildServices(objects, options)
  const servicesByHost = new Map<string, MeshService[]>()
  for (const s of services) (servicesByHost.get(s.host) ?? servicesByHost.set(s.host, []).get(s.host) as MeshService[]).push(s)
  const sorted = <T extends ApiObject>(kind: string): T[] => objects.filter((o): o is T => o.kind === kind && o.apiVersion.includes('istio.io')).sort(byAge)
  const mesh: Mesh = {
    options,
    namespaces: new Map([...namespaces].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, info]) => [name, info.labels])),
    workloads, workloadByAddress, services, servicesByHost,
    workloadEntries: sorted<WorkloadEntry>('WorkloadEntry'),
    peerAuthentications: sorted<PeerAuthentication>('PeerAuthentication'),
    destinationRules: sorted<DestinationRule>('DestinationRule'),
    virtualServices: sorted<VirtualService>('VirtualService'),
    sidecars: sorted<Sidecar>('Sidecar'),
    authorizationPolicies: sorted<AuthorizationPolicy>('AuthorizationPolicy'),
    requestAuthentications: sorted<RequestAuthentication>('RequestAuthentication'),
    keys: build.keys ?? new Map(),
    objects: [...objects].sort((a, b) => (a.kind === b.kind ? byAge(a, b) : a.kind < b.kind ? -1 : 1)),
  }
  return refusesForeignHosts(options) ? withoutForeignHosts(mesh) : mesh
}

function resolveOptions(config: MeshConfigSpec, objects: readonly ApiObject[]): MeshOptions {
  return {
    config,
    rootNamespace: config.rootNamespace ?? 'istio-system',
    trustDomain: config.trustDomain ?? 'cluster.local',
    trustDomainAliases: config.trustDomainAliases ?? [],
    domain: clusterDomainOf(config),
    enableAutoMtls: config.enableAutoMtls ?? true,
    autoMtls: config.compat?.autoMtls ?? 'kith',
    interception: interceptionDefaults(objects, config),
  }
}
