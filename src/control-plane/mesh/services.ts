// Services of Kubernetes and hosts of ServiceEntries, in one shape.
import type { ApiObject, Service, ServiceEntry, ServiceSpec } from '#api'
import { assignAddresses, canonicalAddress, servicePrefix } from './addresses.ts'
import { declaredProtocol, portProtocol } from './protocol.ts'
import type { MeshOptions, MeshService } from './types.ts'

export function buildServices(objects: readonly ApiObject[], options: MeshOptions): MeshService[] {
  const services = objects.filter((o): o is Service => o.kind === 'Service' && o.apiVersion === 'v1')
  const name = (s: ApiObject): string => `${s.metadata.namespace}/${s.metadata.name}`
  const taken = new Set(services.map((s) => s.spec.clusterIP).filter((ip): ip is string => ip !== undefined && ip !== 'None' && ip !== ''))
  const given = assignAddresses(services.filter(wantsAddress).map(name), servicePrefix, taken)
  const entries = objects.filter((o): o is ServiceEntry => o.kind === 'ServiceEntry')
  return [...services.map((s) => fromService(s, given.get(name(s)), options)), ...entries.flatMap((e) => fromEntry(e))].sort(
    (a, b) => (`${a.host}\0${a.origin === 'kubernetes' ? 0 : 1}\0${a.creationTimestamp}\0${a.name}\0${a.namespace}` < `${b.host}\0${b.origin === 'kubernetes' ? 0 : 1}\0${b.creationTimestamp}\0${b.name}\0${b.namespace}` ? -1 : 1),
  )
}

const wantsAddress = (s: Service): boolean => (s.spec.clusterIP === undefined || s.spec.clusterIP === '') && s.spec.type !== 'ExternalName'

function fromService(service: Service, given: string | undefined, options: MeshOptions): MeshService {
  const spec: ServiceSpec = service.spec
  const { name, namespace, annotations } = service.metadata
  const own = (spec.clusterIPs ?? (spec.clusterIP === undefined || spec.clusterIP === '' ? [] : [spec.clusterIP])).filter((ip) => ip !== 'None').map(canonicalAddress)
  const exportTo = annotations['networking.istio.io/exportTo']
  return {
    host: `${name}.${namespace}.svc.${options.domain}`, name, namespace, origin: 'kubernetes',
    addresses: own.length > 0 ? own : given === undefined ? [] : [given],
    ports: (spec.ports ?? []).map((p) => ({ number: p.port, name: p.name ?? '', protocol: portProtocol(p), targetPort: p.targetPort ?? p.port })),
    ...(spec.selector === undefined || spec.selector === null || Object.keys(spec.selector).length === 0 ? {} : { selector: spec.selector }),
    headless: spec.clusterIP === 'None', ...(spec.externalName === undefined ? {} : { externalName: spec.externalName }),
    resolution: spec.type === 'ExternalName' ? 'dns' : spec.clusterIP === 'None' ? 'none' : 'cluster',
    meshExternal: spec.type === 'ExternalName', exportTo: exportTo === undefined ? [] : exportTo.split(',').map((s) => s.trim()), subjectAltNames: [],
    publishNotReadyAddresses: spec.publishNotReadyAddresses === true, creationTimestamp: service.metadata.creationTimestamp ?? '', object: service,
  }
}

function fromEntry(entry: ServiceEntry): MeshService[] {
  const spec = entry.spec
  const resolution = spec.resolution === undefined || spec.resolution === 'NONE' ? 'none' : spec.resolution === 'STATIC' ? 'static' : 'dns'
  return (spec.hosts ?? []).map((host) => ({
    host: host.toLowerCase(), name: entry.metadata.name, namespace: entry.metadata.namespace, origin: 'entry' as const,
    addresses: (spec.addresses ?? []).filter((a) => a !== '').map(canonicalAddress),
    ports: (spec.ports ?? []).map((p) => ({ number: p.number ?? 0, name: p.name ?? '', protocol: declaredProtocol(p.protocol), targetPort: p.targetPort === undefined || p.targetPort === 0 ? (p.number ?? 0) : p.targetPort })),
    ...(spec.workloadSelector?.labels === undefined ? {} : { selector: spec.workloadSelector.labels }),
    headless: false, resolution, ...(spec.resolution === 'DNS_ROUND_ROBIN' ? { dnsRoundRobin: true } : {}), meshExternal: spec.location !== 'MESH_INTERNAL', exportTo: spec.exportTo ?? [], subjectAltNames: spec.subjectAltNames ?? [], publishNotReadyAddresses: false,
    creationTimestamp: entry.metadata.creationTimestamp ?? '', object: entry,
  }))
}
