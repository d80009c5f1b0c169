// What a proxy does with connections that come in: one entry for each port that a Service (or a policy) names, one for all others.
// Istio: buildInboundChainConfigs, buildInboundPassthroughChains.
import { selectorCovers, targetPortOn, type MeshService, type Workload } from '#mesh'
import type { PlanContext } from './context.ts'
import { destinationRuleForInbound } from './inbound-pool.ts'
import { ingressPorts, serviceAt } from './ingress.ts'
import { decideMtls, portsWithOwnMode } from './mtls.ts'
import type { ConnectionPool, InboundPort } from './types.ts'
import { planPool } from './upstreams.ts'

/** Services that select the workload, the oldest first. */
export function servicesSelecting(context: Pick<PlanContext, 'mesh'>, workload: Workload): MeshService[] {
  return context.mesh.services
    .filter((s) => s.namespace === workload.namespace && s.selector !== undefined && selectorCovers(s.selector, workload.labels))
    .sort((a, b) => (`${a.creationTimestamp}\0${a.name}` < `${b.creationTimestamp}\0${b.name}` ? -1 : 1))
}

export function planInbound(context: PlanContext): InboundPort[] {
  const { mesh, client: workload } = context
  const { sidecar } = context.scope
  const ports = new Map<number, InboundPort>()
  const services = servicesSelecting(context, workload)
  const named = (sidecar?.spec.ingress ?? []).length > 0
  if (sidecar !== undefined) for (const own of ingressPorts(context, sidecar)) ports.set(own.port as number, pooled(context, services, own))
  for (const service of named ? [] : services) {
    for (const port of service.ports) {
      const target = port.protocol === 'udp' ? undefined : targetPortOn(workload, port)
      if (target === undefined || ports.has(target)) continue
      const connectionPool = poolOfSidecar(context) ?? destinationRuleForInbound(context, service, port)
      ports.set(target, {
        port: target, protocol: port.protocol, service: { host: service.host, name: service.name, namespace: service.namespace, port: port.number }, mtls: decideMtls(mesh, workload, target), cluster: `inbound|${target}||`,
        ...(connectionPool === undefined ? {} : { connectionPool }),
      })
    }
  }
  for (const port of portsWithOwnMode(mesh, workload)) {
    if (!ports.has(port)) ports.set(port, { port, protocol: 'auto', mtls: decideMtls(mesh, workload, port), cluster: 'InboundPassthroughCluster' })
  }
  const others: InboundPort = { port: null, protocol: 'auto', mtls: decideMtls(mesh, workload, null), cluster: 'InboundPassthroughCluster' }
  return [...[...ports.values()].sort((a, b) => (a.port ?? 0) - (b.port ?? 0)), others]
}

/** The listener's own pool, the Sidecar's, the service's. */
function pooled(context: PlanContext, services: readonly MeshService[], own: InboundPort): InboundPort {
  const at = serviceAt(own.port as number, services)
  const service = services.find((s) => s.host === at?.host)
  const port = service?.ports.find((p) => p.number === own.port)
  const connectionPool = own.connectionPool ?? poolOfSidecar(context) ?? (service === undefined || port === undefined ? undefined : destinationRuleForInbound(context, service, port))
  return { ...own, ...(at === undefined ? {} : { service: at }), ...(connectionPool === undefined ? {} : { connectionPool }) }
}

function poolOfSidecar(context: PlanContext): ConnectionPool | undefined {
  const pool = context.scope.sidecar?.spec.inboundConnectionPool
  return pool === undefined ? undefined : planPool(pool, context)
}

/** The entry that a connection to this container port meets. */
export function inboundFor(inbound: readonly InboundPort[], port: number): InboundPort | undefined {
  return inbound.find((p) => p.port === port) ?? inbound.find((p) => p.port === null)
}
