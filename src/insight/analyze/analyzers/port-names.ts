// IST0118: Service ports whose protocol must be guessed, since neither name nor appProtocol tells it. IST0150: the same of ExternalName Services, which have no address for TCP.
import type { ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { isControlPlane, isSystemNamespace, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { namesProtocol } from '../../validate/service-ports.ts'

/** Ports whose protocol everybody knows: SMTP, DNS, MySQL, MongoDB. */
const wellKnown: ReadonlySet<number> = new Set([25, 53, 3306, 27017])

/** Services that a controller makes for a Gateway. */
const managed: ReadonlySet<string> = new Set(['istio.io-gateway-controller', 'istio.io-mesh-controller', 'istio.io-eastwest-controller'])

export function portNames(context: AnalysisContext): Problem[] {
  return context.all('Service').flatMap((service): Problem[] => {
    const { namespace, labels } = service.metadata
    if (isSystemNamespace(namespace) || isControlPlane(labels) || managed.has(labels['gateway.istio.io/managed'] ?? '')) return []
    const external = service.spec.type === 'ExternalName'
    const ports = Array.isArray(service.spec.ports) ? service.spec.ports : []
    return ports.flatMap((port, i): Problem[] => {
      const name = port.appProtocol ?? port.name ?? ''
      if (external && port.name === 'tcp') return [noAddress(service, i)]
      if (port.protocol === 'UDP' || namesProtocol(name) || /^kubernetes\.io\/(h2c|ws|wss)$/.test(port.appProtocol ?? '') || wellKnown.has(port.port)) return []
      if (external) return [noAddress(service, i)]
      return [say('IST0118', 'info', service, `spec.ports[${i}]`, `Port name ${port.name ?? ''} (port: ${port.port}, targetPort: ${port.targetPort ?? 0}) doesn't follow the naming convention of Istio port`, 'name it <protocol>[-suffix], or set appProtocol')]
    })
  })
}

function noAddress(service: ApiObject, index: number): Problem {
  return say('IST0150', 'warning', service, `spec.ports[${index}]`, 'Port name of an ExternalName Service is invalid: the proxy takes it for TCP, and there is no address to listen on', 'name the port http, https, grpc or tls, or set appProtocol')
}
