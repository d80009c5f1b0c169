// Where outbound connections land: one listener for all HTTP services of a port, one for each address of the others.
// Istio: buildSidecarOutboundListeners.
import type { MeshService, ServicePort } from '#mesh'
import { allAddresses } from './pod-tls.ts'
import type { PlanContext } from './context.ts'
import { tcpRoutesOf, tlsRoutesOf } from './l4-routes.ts'
import { planRouteTable } from './route-tables.ts'
import type { OutboundListener, RouteTable, TcpRoute } from './types.ts'

const isHttp = (p: ServicePort): boolean => p.protocol === 'http' || p.protocol === 'http2' || p.protocol === 'grpc'

interface Outbound {
  readonly listeners: readonly OutboundListener[]
  readonly routeTables: readonly RouteTable[]
}

export function planOutbound(context: PlanContext): Outbound {
  const listeners = new Map<string, OutboundListener>()
  const tables = new Map<string, RouteTable>()
  for (const port of httpPorts(context)) {
    const name = String(port)
    const listener = `0.0.0.0_${port}`
    tables.set(name, planRouteTable(context, name, port, servicesWithHttpPort(context, port)))
    listeners.set(listener, { name: listener, address: '0.0.0.0', port, protocol: 'http', routeTable: name, tcpRoutes: [] })
  }
  for (const service of context.scope.services) {
    for (const port of service.ports) {
      if (isHttp(port) || port.protocol === 'udp') continue
      for (const listener of l4Listeners(context, service, port, tables)) addListener(listeners, listener)
    }
  }
  return { listeners: [...listeners.values()].sort(byName), routeTables: [...tables.values()].sort(byName) }
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1)

function httpPorts(context: PlanContext): ReadonlySet<number> {
  return new Set(context.scope.services.flatMap((service) => service.ports.filter(isHttp).map((port) => port.number)))
}

/** Ports found out by looking take part in the port's table too: the client may speak to them through the HTTP listener. */
function servicesWithHttpPort(context: PlanContext, port: number): MeshService[] {
  return context.scope.services.filter((s) => s.ports.some((p) => p.number === port && (isHttp(p) || p.protocol === 'auto')))
}

function l4Listeners(context: PlanContext, service: MeshService, port: ServicePort, tables: Map<string, RouteTable>): OutboundListener[] {
  const auto = port.protocol === 'auto'
  const routes = port.protocol === 'tls' ? tlsRoutesOf(context, service, port) : tcpRoutesOf(context, service, port)
  // Clients of a headless service connect to its pods' own addresses.
  const own = service.headless ? context.endpoints(service, port).flatMap((e) => allAddresses(e)) : service.addresses
  const addresses = [...new Set(own.filter((a) => !a.includes('/')))]
  const subnets = service.addresses.filter((a) => a.includes('/'))
  const table = auto ? `${service.host}:${port.number}` : undefined
  if (table !== undefined && !tables.has(table)) tables.set(table, planRouteTable(context, table, port.number, [service]))
  const make = (address: string, tcpRoutes: readonly TcpRoute[]): OutboundListener => ({
    name: `${address}_${port.number}`, address, port: port.number, protocol: auto ? 'auto' : 'tcp', tcpRoutes, ...(table === undefined ? {} : { routeTable: table }),
  })
  if (service.headless && addresses.length === 0) return []
  if (addresses.length === 0 || subnets.length > 0) return [make('0.0.0.0', subnets.length === 0 ? routes : routes.map((r) => ({ ...r, match: { ...r.match, destinationSubnets: r.match.destinationSubnets ?? subnets } })))]
  return addresses.map((a) => make(a, routes))
}

/** Several services share a port without an address: their routes add up; an HTTP listener that is there already keeps the port. */
function addListener(listeners: Map<string, OutboundListener>, fresh: OutboundListener): void {
  const before = listeners.get(fresh.name)
  if (before === undefined) listeners.set(fresh.name, fresh)
  else if (before.protocol !== 'http') listeners.set(fresh.name, { ...before, tcpRoutes: [...before.tcpRoutes, ...fresh.tcpRoutes] })
}
