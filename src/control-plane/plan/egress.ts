// What the egress listeners of a Sidecar take in: the services and VirtualServices that their hosts name, each listener for itself.
// Istio: convertIstioListenerToWrapper, selectServices, SelectVirtualServices, collectImportedServices, appendSidecarServices.
import type { Sidecar, VirtualService } from '#api'
import { compare, exportedTo, hostCovers, hostsOverlap, isVisible, resolveHost, type Mesh, type MeshService } from '#mesh'
import { mergeDelegates } from './delegates.ts'

export interface EgressListener {
  /** It alone serves this port; undefined: every port that none before it names. */
  readonly port: number | undefined
  /** What is spoken there, whatever the services' own ports declare. */
  readonly protocol: string | undefined
  /** In the order of precedence; a host may be there twice, and ports that the listener does not serve are left out. */
  readonly services: readonly MeshService[]
  readonly virtualServices: readonly VirtualService[]
  /** Do its hosts name this one, of this namespace? */
  takes(namespace: string, host: string): boolean
  /** `~namespace/host` does. */
  leavesOut(namespace: string, host: string): boolean
}

type Written = NonNullable<Sidecar['spec']['egress']>[number]

interface Hosts {
  readonly taken: string[]
  readonly excluded: string[]
}

const orders = new WeakMap<Mesh, readonly MeshService[]>()

/** The oldest first; of one age by name. Derived from an immutable snapshot alone. */
function byAge(mesh: Mesh): readonly MeshService[] {
  const name = (s: MeshService): string => (s.origin === 'kubernetes' ? s.name : s.host)
  const known = orders.get(mesh) ?? [...mesh.services].sort((a, b) => compare(a.creationTimestamp, b.creationTimestamp) || compare(name(a), name(b)) || compare(a.namespace, b.namespace))
  orders.set(mesh, known)
  return known
}

/** What is exported to a namespace: to it by name before to all, the oldest first. */
export function exportedServices(mesh: Mesh, namespace: string): readonly MeshService[] {
  const fallback = mesh.options.config.defaultServiceExportTo ?? []
  const isPublic = (s: MeshService): boolean => exportedTo(s.exportTo, fallback).includes('*')
  const visible = byAge(mesh).filter((s) => isVisible(s.exportTo, s.namespace, namespace, fallback))
  return [...visible.filter((s) => !isPublic(s)), ...visible.filter(isPublic)]
}

/** Of a namespace's own that few see, then those exported to it by name, then public ones; the oldest first within each. */
export function exportedVirtualServices(mesh: Mesh, namespace: string): readonly VirtualService[] {
  const fallback = mesh.options.config.defaultVirtualServiceExportTo ?? []
  const level = (v: VirtualService): number => {
    const to = v.spec.exportTo ?? []
    if (!isVisible(to, v.metadata.namespace, namespace, fallback)) return -1
    if (exportedTo(to, fallback).includes('*')) return 2
    return v.metadata.namespace === namespace ? 0 : 1
  }
  const forMesh = mesh.virtualServices.filter((v) => (v.spec.hosts ?? []).length > 0 && ((v.spec.gateways ?? []).length === 0 || (v.spec.gateways ?? []).includes('mesh')))
  return [0, 1, 2].flatMap((n) => forMesh.filter((v) => level(v) === n))
}

export function egressListener(mesh: Mesh, namespace: string, written: Written, services: readonly MeshService[], virtualServices: readonly VirtualService[]): EgressListener {
  const byNamespace = classify(written, namespace)
  const protocol = written.port?.protocol
  const port = written.port?.number === 0 ? undefined : written.port?.number
  const imports = (owner: string): readonly Hosts[] => [byNamespace.get(owner), byNamespace.get('*')].filter((h) => h !== undefined)
  const excluded = (owner: string, host: string): boolean => imports(owner).some((h) => h.excluded.some((e) => hostCovers(e, host)))
  const takes = (owner: string, host: string): boolean => imports(owner).some((h) => h.taken.some((t) => hostCovers(t, host)))
  const imported = services.flatMap((s): MeshService[] => {
    if (excluded(s.namespace, s.host) || !takes(s.namespace, s.host)) return []
    const own = port === undefined || protocol?.toUpperCase() === 'HTTP_PROXY' ? s : atPorts(s, new Set([port]))
    return own === undefined ? [] : [own]
  })
  const hostsOf = (v: VirtualService): string[] => (v.spec.hosts ?? []).map((h) => resolveHost(h, v.metadata.namespace, mesh.options.domain))
  return {
    port, protocol, takes, leavesOut: excluded, services: oneNamespaceEach(imported, namespace),
    virtualServices: virtualServices.filter((v) => hostsOf(v).some((h) => !excluded(v.metadata.namespace, h) && imports(v.metadata.namespace).some((i) => i.taken.some((t) => hostsOverlap(t, h))))),
  }
}

/** `~ns/host` takes out; `~/*` alone names nothing. */
function classify(written: Written, namespace: string): Map<string, Hosts> {
  const found = new Map<string, Hosts>()
  for (const text of written.hosts ?? []) {
    const [left = '', host] = text.includes('/') ? text.split('/') : ['*', text]
    const out = left.startsWith('~')
    const named = out ? left.slice(1) || '*' : left
    const owner = named === '.' ? namespace : named
    const hosts = found.get(owner) ?? { taken: [], excluded: [] }
    found.set(owner, hosts)
    ;(out ? hosts.excluded : hosts.taken).push(host ?? '')
  }
  return found
}

/** A host that several namespaces have: the caller's own, else one of Kubernetes, else the first. */
function oneNamespaceEach(services: readonly MeshService[], client: string): MeshService[] {
  const chosen = new Map<string, MeshService>()
  for (const s of services) {
    const before = chosen.get(s.host)
    const better = before === undefined || s.namespace === client || (before.origin === 'entry' && s.origin === 'kubernetes' && before.namespace !== client)
    if (better) chosen.set(s.host, s)
  }
  return services.filter((s) => chosen.get(s.host)?.namespace === s.namespace)
}

/** The service with these ports alone; undefined where it has none of them. */
function atPorts(service: MeshService, ports: ReadonlySet<number>): MeshService | undefined {
  const own = service.ports.filter((p) => ports.has(p.number))
  return own.length === 0 ? undefined : own.length === service.ports.length ? service : { ...service, ports: own }
}

/** All that the listeners name, and where their VirtualServices lead: one service a host, its ports added up. */
export function importedServices(mesh: Mesh, namespace: string, listeners: readonly EgressListener[]): Map<string, MeshService> {
  const found = new Map<string, MeshService>()
  for (const listener of listeners) {
    for (const service of listener.services) append(found, service)
    for (const [host, ports] of listener.virtualServices.flatMap((v) => [...destinationsOf(mesh, v, namespace)])) {
      const service = destinationService(mesh, namespace, host)
      const only = listener.port !== undefined ? new Set([listener.port]) : ports.has(0) ? undefined : ports
      const own = service === undefined || only === undefined ? service : atPorts(service, only)
      if (own !== undefined) append(found, own)
    }
  }
  return found
}

/** Host → ports that a VirtualService names there; 0: none, so all. */
function destinationsOf(mesh: Mesh, virtual: VirtualService, namespace: string): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>()
  const add = (owner: VirtualService, d: { readonly host?: string; readonly port?: { readonly number?: number } } | undefined): void => {
    if (d?.host === undefined) return
    const host = resolveHost(d.host, owner.metadata.namespace, mesh.options.domain)
    const ports = found.get(host) ?? new Set()
    found.set(host, ports.add(d.port?.number ?? 0))
  }
  for (const { route, owner } of mergeDelegates({ mesh }, virtual)) {
    const asked = (route.match ?? []).map((m) => m.sourceNamespace ?? '').filter((n) => n !== '')
    if (asked.length > 0 && !asked.includes(namespace)) continue
    for (const d of [...(route.route ?? []).map((r) => r.destination), route.mirror, ...(route.mirrors ?? []).map((m) => m.destination)]) add(owner, d)
  }
  for (const rule of [...(virtual.spec.tcp ?? []), ...(virtual.spec.tls ?? [])]) for (const r of rule.route ?? []) add(virtual, r.destination)
  return found
}

/** The caller's own, else one of Kubernetes that it may see, else the oldest entry. */
function destinationService(mesh: Mesh, namespace: string, host: string): MeshService | undefined {
  const all = mesh.servicesByHost.get(host) ?? []
  const first = (of: readonly MeshService[]): MeshService | undefined => of.find((s) => s.origin === 'kubernetes') ?? [...of].sort((a, b) => compare(a.creationTimestamp, b.creationTimestamp))[0]
  return first(all.filter((s) => s.namespace === namespace)) ?? first(all.filter((s) => isVisible(s.exportTo, s.namespace, namespace, mesh.options.config.defaultServiceExportTo ?? [])))
}

function append(found: Map<string, MeshService>, service: MeshService): void {
  const before = found.get(service.host)
  if (before === undefined || (before.origin === 'entry' && service.origin === 'kubernetes')) return void found.set(service.host, service)
  if (before === service || (before.origin === 'kubernetes' && service.origin === 'entry') || !mayMerge(before, service)) return
  const more = service.ports.filter((p) => !before.ports.some((q) => q.number === p.number))
  if (more.length > 0) found.set(service.host, { ...before, ports: [...before.ports, ...more], parts: [...(before.parts ?? [before]), service] })
}

/** Two of one namespace that differ in their ports alone. */
function mayMerge(a: MeshService, b: MeshService): boolean {
  const same = (x: unknown, y: unknown): boolean => JSON.stringify(x ?? {}) === JSON.stringify(y ?? {})
  const sorted = (list: readonly string[]): readonly string[] => [...list].sort()
  return a.namespace === b.namespace && a.resolution === b.resolution && a.dnsRoundRobin === b.dnsRoundRobin && same(a.selector, b.selector) && same(a.object.metadata.labels, b.object.metadata.labels) && same(sorted(a.exportTo), sorted(b.exportTo))
}
