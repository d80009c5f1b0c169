// What Istio's webhook refuses in a Gateway, and in the server side of TLS.
import type { GatewaySpec, ServerTls } from '../kinds/networking.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { addressFault, isAddress, isHttpProtocol, isLabel, isProtocol, isTlsProtocol, portFault, unixFault, wildcardDomainFault } from './names.ts'

type Server = NonNullable<GatewaySpec['servers']>[number]

export function checkGateway(object: ApiObject, found: Findings): void {
  const { servers = [] } = object.spec as GatewaySpec
  if (!isLabel(object.metadata.name)) found.error('metadata.name', `${JSON.stringify(object.metadata.name)} is no gateway’s name: letters, digits and -, at most 63 characters`)
  if (servers.length === 0) found.error('spec.servers', 'at least one server is required')
  const names = new Set<string>()
  servers.forEach((server, i) => {
    const at = `spec.servers[${i}]`
    checkServer(found, at, server)
    if (server.port === undefined) return
    const name = server.port.name ?? ''
    if (names.has(name)) found.error(`${at}.port.name`, `the port name ${name} stands here twice`)
    names.add(name)
    if (server.tls?.httpsRedirect === true && !isHttpProtocol(server.port.protocol ?? '')) found.warn(`${at}.tls.httpsRedirect`, 'httpsRedirect is for HTTP servers')
  })
}

function checkServer(found: Findings, path: string, server: Server): void {
  if ((server.hosts ?? []).length === 0) found.error(`${path}.hosts`, 'at least one host is required')
  server.hosts?.forEach((host, i) => checkListenerHost(found, `${path}.hosts[${i}]`, host, 'gateway'))
  const bind = server.bind ?? ''
  const isUnix = bind.startsWith('unix://')
  if (isUnix) {
    found.error(`${path}.bind`, unixFault(bind.slice('unix://'.length)))
    if ((server.port?.number ?? 0) !== 0) found.error(`${path}.port.number`, 'the port must be 0 for a unix address')
  } else if (bind !== '') found.error(`${path}.bind`, addressFault(bind))
  checkServerTls(found, `${path}.tls`, server.tls)
  const port = server.port
  if (port === undefined) return found.error(`${path}.port`, 'a port is required')
  const protocol = port.protocol ?? ''
  if (!isProtocol(protocol)) return found.error(`${path}.port.protocol`, `${JSON.stringify(protocol)} is no protocol of a gateway: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP, TLS`)
  if ((port.number ?? 0) > 0 || !isUnix) found.error(`${path}.port.number`, portFault(port.number ?? 0))
  if ((port.targetPort ?? 0) > 0) found.error(`${path}.port.targetPort`, 'targetPort has no use here')
  if ((port.name ?? '') === '') found.error(`${path}.port.name`, 'a port needs a name')
  const tls = server.tls
  if (isTlsProtocol(protocol) && tls === undefined) found.error(`${path}.tls`, `a server with protocol ${protocol} needs tls settings`)
  if (isTlsProtocol(protocol) || tls === undefined) return
  const passes = tls.mode === undefined || tls.mode === 'PASSTHROUGH' || tls.mode === 'AUTO_PASSTHROUGH'
  const hasFiles = (['caCertificates', 'privateKey', 'serverCertificate'] as const).some((name) => (tls[name] ?? '') !== '')
  if (!isHttpProtocol(protocol)) found.error(`${path}.tls`, `a server with protocol ${protocol} takes no tls settings`)
  else if (!passes || hasFiles) found.error(`${path}.tls`, 'a server for plaintext HTTP takes no tls settings but httpsRedirect')
}

/** `namespace/host`; gateways take a host alone as well, and addresses. */
export function checkListenerHost(found: Findings, path: string, entry: string, of: 'gateway' | 'sidecar'): void {
  const slash = entry.indexOf('/')
  if (slash === -1) {
    if (of === 'sidecar') return found.error(path, `${JSON.stringify(entry)} must have the form <namespace>/<host>`, `./${entry} for this namespace, */${entry} for all`)
    return checkHostPart(found, path, entry, of)
  }
  const [namespace, host] = [entry.slice(0, slash), entry.slice(slash + 1)]
  if (namespace === '' || host === '') found.error(path, 'neither the namespace nor the host may be empty')
  // A Sidecar's `~ns/host` takes out what other entries take in; `~/*` names nothing.
  const named = of === 'sidecar' && namespace.startsWith('~') ? namespace.slice(1) : namespace
  const words = of === 'sidecar' ? ['*', '.', ''] : ['*', '.']
  if (!words.includes(named) && !isLabel(named)) found.error(path, `${JSON.stringify(namespace)} is no namespace`)
  checkHostPart(found, path, host, of)
}

function checkHostPart(found: Findings, path: string, host: string, of: 'gateway' | 'sidecar'): void {
  if (host !== '*' && !host.includes('.')) found.error(path, `${JSON.stringify(host)} is a short name, which is not allowed here`)
  const fault = wildcardDomainFault(host)
  if (fault !== undefined && !(of === 'gateway' && isAddress(host))) found.error(path, fault)
  if (host.includes('*') && host.length !== 1 && !host.startsWith('*.')) found.error(path, `the wildcard of ${host} covers a part of a label`)
}

const ciphers: ReadonlySet<string> = new Set([
  'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA', 'ECDHE-RSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA', 'ECDHE-RSA-AES256-SHA', 'AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'AES128-SHA', 'AES256-SHA', 'DES-CBC3-SHA',
])

export function checkServerTls(found: Findings, path: string, tls: ServerTls | undefined): void {
  if (tls === undefined) return
  const has = (name: keyof ServerTls): boolean => (tls[name] ?? '') !== '' && !(Array.isArray(tls[name]) && (tls[name] as readonly unknown[]).length === 0)
  if ((tls.minProtocolVersion === 'TLSV1_0' || tls.minProtocolVersion === 'TLSV1_1') && !has('cipherSuites')) found.warn(`${path}.minProtocolVersion`, 'TLS below 1.2 needs cipher suites that are not among the default ones')
  // `ALL` and entries with an operator (-RSA, +AES) are left to the TLS library.
  const odd = (tls.cipherSuites ?? []).filter((suite) => suite !== '' && suite !== 'ALL' && /^[\p{L}\p{N}]/u.test(suite) && !ciphers.has(suite))
  if (odd.length > 0) found.warn(`${path}.cipherSuites`, `these cipher suites are not known and ignored: ${odd.join(', ')}`)
  const twice = (tls.cipherSuites ?? []).filter((suite, i, all) => all.indexOf(suite) !== i)
  if (twice.length > 0) found.warn(`${path}.cipherSuites`, `these cipher suites stand here twice: ${twice.join(', ')}`)
  const mode = tls.mode ?? 'PASSTHROUGH'
  const files = ['serverCertificate', 'privateKey', 'caCertificates', 'credentialName', 'credentialNames', 'tlsCertificates'] as const
  if (mode === 'ISTIO_MUTUAL') {
    for (const name of files) if (has(name)) found.error(`${path}.${name}`, `ISTIO_MUTUAL uses the workload’s own certificate: ${name} can’t stand beside it`)
    return
  }
  const passes = mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH'
  if (passes && (files.some((name) => has(name)) || has('caCrl'))) found.warn(path, `${mode} uses no certificates: they are ignored`)
  const ways = (['credentialName', 'credentialNames', 'serverCertificate', 'tlsCertificates'] as const).filter((name) => has(name) && (name !== 'serverCertificate' || has('privateKey')))
  if (ways.length > 1) found.error(`${path}.${ways[1]}`, `${ways[1]} can’t stand beside ${ways[0]}`)
  if (passes) {
    if (has('caCrl') && has('credentialName')) found.error(`${path}.caCrl`, 'caCrl can’t stand beside credentialName: the credential brings it along')
    return
  }
  // What a credential brings along is looked up where the gateway runs.
  if (has('credentialName') || has('credentialNames')) return
  if (has('tlsCertificates')) {
    tls.tlsCertificates?.forEach((certificate, i) => {
      for (const name of ['serverCertificate', 'privateKey'] as const) if ((certificate[name] ?? '') === '') found.error(`${path}.tlsCertificates[${i}].${name}`, `mode ${mode} needs a ${name}`)
    })
    if ((tls.tlsCertificates ?? []).length > 2) found.warn(`${path}.tlsCertificates`, 'only two certificates can be served')
  } else for (const name of ['serverCertificate', 'privateKey'] as const) if (!has(name)) found.error(`${path}.${name}`, `mode ${mode} needs a ${name} (or a credentialName)`)
  if (mode !== 'SIMPLE' && !has('caCertificates')) found.error(`${path}.caCertificates`, `mode ${mode} needs caCertificates to know clients by`)
  if (mode === 'SIMPLE' && has('caCrl')) found.error(`${path}.caCrl`, 'mode SIMPLE verifies no client, so caCrl has no use')
}
