// What Istio's webhook refuses in a Sidecar.
import type { SidecarSpec } from '../kinds/networking.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { checkDestination } from './http-route.ts'
import { addressFault, fqdnFault, isHttpProtocol, isTlsProtocol, portFault, portNameFault, protocolFault, unixFault } from './names.ts'
import { checkListenerHost, checkServerTls } from './gateway.ts'
import { checkWorkloadSelector } from './shared.ts'
import { checkConnectionPool } from './traffic-policy.ts'

type Ingress = NonNullable<SidecarSpec['ingress']>[number]
type Egress = NonNullable<SidecarSpec['egress']>[number]
type Port = NonNullable<Egress['port']>

export function checkSidecar(object: ApiObject, found: Findings): void {
  const spec = object.spec as SidecarSpec
  const { ingress = [], egress = [] } = spec
  checkWorkloadSelector(found, 'spec.workloadSelector', spec.workloadSelector)
  if (ingress.length === 0 && egress.length === 0 && spec.outboundTrafficPolicy === undefined && spec.inboundConnectionPool === undefined) return found.error('spec', 'a Sidecar must say something: ingress, egress, outboundTrafficPolicy or inboundConnectionPool')
  const inbound = new Set<number>()
  ingress.forEach((listener, i) => checkIngress(found, `spec.ingress[${i}]`, listener, inbound))
  checkConnectionPool(found, 'spec.inboundConnectionPool', spec.inboundConnectionPool)
  const outbound = { ports: new Set<number>(), sockets: new Set<string>() }
  egress.forEach((listener, i) => {
    const at = `spec.egress[${i}]`
    if (listener.port === undefined) found.error(at, i < egress.length - 1 ? 'the listener without a port takes everything that is left, so it must be the last' : undefined)
    else checkEgressPort(found, at, listener, listener.port, outbound)
    checkEgressHosts(found, `${at}.hosts`, listener.hosts ?? [], object.metadata.namespace)
  })
  checkOutboundPolicy(found, spec.outboundTrafficPolicy)
}

function checkPort(found: Findings, path: string, port: Port): void {
  if ((port.targetPort ?? 0) > 0) found.error(`${path}.targetPort`, 'targetPort has no use here')
  if ((port.name ?? '') !== '') found.error(`${path}.name`, portNameFault(port.name as string))
  found.error(`${path}.protocol`, protocolFault(port.protocol))
}

function checkIngress(found: Findings, path: string, listener: Ingress, ports: Set<number>): void {
  const port = listener.port
  if (port === undefined) return found.error(`${path}.port`, 'a port is required')
  const number = port.number ?? 0
  checkPort(found, `${path}.port`, port)
  found.error(`${path}.port.number`, portFault(number))
  if ((listener.bind ?? '') !== '') found.error(`${path}.bind`, addressFault(listener.bind as string))
  if (ports.has(number)) found.error(`${path}.port.number`, `the port ${number} has a listener already`)
  ports.add(number)
  if ((listener.defaultEndpoint ?? '') !== '') found.error(`${path}.defaultEndpoint`, endpointFault(listener.defaultEndpoint as string))
  const tls = listener.tls
  if (tls !== undefined) {
    for (const name of ['subjectAltNames', 'credentialName', 'credentialNames', 'tlsCertificates'] as const) if ((tls[name] ?? '').length > 0) found.error(`${path}.tls.${name}`, `${name} is not supported here`)
    if (tls.httpsRedirect === true) found.error(`${path}.tls.httpsRedirect`, 'httpsRedirect is not supported here')
    if (tls.mode === 'ISTIO_MUTUAL' || tls.mode === 'AUTO_PASSTHROUGH') found.error(`${path}.tls.mode`, `${tls.mode} is not supported here`)
    if (!isTlsProtocol(port.protocol ?? '')) found.error(`${path}.tls`, 'a port that is neither HTTPS nor TLS takes no tls settings')
    checkServerTls(found, `${path}.tls`, tls)
  }
  checkConnectionPool(found, `${path}.connectionPool`, listener.connectionPool)
  if (listener.connectionPool?.http !== undefined && !isHttpProtocol(port.protocol ?? '')) found.warn(`${path}.connectionPool.http`, `the port ${number} is not HTTP: only tcp settings apply`)
}

/** `127.0.0.1:80`, `0.0.0.0:80`, `[::1]:80`, `[::]:80`, `:80`, `unix:///path` */
function endpointFault(endpoint: string): string | undefined {
  if (endpoint.startsWith('unix://')) return unixFault(endpoint.slice('unix://'.length))
  const m = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(endpoint)
  if (m === null) return `${JSON.stringify(endpoint)} is no address with a port`
  if (!['', '127.0.0.1', '0.0.0.0', '::1', '::'].includes(m[1] ?? m[2] ?? '')) return 'the endpoint is this pod: 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix://<file>'
  return /^\d+$/.test(m[3] as string) ? portFault(Number(m[3])) : `${JSON.stringify(m[3])} is no port number`
}

function checkEgressPort(found: Findings, path: string, listener: Egress, port: Port, seen: { readonly ports: Set<number>; readonly sockets: Set<string> }): void {
  checkPort(found, `${path}.port`, port)
  const number = port.number ?? 0
  const bind = listener.bind ?? ''
  if (number === 0) {
    if (!bind.startsWith('unix://')) found.error(`${path}.port.number`, 'a port of 0 needs a unix:// address in bind')
    else found.error(`${path}.bind`, unixFault(bind.slice('unix://'.length)))
    if (listener.captureMode === 'IPTABLES') found.error(`${path}.captureMode`, 'a unix address takes captureMode DEFAULT or NONE')
    if (seen.sockets.has(bind)) found.error(`${path}.bind`, 'this unix address has a listener already')
    seen.sockets.add(bind)
    return
  }
  found.error(`${path}.port.number`, portFault(number))
  if (bind !== '') found.error(`${path}.bind`, addressFault(bind))
  if (seen.ports.has(number)) found.error(`${path}.port.number`, `the port ${number} has a listener already`)
  seen.ports.add(number)
}

function checkEgressHosts(found: Findings, path: string, hosts: readonly string[], namespace: string): void {
  if (hosts.length === 0) return found.error(path, 'at least one host is required')
  const seen = new Map<string, Set<string>>()
  hosts.forEach((entry, i) => {
    const slash = entry.indexOf('/')
    if (slash !== -1 && !entry.startsWith('~')) {
      const [from, host] = [entry.slice(0, slash) === '.' ? namespace : entry.slice(0, slash), entry.slice(slash + 1)]
      const names = seen.get(from) ?? new Set<string>()
      seen.set(from, names)
      if (host === '*' ? names.size > 0 : names.has(host) || names.has('*')) found.warn(`${path}[${i}]`, `${entry} is in this list already`)
      names.add(host)
    }
    checkListenerHost(found, `${path}[${i}]`, entry, 'sidecar')
  })
  if (seen.get('*')?.has('*') === true && seen.size !== 1) found.warn(path, '*/* is everything: the other entries have no use')
}

function checkOutboundPolicy(found: Findings, policy: SidecarSpec['outboundTrafficPolicy']): void {
  const proxy = policy?.egressProxy
  if (proxy === undefined) return
  const path = 'spec.outboundTrafficPolicy.egressProxy'
  if (policy?.mode !== 'ALLOW_ANY') return found.error(path, 'egressProxy goes with mode ALLOW_ANY only')
  found.error(`${path}.host`, fqdnFault(proxy.host ?? ''))
  if (proxy.port === undefined) return found.error(`${path}.port`, 'a port is required')
  checkDestination(found, path, proxy, true)
}
