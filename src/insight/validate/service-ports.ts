// Port names of Services as `istioctl validate` has them: an error each, where a protocol can't be told from the name.
import { isRecord, refTo, type ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'

const protocols: ReadonlySet<string> = new Set(['tcp', 'udp', 'grpc', 'grpc-web', 'http', 'http_proxy', 'http2', 'https', 'tls', 'mongo', 'redis', 'mysql'])

/** Whether a port's name tells its protocol: `<protocol>` or `<protocol>-<rest>`. */
export function namesProtocol(name: string): boolean {
  const dash = name.indexOf('-')
  const lower = name.toLowerCase()
  return protocols.has(dash === -1 ? lower : lower.slice(0, dash)) || lower.startsWith('grpc-web')
}

/** Kubernetes' own words, which Istio's proxies know; istioctl does not. */
const standard: ReadonlySet<string> = new Set(['kubernetes.io/h2c', 'kubernetes.io/ws', 'kubernetes.io/wss'])

/** Problems (IST0118, errors) of a Service's ports; UDP and ports with `appProtocol` need no name. */
export function checkServicePorts(object: ApiObject): readonly Problem[] {
  const ports = object.kind === 'Service' && object.apiVersion === 'v1' && isRecord(object.spec) && Array.isArray(object.spec['ports']) ? (object.spec['ports'] as unknown[]) : []
  return ports.flatMap((port, i): Problem[] => {
    if (!isRecord(port) || String(port['protocol']).toUpperCase() === 'UDP') return []
    const said = port['appProtocol']
    if (typeof said === 'string') {
      if (protocols.has(said.toLowerCase()) || standard.has(said)) return []
      return [{ code: 'IST0118', severity: 'error', ref: refTo(object, `spec.ports[${i}].appProtocol`), message: `${JSON.stringify(said)} is no protocol that Istio knows`, help: 'write http, http2, https, grpc, grpc-web, tcp, tls, mongo, mysql or redis' }]
    }
    const name = typeof port['name'] === 'string' ? port['name'] : ''
    if (namesProtocol(name)) return []
    const message = name === '' ? 'this port has no name, so Istio must guess its protocol' : `the port name ${JSON.stringify(name)} does not tell its protocol`
    return [{ code: 'IST0118', severity: 'error', ref: refTo(object, `spec.ports[${i}]`), message, help: 'name it <protocol>[-suffix], or set appProtocol' }]
  })
}
