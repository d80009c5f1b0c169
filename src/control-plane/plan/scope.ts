// What one proxy sees: exportTo, then what its Sidecar's egress listeners name. One service a host for its clusters; listeners and routes go by each listener's own.
import { byDefault, type Decided } from '#lib/decided.ts'
import { refTo, type Sidecar, type VirtualService } from '#api'
import { selectorCovers, type Mesh, type MeshService, type Workload } from '#mesh'
import { egressListener, exportedServices, exportedVirtualServices, importedServices, type EgressListener } from './egress.ts'

export interface Scope {
  /** Sorted by host; one for each. */
  readonly services: readonly MeshService[]
  readonly byHost: ReadonlyMap<string, MeshService>
  /** Other names of services: ExternalName Services that lead to one. */
  readonly aliases: readonly Alias[]
  /** ExternalName Services that the client sees, wherever they lead. */
  readonly standIns: readonly MeshService[]
  /** What some listener takes in, in the order of precedence. */
  readonly virtualServices: readonly VirtualService[]
  /** The Sidecar's egress listeners; without one, a single listener that takes everything in. */
  readonly listeners: readonly EgressListener[]
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
  const selector = (s: Sidecar): Readonly<Record<string, string>> | undefined => (s.spec.workloadSelector === undefined || s.spec.workloadSelector === null ? undefined : (s.spec.workloadSelector.labels ?? {}))
  const own = mesh.sidecars.filter((s) => s.metadata.namespace === workload.namespace)
  return (
    own.find((s) => selector(s) !== undefined && selectorCovers(selector(s) ?? {}, workload.labels)) ??
    own.find((s) => selector(s) === undefined) ??
    mesh.sidecars.find((s) => s.metadata.namespace === mesh.options.rootNamespace && selector(s) === undefined)
  )
}

export function scopeOf(mesh: Mesh, workload: Workload): Scope {
  const { namespace } = workload
  const sidecar = sidecarFor(mesh, workload)
  const written = sidecar?.spec.egress ?? []
  const hosts = written.length === 0 ? undefined : egressHosts(written, namespace)
  const exported = exportedServices(mesh, namespace)
  const virtualServices = exportedVirtualServices(mesh, namespace)
  const imported = (written.length === 0 ? [{ hosts: ['*/*'] }] : written).map((w) => egressListener(mesh, namespace, w, exported, virtualServices))
  const byHost = importedServices(mesh, namespace, imported)
  const standIns = takeStandIns(byHost)
  const standing = new Set(standIns.map((s) => s.host))
  const listeners = standing.size === 0 ? imported : imported.map((l) => ({ ...l, services: l.services.filter((s) => !standing.has(s.host)) }))
  const services = [...byHost.values()].sort((a, b) => (a.host < b.host ? -1 : 1))
  const taken = new Set(listeners.flatMap((l) => l.virtualServices))
  return { services, byHost, aliases: aliasesOf(mesh, byHost, imported), standIns, listeners, virtualServices: virtualServices.filter((v) => taken.has(v)), sidecar, egressHosts: hosts, egress: decideEgress(mesh, sidecar) }
}

/** Takes them out of the services: a name for something else has no cluster, no listener and no route of its own. */
function takeStandIns(byHost: Map<string, MeshService>): MeshService[] {
  const found = [...byHost.values()].filter((s) => s.externalName !== undefined)
  for (const service of found) byHost.delete(service.host)
  return found
}

/** Whoever may see the name itself: it is one of the names of what it leads to, over other names too. Istio: resolveServiceAliases, matchingAliasService. */
function aliasesOf(mesh: Mesh, byHost: ReadonlyMap<string, MeshService>, listeners: readonly EgressListener[]): Alias[] {
  const next = ({ externalName }: MeshService): string => (externalName ?? '').toLowerCase().replace(/\.$/, '')
  const names = new Map(mesh.services.filter((s) => s.externalName !== undefined).map((s) => [s.host, s]))
  return [...names.values()].flatMap((service): Alias[] => {
    let host = next(service)
    for (const seen = new Set([service.host]); names.has(host) && !seen.has(host); host = next(names.get(host) as MeshService)) seen.add(host)
    const of = byHost.get(host)
    return of !== undefined && listeners.some((l) => l.takes(of.namespace, service.host)) ? [{ service, of }] : []
  })
}

function egressHosts(written: NonNullable<Sidecar['spec']['egress']>, namespace: string): EgressHost[] {
  return written.flatMap((listener) =>
    (listener.hosts ?? []).map((h) => {
      const [ns, host] = h.includes('/') ? (h.split('/') as [string, string]) : ['*', h]
      return { namespace: ns === '.' ? namespace : ns, host, port: listener.port?.number }
    }),
  )
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
