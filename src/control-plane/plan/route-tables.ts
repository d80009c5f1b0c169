// The virtual hosts behind one HTTP port: VirtualServices first, in their order of precedence, then plain services.
// Istio: BuildSidecarOutboundVirtualHosts, BuildSidecarVirtualHostWrapper, separateVSHostsAndServices, getVirtualHostsForSniffedServicePort.
import { byDefault, type Reason } from '#lib/decided.ts'
import { refTo, type VirtualService } from '#api'
import { hostsOverlap, mostSpecific, resolveHost, type MeshService } from '#mesh'
import type { PlanContext } from './context.ts'
import type { EgressListener } from './egress.ts'
import { httpRoutesOf } from './http-routes.ts'
import { planRetries } from './http-features.ts'
import { namesOf } from './service-names.ts'
import type { HttpRoute, RouteTable, VirtualHost } from './types.ts'
import { upstreamName } from './upstreams.ts'

/** Of all services with the port, for a listener that they share. */
export function planRouteTable(context: PlanContext, port: number): RouteTable {
  return { name: String(port), virtualHosts: [...virtualHostsAt(context, port), fallback(context)] }
}

/** Of one service, `host:port`, whose listener has its address alone: whatever the authority says, the call is for it. */
export function planServiceTable(context: PlanContext, name: string, port: number): RouteTable {
  const host = name.slice(0, name.lastIndexOf(':'))
  const own = virtualHostsAt(context, port).find((v) => v.domains.includes(host))
  return { name, virtualHosts: own === undefined ? [] : [{ ...own, domains: ['*'] }] }
}

const tables = new WeakMap<EgressListener, Map<string, readonly VirtualHost[]>>()

/** Made once for a client's view: a snapshot's listeners are never changed. */
function virtualHostsAt(context: PlanContext, port: number): readonly VirtualHost[] {
  const listener = context.scope.listeners.find((l) => l.port === undefined || l.port === port)
  if (listener === undefined) return []
  const known = tables.get(listener) ?? new Map<string, readonly VirtualHost[]>()
  tables.set(listener, known)
  const made = known.get(String(port)) ?? makeVirtualHosts(context, listener, port)
  known.set(String(port), made)
  return made
}

function makeVirtualHosts(context: PlanContext, listener: EgressListener, port: number): readonly VirtualHost[] {
  const domain = context.mesh.options.domain
  const registry = registryAt(context, listener, port)
  const specific = mostSpecificVirtualServices(context, listener, registry.values())
  const isAlias = new Set(context.scope.standIns.map((s) => s.host))
  const hostsOf = (v: VirtualService): string[] => (v.spec.hosts ?? []).map((h) => resolveHost(h, v.metadata.namespace, domain).toLowerCase())
  const taken = new Set<string>()
  const domains = new Set<string>()
  const names = new Set<string>()
  const hosts: VirtualHost[] = []
  const push = (host: string, service: MeshService | undefined, routes: readonly HttpRoute[]): void => {
    const key = `${host}:${port}`
    if (names.has(key)) return
    // Another host's own name is not taken from it by a short one.
    const own = (service === undefined ? [host] : domainsOf(context, host, service)).filter((d) => !domains.has(d) && (d === host || isAlias.has(d) || !registry.has(d)))
    if (own.length === 0) return
    for (const d of own) domains.add(d)
    names.add(key)
    hosts.push({ name: key, domains: own, routes })
  }
  const rivals = new Map<string, Reason[]>()
  for (const virtual of listener.virtualServices) {
    const written = hostsOf(virtual)
    // Beyond port 80 a VirtualService counts where it has to do with a service that has the port.
    if (port !== 80 && !written.some((h) => registry.has(h) || [...registry.keys()].some((s) => (h.startsWith('*') || s.startsWith('*')) && hostsOverlap(h, s)))) continue
    const covered = written.flatMap((h) => (!h.startsWith('*') ? (registry.get(h) ?? []) : [...registry.values()].filter((s) => hostsOverlap(h, s.host) && specific.get(s.host) === virtual))).filter((s) => speaksHttp(s, port))
    const unknown = written.filter((h) => (h.startsWith('*') ? ![...registry.keys()].some((s) => hostsOverlap(h, s)) : !registry.has(h)))
    if (covered.length === 0 && port !== 80) continue
    const routes = httpRoutesOf(context, virtual, port, (host) => registry.get(host))
    if (routes.length === 0) continue
    for (const host of unknown) push(host, undefined, routes)
    for (const service of covered) {
      if (taken.has(service.host)) rivals.set(service.host, [...(rivals.get(service.host) ?? []), { rule: 'route.rival', source: refTo(virtual, 'spec.hosts'), effect: 'ignored' }])
      else {
        taken.add(service.host)
        push(service.host, service, routes)
      }
    }
  }
  for (const service of registry.values()) if (!taken.has(service.host) && !isAlias.has(service.host) && speaksHttp(service, port)) push(service.host.toLowerCase(), service, [defaultRoute(context, service, port)])
  const withRivals = hosts.map((h) => {
    const lost = rivals.get(h.name.slice(0, h.name.lastIndexOf(':')))
    return lost === undefined ? h : { ...h, routes: h.routes.map((r) => ({ ...r, because: { ...r.because, because: [...r.because.because, ...lost] } })) }
  })
  return withRivals.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Services that have the port, and it alone: that is what destinations without a port go by. Other names of a service are there too, for the VirtualServices that name them. */
function registryAt(context: PlanContext, listener: EgressListener, port: number): ReadonlyMap<string, MeshService> {
  const found = new Map<string, MeshService>()
  for (const service of [...listener.services, ...context.scope.standIns]) {
    const own = service.ports.find((p) => p.number === port)
    if (own !== undefined) found.set(service.host.toLowerCase(), { ...service, ports: [own] })
  }
  return found
}

function speaksHttp(service: MeshService, port: number): boolean {
  return service.ports.some((p) => p.number === port && p.protocol !== 'tcp' && p.protocol !== 'tls' && p.protocol !== 'udp')
}

/** For each service the VirtualService whose host fits it best: exact, else the longest wildcard; of several with one host the first in precedence. */
function mostSpecificVirtualServices(context: PlanContext, listener: EgressListener, services: Iterable<MeshService>): ReadonlyMap<string, VirtualService> {
  const byHost = new Map<string, VirtualService>()
  for (const v of listener.virtualServices) {
    for (const h of v.spec.hosts ?? []) {
      const host = resolveHost(h, v.metadata.namespace, context.mesh.options.domain).toLowerCase()
      if (!byHost.has(host)) byHost.set(host, v)
    }
  }
  const found = new Map<string, VirtualService>()
  for (const s of services) {
    const best = mostSpecific(s.host, byHost.keys())
    if (best !== undefined) found.set(s.host, byHost.get(best) as VirtualService)
  }
  return found
}

function defaultRoute(context: PlanContext, service: MeshService, port: number): HttpRoute {
  const retries = planRetries(context, undefined)
  return { name: 'default', match: {}, because: byDefault(service.host, 'route.default'), action: { kind: 'route', targets: [{ upstream: upstreamName(port, null, service.host), weight: 1 }], timeoutMs: 0, ...(retries === undefined ? {} : { retries }) } }
}

function fallback(context: PlanContext): VirtualHost {
  const egress = context.scope.egress
  if (egress.value === 'REGISTRY_ONLY') return { name: 'block_all', domains: ['*'], routes: [{ name: 'block_all', match: {}, because: { value: 'block_all', because: [{ rule: 'route.blackhole', source: egress.because[0]?.source ?? 'default', effect: 'chosen' }] }, action: { kind: 'direct', status: 502 } }] }
  return { name: 'allow_any', domains: ['*'], routes: [{ name: 'allow_any', match: {}, because: { value: 'allow_any', because: [{ rule: 'route.passthrough', source: egress.because[0]?.source ?? 'default', effect: 'chosen' }] }, action: { kind: 'route', targets: [{ upstream: 'PassthroughCluster', weight: 1 }], timeoutMs: 0 } }] }
}

/** Every name by which the client may call the service, those of its aliases too; a port after it counts nothing. */
function domainsOf(context: PlanContext, host: string, service: MeshService): string[] {
  const names = [host, ...context.scope.aliases.filter((a) => a.of.host === service.host).map((a) => a.service.host)].flatMap((h) => namesOf(context, h))
  // A pod of it, by its own name.
  if (service.headless) names.push(...names.map((n) => `*.${n}`))
  return [...names, ...service.addresses.map((a) => (a.includes(':') ? `[${a}]` : a))]
}
