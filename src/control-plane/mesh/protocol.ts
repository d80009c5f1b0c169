// Which protocol a port carries: appProtocol, then the name's prefix, then well-known ports, else found out by looking.
import type { PortProtocol } from './types.ts'

const byWord: Readonly<Record<string, PortProtocol>> = {
  http: 'http', http2: 'http2', grpc: 'grpc', 'grpc-web': 'grpc', https: 'tls', tls: 'tls', tcp: 'tcp', udp: 'udp', mongo: 'tcp', mysql: 'tcp', redis: 'tcp', hbone: 'tcp', unsupported: 'auto', http_proxy: 'http',
}
/** Servers that speak first, so looking would wait for ever: SMTP, DNS, MySQL, MongoDB. */
const speakFirst = new Set([25, 53, 3306, 27017])

/** A Service's port (istio.io: ops/configuration/traffic-management/protocol-selection). */
export function portProtocol(port: { readonly name?: string | undefined; readonly appProtocol?: string | undefined; readonly protocol?: string | undefined; readonly port: number }): PortProtocol {
  if (port.protocol === 'UDP') return 'udp'
  if (port.protocol === 'SCTP') return 'tcp'
  const app = port.appProtocol?.toLowerCase()
  if (app !== undefined) {
    if (app === 'kubernetes.io/h2c') return 'http2'
    if (app === 'kubernetes.io/ws') return 'http'
    if (app === 'kubernetes.io/wss') return 'tls'
    const known = byWord[app]
    if (known !== undefined) return known
  }
  const name = (port.name ?? '').toLowerCase()
  const prefix = name.startsWith('grpc-web') ? 'grpc-web' : (name.split('-')[0] as string)
  const named = byWord[prefix]
  if (named !== undefined) return named
  return speakFirst.has(port.port) ? 'tcp' : 'auto'
}

/** A ServiceEntry's or Sidecar's port says its protocol in words. */
export function declaredProtocol(protocol: string | undefined): PortProtocol {
  return protocol === undefined || protocol === '' ? 'auto' : (byWord[protocol.toLowerCase()] ?? 'auto')
}
