// The virtual hosts behind one HTTP port: VirtualServices first, in their order of precedence, then plain services.
// Istio: BuildSidecarVirtualHostWrapper, buildSidecarOutboundVirtualHosts.
import { byDefault, type Reason } from '#lib/decided.ts'
import { refTo, type VirtualService } from '#api'
import { hostCovers, mostSpecific, resolveHost, type MeshService } from '#mesh'
import type { PlanContext } from './context.ts'
import { httpRoutesOf } from './http-routes.ts'
import { planRetries } from './http-features.ts'
import type { HttpRoute, RouteTable, VirtualHost } from './types.ts'
import { upstreamName } from './upstreams.ts'

/** `named`: those that this table may name (all with the port, or the one behind an auto-detected port). */
export function planRouteTable(context: PlanContext, name: string, port: number, named: readonly MeshService[]): RouteTable {
  const standing = new Map(context.scope.aliases.filter((a) => named.includes(a.of)).map((a) => [a.service, a.of]))
  const services = [...named, ...standing.keys()]
  const registry = new Map(services.map((s) => [s.host, s]))
  const specific = mostSpecificVirtualServices(context)
  const taken = new Set<string>()
  const domains = new Set<string>()
  const hosts: VirtualHost[] = []
  const hostsOf = (v: VirtualService): string[] => (v.spec.hosts ?? []).map((h) => resolveHost(h, v.metadata.namespace, context.mesh.options.domain).toLowerCase())
  const push = (host: string, service: MeshService | undefined, routes: readonly HttpRoute[]): void => {
    const key = `${host}:${port}`
    if (hosts.some((h) => h.name === key)) return
    const own = domainsOf(context, host, port, service).filter((d) => !domains.has(d))
    if (own.length === 0) return
    for (const d of own) domains.add(d)
    hosts.push({ name: key, domains: own, routes })
  }
  const rivals = new Map<string, Reason[]>()
  for (const virtual of context.scope.virtualServices) {
    const covered = hostsOf(virtual).flatMap((h) => (h.startsWith('*') ? services.filter((s) => hostCovers(h, s.host) && specific.get(s.host) === virtual) : registry.has(h) ? [registry.get(h) as MeshService] : []))
    const unknown = hostsOf(virtual).filter((h) => (h.startsWith('*') ? !services.some((s) => hostCovers(h, s.host) && specific.get(s.host) === virtual) : !registry.has(h)))
    if (covered.length === 0 && port !== 80) continue
    if ((virtual.spec.http ?? []).length === 0) continue
    const routes = httpRoutesOf(context, virtual, port)
    if (routes.length === 0) continue
    for (const service of covered) {
      if (taken.has(service.host)) rivals.set(service.host, [...(rivals.get(service.host) ?? []), { rule: 'route.rival', source: refTo(virtual, 'spec.hosts'), effect: 'ignored' }])
      else {
        taken.add(service.host)
        push(service.host, service, routes)
      }
    }
    for (const host of unknown) push(host, undefined, routes)
  }
  for (const service of services) if (!taken.has(service.host)) push(service.host, service, [defaultRoute(context, standing.get(service) ?? service, port)])
  const withRivals = hosts.map((h) => {
    const lost = rivals.get(h.name.slice(0, h.name.lastIndexOf(':')))
    return lost === undefined ? h : { ...h, routes: h.routes.map((r) => ({ ...r, because: { ...r.because, because: [...r.because.because, ...lost] } })) }
  })
  return { name, virtualHosts: [...withRivals.sort((a, b) => (a.name < b.name ? -1 : 1)), fallback(context)] }
}

/** For each service the VirtualService whose host fits it best: exact, else the longest wildcard; of several with one host the first in precedence. */
function mostSpecificVirtualServices(context: PlanContext): ReadonlyMap<string, VirtualService> {
  const byHost = new Map<string, VirtualService>()
  for (const v of context.scope.virtualServices) {
    for (const h of v.spec.hosts ?? []) {
      const host = resolveHost(h, v.metadata.namespace, context.mesh.options.domain).toLowerCase()
      if (!byHost.has(host)) byHost.set(host, v)
    }
  }
  const found = new Map<string, VirtualService>()
  for (const s of context.scope.services) {
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

/** Every name by which the client may call the service, with and without the port. */
function domainsOf(context: PlanContext, host: string, port: number, service: MeshService | undefined): string[] {
  const names = [host]
  if (service !== undefined) {
    if (service.origin === 'kubernetes') {
      const { name, namespace } = service
      const short = [`${name}.${namespace}.svc`, `${name}.${namespace}`]
      names.push(...(namespace === context.client.namespace ? [name, ...short] : short))
      // A pod of it, by its own name.
      if (service.headless) names.push(...names.map((n) => `*.${n}`))
    }
    names.push(...service.addresses.filter((a) => !a.includes('/')).map((a) => (a.includes(':') ? `[${a}]` : a)))
  }
  return names.flatMap((n) => (n === '*' ? [n] : [n, `${n}:${port}`]))
}
