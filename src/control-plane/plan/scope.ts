// What one proxy sees: exportTo, then its Sidecar's egress hosts. One service a host.
import { byDefault, type Decided } from '#lib/decided.ts'
import { refTo, type Sidecar, type VirtualService } from '#api'
import { hostCovers, hostsOverlap, isVisible, resolveHost, selectorCovers, type Mesh, type MeshService, type Workload } from '#mesh'

export interface Scope {
  /** Sorted by host; one for each. */
  readonly services: readonly MeshService[]
  readonly byHost: ReadonlyMap<string, MeshService>
  /** ExternalName Services that stand for a host of the mesh: another name for it, and nothing of their own. */
  readonly aliases: readonly Alias[]
  /** In the order of precedence: private ones, those exported by name, public ones; the oldest first within each. */
  readonly virtualServices: readonly VirtualService[]
  readonly sidecar: Sidecar | undefined
  /** What its Sidecar names; undefined: everything that is exported. */
  readonly egressHosts: readonly EgressHost[] | undefined
  readonly egress: Decided<'ALLOW_ANY' | 'REGISTRY_ONLY'>
}

export interface Alias {
  readonly service: MeshService
  /** What it stands for. */
  readonly of: MeshService
}

export interface EgressHost {
  readonly namespace: string
  readonly host: string
  readonly port: number | undefined
}

/** The Sidecar of a workload: its own by selector, its namespace's, the root namespace's. The oldest of each. */
export function sidecarFor(mesh: Mesh, workload: Workload): Sidecar | undefined {
  const own = mesh.sidecars.filter((s) => s.metadata.namespace === workload.namespace)
  const labels = (s: Sidecar): Readonly<Record<string, string>> => s.spec.workloadSelector?.labels ?? {}
  return (
    own.find((s) => Object.keys(labels(s)).length > 0 && selectorCovers(labels(s), workload.labels)) ??
    own.find((s) => Object.keys(labels(s)).length === 0) ??
    mesh.sidecars.find((s) => s.metadata.namespace === mesh.options.rootNamespace && Object.keys(labels(s)).length === 0)
  )
}

export function scopeOf(mesh: Mesh, workload: Workload): Scope {
  const sidecar = sidecarFor(mesh, workload)
  const hosts = sidecar?.spec.egress === undefined ? undefined : egressHosts(sidecar, workload.namespace)
  const config = mesh.options.config
  const byHost = new Map<string, MeshService>()
  for (const service of mesh.services) {
    if (!isVisible(service.exportTo, service.namespace, workload.namespace, config.defaultServiceExportTo ?? [])) continue
    const narrowed = hosts === undefined ? service : narrow(service, hosts)
    if (narrowed === undefined) continue
    const before = byHost.get(service.host)
    if (before === undefined || (before.origin === 'entry' && before.namespace !== workload.namespace && service.namespace === workload.namespace)) byHost.set(service.host, narrowed)
  }
  const aliases = takeAliases(byHost)
  const services = [...byHost.values()].sort((a, b) => (a.host < b.host ? -1 : 1))
  return { services, byHost, aliases, virtualServices: visibleVirtualServices(mesh, workload, hosts), sidecar, egressHosts: hosts, egress: decideEgress(mesh, sidecar) }
}

/** Takes them out of the services. A name may stand for a name. */
function takeAliases(byHost: Map<string, MeshService>): Alias[] {
  const target = (service: MeshService, seen: ReadonlySet<string>): MeshService | undefined => {
    const next = service.externalName === undefined ? undefined : byHost.get(service.externalName.toLowerCase().replace(/\.$/, ''))
    if (next === undefined || seen.has(next.host)) return undefined
    return next.externalName === undefined ? next : (target(next, new Set([...seen, next.host])) ?? (next.ports.length > 0 ? next : undefined))
  }
  const found = [...byHost.values()].flatMap((service): Alias[] => {
    const of = target(service, new Set([service.host]))
    return of === undefined ? [] : [{ service, of }]
  })
  for (const { service } of found) byHost.delete(service.host)
  return found
}

function egressHosts(sidecar: Sidecar, namespace: string): EgressHost[] {
  return (sidecar.spec.egress ?? []).flatMap((listener) =>
    (listener.hosts ?? []).map((h) => {
      const [ns, host] = h.includes('/') ? (h.split('/') as [string, string]) : ['*', h]
      return { namespace: ns === '.' ? namespace : ns, host, port: listener.port?.number }
    }),
  )
}

/** The service with the ports that some egress listener names; undefined where none does. */
function narrow(service: MeshService, hosts: readonly EgressHost[]): MeshService | undefined {
  const matching = hosts.filter((h) => h.namespace !== '~' && (h.namespace === '*' || h.namespace === service.namespace) && hostCovers(h.host, service.host))
  if (matching.length === 0) return undefined
  const free = matching.some((h) => h.port === undefined)
  const ports = free ? service.ports : service.ports.filter((p) => matching.some((h) => h.port === p.number))
  return ports.length === 0 ? undefined : ports.length === service.ports.length ? service : { ...service, ports }
}

function visibleVirtualServices(mesh: Mesh, workload: Workload, hosts: readonly EgressHost[] | undefined): VirtualService[] {
  const fallback = mesh.options.config.defaultVirtualServiceExportTo ?? []
  const level = (v: VirtualService): number => {
    const to = (v.spec.exportTo ?? []).length > 0 ? (v.spec.exportTo as readonly string[]) : fallback.length > 0 ? fallback : ['*']
    if (to.includes('~')) return -1
    if (to.includes('*')) return 2
    const own = v.metadata.namespace === workload.namespace
    if (own && (to.includes('.') || to.includes(workload.namespace))) return to.length === 1 ? 0 : 1
    return to.includes(workload.namespace) ? 1 : -1
  }
  const forMesh = mesh.virtualServices.filter((v) => (v.spec.gateways ?? []).length === 0 || (v.spec.gateways ?? []).includes('mesh'))
  const inScope = forMesh.filter((v) => hosts === undefined || (v.spec.hosts ?? []).some((h) => hosts.some((e) => (e.namespace === '*' || e.namespace === v.metadata.namespace) && hostsOverlap(e.host, resolveHost(h, v.metadata.namespace, mesh.options.domain)))))
  return [0, 1, 2].flatMap((n) => inScope.filter((v) => level(v) === n))
}

function decideEgress(mesh: Mesh, sidecar: Sidecar | undefined): Decided<'ALLOW_ANY' | 'REGISTRY_ONLY'> {
  let decided: Decided<'ALLOW_ANY' | 'REGISTRY_ONLY'> = byDefault<'ALLOW_ANY' | 'REGISTRY_ONLY'>('ALLOW_ANY', 'egress.default')
  const ofMesh = mesh.options.config.outboundTrafficPolicy?.mode
  if (ofMesh !== undefined) decided = byDefault(ofMesh, 'egress.mesh')
  const policy = sidecar?.spec.outboundTrafficPolicy
  if (sidecar !== undefined && policy !== undefined) {
    // REGISTRY_ONLY is the enumeration's zero value: a policy without a mode says it.
    const value = policy.mode ?? 'REGISTRY_ONLY'
    decided = { value, because: [{ rule: 'egress.sidecar', source: refTo(sidecar, 'spec.outboundTrafficPolicy.mode'), effect: 'chosen' }, ...decided.because.map((r) => ({ ...r, effect: 'overruled' as const }))] }
  }
  return decided
}
