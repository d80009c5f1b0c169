// What a proxy does with connections that come in: one entry for each port that a Service (or a policy) names, one for all others.
// Istio: buildInboundChainConfigs, buildInboundPassthroughChains.
import { selectorCovers, targetPortOn, type MeshService, type Workload } from '#mesh'
import type { PlanContext } from './context.ts'
import { destinationRuleForInbound } from './inbound-pool.ts'
import { decideMtls, portsWithOwnMode } from './mtls.ts'
import type { InboundPort } from './types.ts'

/** Services that select the workload, the oldest first. */
export function servicesSelecting(context: Pick<PlanContext, 'mesh'>, workload: Workload): MeshService[] {
  return context.mesh.services
    .filter((s) => s.namespace === workload.namespace && s.selector !== undefined && selectorCovers(s.selector, workload.labels))
    .sort((a, b) => (`${a.creationTimestamp}\0${a.name}` < `${b.creationTimestamp}\0${b.name}` ? -1 : 1))
}

export function planInbound(context: PlanContext): InboundPort[] {
  const { mesh, client: workload } = context
  const ports = new Map<number, InboundPort>()
  for (const service of servicesSelecting(context, workload)) {
    for (const port of service.ports) {
      const target = port.protocol === 'udp' ? undefined : targetPortOn(workload, port)
      if (target === undefined || ports.has(target)) continue
      const connectionPool = destinationRuleForInbound(context, service, port)
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

/** The entry that a connection to this container port meets. */
export function inboundFor(inbound: readonly InboundPort[], port: number): InboundPort | undefined {
  return inbound.find((p) => p.port === port) ?? inbound.find((p) => p.port === null)
}
