// Which protocol a port carries: appProtocol where it is set, else the name; of neither known, well-known ports, else found out by looking. Istio: kube.ConvertProtocol.
import type { PortProtocol } from './types.ts'

const byWord: Readonly<Record<string, PortProtocol>> = {
  http: 'http', http2: 'http2', grpc: 'grpc', 'grpc-web': 'grpc', https: 'tls', tls: 'tls', tcp: 'tcp', udp: 'udp', mongo: 'tcp', mysql: 'tcp', redis: 'tcp', http_proxy: 'http',
}
/** Servers that speak first, so looking would wait for ever: SMTP, DNS, MySQL, MongoDB. */
const speakFirst = new Set([25, 53, 3306, 27017])

/** A Service's port (istio.io: ops/configuration/traffic-management/protocol-selection). */
export function portProtocol(port: { readonly name?: string | undefined; readonly appProtocol?: string | undefined; readonly protocol?: string | undefined; readonly port: number }): PortProtocol {
  if (port.protocol === 'UDP') return 'udp'
  if (port.protocol === 'SCTP') return 'tcp'
  if (port.appProtocol === 'kubernetes.io/h2c') return 'http2'
  if (port.appProtocol === 'kubernetes.io/ws') return 'http'
  if (port.appProtocol === 'kubernetes.io/wss') return 'tls'
  // Once appProtocol is there, the name says nothing, whatever the former means.
  const word = (port.appProtocol ?? port.name ?? '').toLowerCase()
  const named = byWord[word.startsWith('grpc-web') ? 'grpc-web' : (word.split('-')[0] as string)]
  if (named !== undefined) return named
  return speakFirst.has(port.port) ? 'tcp' : 'auto'
}

/** A ServiceEntry's or Sidecar's port says its protocol in words. */
export function declaredProtocol(protocol: string | undefined): PortProtocol {
  return protocol === undefined || protocol === '' ? 'auto' : (byWord[protocol.toLowerCase()] ?? 'auto')
}
