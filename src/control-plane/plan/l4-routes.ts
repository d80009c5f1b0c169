// VirtualService tcp and tls rules → the chains of one listener. They add up over VirtualServices; http rules are not concerned.
// Istio: core/tls.go buildSidecarOutboundTCPFilterChainOpts, …TLSFilterChainOpts.
import { refTo, type L4DestinationSpec, type L4MatchSpec, type VirtualService } from '#api'
import { hostsOverlap, resolveHost, selectorCovers, type MeshService, type ServicePort } from '#mesh'
import type { PlanContext } from './context.ts'
import type { EgressListener } from './egress.ts'
import { destinationUpstream } from './http-routes.ts'
import { namesOf } from './service-names.ts'
import type { TcpRoute, WeightedTarget } from './types.ts'
import { upstreamName } from './upstreams.ts'

/** VirtualServices of which some host covers the service, in the order of precedence. */
export function virtualServicesFor(context: PlanContext, service: MeshService, among: readonly VirtualService[] = context.scope.virtualServices): VirtualService[] {
  return among.filter((v) => (v.spec.hosts ?? []).some((h) => hostsOverlap(resolveHost(h, v.metadata.namespace, context.mesh.options.domain), service.host)))
}

export function tcpRoutesOf(context: PlanContext, egress: EgressListener, service: MeshService, port: ServicePort): TcpRoute[] {
  const routes: TcpRoute[] = []
  for (const virtual of virtualServicesFor(context, service, egress.virtualServices)) {
    for (const [i, rule] of (virtual.spec.tcp ?? []).entries()) {
      if ((rule.route ?? []).length === 0) continue
      const route = (match: TcpRoute['match'], path: string): TcpRoute => l4Route(context, virtual, rule.route ?? [], port, match, path)
      const matches = rule.match ?? []
      if (matches.length === 0) return [...routes, route({}, `spec.tcp[${i}]`)]
      const reaching = matches.map((m, n) => ({ m, n })).filter(({ m }) => reaches(context, m, port.number))
      const open = reaching.find(({ m }) => (m.destinationSubnets ?? []).length === 0)
      if (open !== undefined) return [...routes, route({}, `spec.tcp[${i}].match[${open.n}]`)]
      const subnets = reaching.flatMap(({ m }) => m.destinationSubnets ?? [])
      if (subnets.length > 0) routes.push(route({ destinationSubnets: subnets }, `spec.tcp[${i}].match[${reaching[0]?.n ?? 0}]`))
    }
  }
  return [...routes, defaultRoute(service, port, {})]
}

/** Rules for tls alone: those for tcp don't concern such a port. Where one reaches the caller, what none of them names is nobody's. `byName`: the listener is there for other services too. */
export function tlsRoutesOf(context: PlanContext, egress: EgressListener, service: MeshService, port: ServicePort, byName: boolean): TcpRoute[] {
  const routes: TcpRoute[] = []
  for (const virtual of virtualServicesFor(context, service, egress.virtualServices)) {
    for (const [i, rule] of (virtual.spec.tls ?? []).entries()) {
      if ((rule.route ?? []).length === 0) continue
      for (const [n, m] of (rule.match ?? []).entries()) {
        if (!reaches(context, m, port.number)) continue
        const subnets = m.destinationSubnets ?? []
        routes.push(l4Route(context, virtual, rule.route ?? [], port, { sniHosts: m.sniHosts ?? [], ...(subnets.length === 0 ? {} : { destinationSubnets: subnets }) }, `spec.tls[${i}].match[${n}]`))
      }
    }
  }
  return routes.length > 0 ? routes : [defaultRoute(service, port, byName ? { sniHosts: [service.host, ...aliasNames(context, service)] } : {})]
}

function aliasNames(context: PlanContext, service: MeshService): string[] {
  return context.scope.aliases.filter((a) => a.of.host === service.host).flatMap((a) => namesOf(context, a.service.host))
}

function defaultRoute(service: MeshService, port: ServicePort, match: TcpRoute['match']): TcpRoute {
  return { match, targets: [{ upstream: upstreamName(port.number, null, service.host), weight: 1 }], because: { value: service.host, because: [{ rule: 'route.default', source: 'default', effect: 'chosen' }] } }
}

function reaches(context: PlanContext, m: L4MatchSpec, port: number): boolean {
  if (m.port !== undefined && m.port !== 0 && m.port !== port) return false
  if ((m.gateways ?? []).length > 0) return (m.gateways ?? []).includes('mesh')
  return selectorCovers(m.sourceLabels ?? {}, context.client.labels) && (m.sourceNamespace === undefined || m.sourceNamespace === '' || m.sourceNamespace === context.client.namespace)
}

function l4Route(context: PlanContext, owner: VirtualService, destinations: readonly L4DestinationSpec[], port: ServicePort, match: TcpRoute['match'], path: string): TcpRoute {
  const targets: WeightedTarget[] = (destinations.length === 1 ? destinations : destinations.filter((d) => (d.weight ?? 0) > 0)).map((d) => ({
    upstream: destinationUpstream(context, owner, d.destination ?? {}, port.number, (host) => context.scope.byHost.get(host) ?? context.scope.standIns.find((s) => s.host === host)),
    weight: destinations.length === 1 ? 1 : (d.weight ?? 0),
  }))
  return { match, targets, because: { value: `VirtualService ${owner.metadata.namespace}/${owner.metadata.name} ${path.replace('spec.', '')}`, because: [{ rule: 'route.virtual-service', source: refTo(owner, path), effect: 'chosen' }] } }
}
