// Where outbound connections land: one listener for all HTTP services of a port, one for each address of the others. Each egress listener of a Sidecar brings its own.
// Istio: buildSidecarOutboundListeners, buildSidecarOutboundListener.
import { declaredProtocol, type MeshService, type ServicePort } from '#mesh'
import { allAddresses } from './pod-tls.ts'
import type { PlanContext } from './context.ts'
import type { EgressListener } from './egress.ts'
import { tcpRoutesOf, tlsRoutesOf } from './l4-routes.ts'
import { planRouteTable, planServiceTable } from './route-tables.ts'
import type { OutboundListener, RouteTable, TcpRoute } from './types.ts'

const isHttp = (p: ServicePort): boolean => p.protocol === 'http' || p.protocol === 'http2' || p.protocol === 'grpc'

interface Outbound {
  readonly listeners: readonly OutboundListener[]
  readonly routeTables: readonly RouteTable[]
}

export function planOutbound(context: PlanContext): Outbound {
  const listeners = new Map<string, OutboundListener>()
  for (const egress of context.scope.listeners) {
    // What a listener with a port of its own has taken, the one for all other ports adds nothing to.
    const locked = new Set(egress.port === undefined ? listeners.keys() : [])
    for (const service of egress.services) {
      for (const port of portsOf(egress, service)) {
        if (port.protocol === 'udp') continue
        for (const fresh of isHttp(port) ? [httpListener(port)] : l4Listeners(context, egress, service, port)) if (!locked.has(fresh.name)) addListener(listeners, fresh)
      }
    }
  }
  const tables = new Map<string, RouteTable>()
  for (const { routeTable: name, port } of listeners.values()) if (name !== undefined && !tables.has(name)) tables.set(name, name === String(port) ? planRouteTable(context, port) : planServiceTable(context, name, port))
  return { listeners: [...listeners.values()].sort(byName), routeTables: [...tables.values()].sort(byName) }
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1)

/** The port that the egress listener names, with the protocol that it names; else all of the service's own. */
function portsOf(egress: EgressListener, service: MeshService): readonly ServicePort[] {
  const { port: number } = egress
  if (number === undefined) return service.ports
  const own = service.ports.find((p) => p.number === number) ?? service.ports[0]
  return [{ number, name: own?.name ?? '', protocol: declaredProtocol(egress.protocol), targetPort: own?.targetPort ?? number }]
}

function httpListener({ number: port }: ServicePort): OutboundListener {
  return { name: `0.0.0.0_${port}`, address: '0.0.0.0', port, protocol: 'http', routeTable: String(port), tcpRoutes: [] }
}

function l4Listeners(context: PlanContext, egress: EgressListener, service: MeshService, port: ServicePort): OutboundListener[] {
  const auto = port.protocol === 'auto'
  const pods = podListeners(context, egress, service, port)
  const own = pods ?? service.addresses
  const addresses = [...new Set(own.filter((a) => !a.includes('/')))]
  const subnets = pods === undefined ? service.addresses.filter((a) => a.includes('/')) : []
  const table = (address: string): { routeTable?: string } => (!auto ? {} : { routeTable: address === '0.0.0.0' ? String(port.number) : `${service.host}:${port.number}` })
  const make = (address: string, tcpRoutes: readonly TcpRoute[]): OutboundListener => ({ name: `${address}_${port.number}`, address, port: port.number, protocol: auto ? 'auto' : 'tcp', tcpRoutes, ...table(address) })
  if (pods !== undefined && addresses.length === 0) return []
  const everywhere = addresses.length === 0 || subnets.length > 0
  const routes = port.protocol === 'tls' ? tlsRoutesOf(context, egress, service, port, everywhere) : tcpRoutesOf(context, egress, service, port)
  if (everywhere) return [make('0.0.0.0', subnets.length === 0 ? routes : routes.map((r) => ({ ...r, match: { ...r.match, destinationSubnets: r.match.destinationSubnets ?? subnets } })))]
  return addresses.map((a) => make(a, routes))
}

/**
 * Clients of a headless service connect to its pods' own addresses; those of an entry that resolves nothing, to the endpoints that it has. undefined: it is no such service.
 * The client's own address is among them, which Istio leaves out: what a pod sends itself is not redirected, and all clients of a class share one plan.
 */
function podListeners({ endpoints }: PlanContext, egress: EgressListener, service: MeshService, port: ServicePort): string[] | undefined {
  const entry = service.origin === 'entry' && service.resolution === 'none' && service.addresses.length === 0
  if (egress.port !== undefined || !(service.headless || entry)) return undefined
  const found = endpoints(service, port)
  if (entry && found.length === 0 && service.selector === undefined) return undefined
  return found.flatMap((e) => allAddresses(e))
}

/** Several services share a port without an address: what is HTTP goes by one table, the other routes add up, the first of a match wins. */
function addListener(listeners: Map<string, OutboundListener>, fresh: OutboundListener): void {
  const before = listeners.get(fresh.name)
  if (before === undefined) return void listeners.set(fresh.name, fresh)
  const tcpRoutes = [...before.tcpRoutes, ...fresh.tcpRoutes]
  const routeTable = before.routeTable ?? fresh.routeTable
  // Of two that are looked into, the first keeps the place.
  if (before.routeTable !== undefined && fresh.routeTable !== undefined) return
  listeners.set(fresh.name, { ...before, protocol: routeTable === undefined ? 'tcp' : tcpRoutes.length > 0 ? 'auto' : 'http', tcpRoutes, ...(routeTable === undefined ? {} : { routeTable }) })
}
