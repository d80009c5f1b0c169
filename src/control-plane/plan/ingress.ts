// Ports that a Sidecar's ingress names: they stand in place of what Services would say; every other port is treated as one that nobody names.
// Istio: buildInboundChainConfigs, buildInboundClusters (HasIngressListener).
import { declaredProtocol, type ServicePort } from '#mesh'
import type { Sidecar } from '#api'
import type { PlanContext } from './context.ts'
import { decideMtls } from './mtls.ts'
import type { InboundPort, PortProtocol, ServerTls } from './types.ts'
import { planPool } from './upstreams.ts'

type Ingress = NonNullable<Sidecar['spec']['ingress']>[number]

export function ingressPorts(context: PlanContext, sidecar: Sidecar): InboundPort[] {
  const ports = new Map<number, InboundPort>()
  for (const ingress of sidecar.spec.ingress ?? []) {
    const port = ingress.port?.number
    if (port !== undefined && !ports.has(port)) ports.set(port, ingressPort(context, ingress, port))
  }
  return [...ports.values()]
}

function ingressPort(context: PlanContext, ingress: Ingress, port: number): InboundPort {
  const mtls = decideMtls(context.mesh, context.client, port)
  const tls = mtls.value === 'DISABLE' ? serverTls(ingress) : undefined
  const declared = declaredProtocol(ingress.port?.protocol)
  const endpoint = endpointOf(context, ingress, port)
  return {
    port, protocol: tls === undefined ? declared : afterTls(ingress.port?.protocol, declared), mtls, cluster: `inbound|${port}||`, ...(tls === undefined ? {} : { tls }), ...(endpoint === undefined ? {} : { endpoint }),
    ...(ingress.connectionPool === undefined ? {} : { connectionPool: planPool(ingress.connectionPool, context) }),
  }
}

/** What is inside: HTTPS holds HTTP. */
function afterTls(word: string | undefined, declared: PortProtocol): PortProtocol {
  return word?.toUpperCase() === 'HTTPS' ? 'http' : declared === 'tls' ? 'tcp' : declared
}

function serverTls({ tls }: Ingress): ServerTls | undefined {
  const { mode, serverCertificate: certificate, privateKey, caCertificates, subjectAltNames } = tls ?? {}
  if ((mode !== 'SIMPLE' && mode !== 'MUTUAL' && mode !== 'OPTIONAL_MUTUAL') || certificate === undefined || privateKey === undefined) return undefined
  return { mode, certificate, privateKey, ...(caCertificates === undefined ? {} : { caCertificates }), ...(subjectAltNames === undefined || subjectAltNames.length === 0 ? {} : { sans: subjectAltNames }) }
}

/** `127.0.0.1:8080`, `[::1]:8080`; `0.0.0.0:8080` and `[::]:8080` are the pod itself. */
function endpointOf({ client }: PlanContext, { defaultEndpoint }: Ingress, listens: number): InboundPort['endpoint'] {
  const colon = defaultEndpoint?.lastIndexOf(':') ?? -1
  if (defaultEndpoint === undefined || colon < 0 || defaultEndpoint.startsWith('unix://')) return undefined
  const host = defaultEndpoint.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = Number(defaultEndpoint.slice(colon + 1))
  if (host !== '0.0.0.0' && host !== '::') return { address: host, port }
  const own = client.addresses.find((a) => a.includes(':') === (host === '::')) ?? client.addresses[0]
  return port === listens || own === undefined ? undefined : { address: own, port }
}

/** A Service that leads to the port says whose calls these are. */
export function serviceAt(port: number, services: readonly { readonly host: string; readonly name: string; readonly namespace: string; readonly ports: readonly ServicePort[] }[]): NonNullable<InboundPort['service']> | undefined {
  const service = services.find((s) => s.ports.some((p) => p.number === port))
  return service === undefined ? undefined : { host: service.host, name: service.name, namespace: service.namespace, port }
}
