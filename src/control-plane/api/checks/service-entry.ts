// What Istio's webhook refuses in ServiceEntry, WorkloadEntry and WorkloadGroup.
import type { ServiceEntrySpec, WorkloadEntrySpec, WorkloadGroupSpec } from '../kinds/networking.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { fqdnFault, isAddress, isHttpProtocol, isTcpProtocol, isTlsProtocol, labelSetFault, portFault, portNameFault, protocolFault, subnetFault, unixFault, wildcardDomainFault } from './names.ts'
import { checkExportTo, checkWorkloadSelector } from './shared.ts'

export function checkServiceEntry(object: ApiObject, found: Findings): void {
  const spec = object.spec as ServiceEntrySpec
  const { hosts = [], addresses = [], ports = [], endpoints = [] } = spec
  checkWorkloadSelector(found, 'spec.workloadSelector', spec.workloadSelector)
  if (spec.workloadSelector !== undefined && endpoints.length > 0) found.error('spec.endpoints', 'endpoints can’t stand beside workloadSelector')
  if (hosts.length === 0) found.error('spec.hosts', 'at least one host is required')
  hosts.forEach((host, i) => {
    found.error(`spec.hosts[${i}]`, host === '*' ? 'a host of a ServiceEntry can’t be *' : wildcardDomainFault(host))
    if (spec.resolution !== 'DYNAMIC_DNS' && host.includes('*') && host !== '*' && !host.startsWith('*.')) found.warn(`spec.hosts[${i}]`, `the wildcard of ${host} covers a part of a label`)
  })
  addresses.forEach((address, i) => found.error(`spec.addresses[${i}]`, subnetFault(address)))
  const resolution = spec.resolution ?? 'NONE'
  if (addresses.some((a) => a.includes('/')) && resolution !== 'NONE' && resolution !== 'STATIC') found.error('spec.addresses', 'an address range goes with resolution NONE or STATIC only')
  const allocated = resolution !== 'NONE' && object.metadata.labels['networking.istio.io/enable-autoallocate-ip']?.toLowerCase() !== 'false'
  checkPorts(found, ports, addresses.length > 0 || allocated)
  const names = new Set(ports.map((p) => p.name ?? ''))
  if (resolution === 'NONE') {
    if (endpoints.length > 0) found.error('spec.endpoints', 'resolution NONE takes no endpoints')
    if (spec.workloadSelector !== undefined) found.warn('spec.workloadSelector', 'a workloadSelector has no use where resolution is NONE')
  } else if (resolution === 'STATIC') endpoints.forEach((endpoint, i) => checkEntry(found, `spec.endpoints[${i}]`, endpoint, names, false))
  else if (resolution === 'DYNAMIC_DNS') checkDynamicDns(found, spec, object.metadata.labels)
  else checkDns(found, spec, resolution, names)
  if (resolution !== 'NONE' && hosts.length > 1) {
    const shared = ports.findIndex((p) => !isHttpProtocol(p.protocol ?? '') && !isTlsProtocol(p.protocol ?? ''))
    if (shared !== -1) found.error(`spec.ports[${shared}]`, 'several hosts can’t be told apart on a port that is neither HTTP nor TLS')
  }
  checkExportTo(found, object.metadata.namespace, spec.exportTo, 'ServiceEntry')
}

function checkPorts(found: Findings, ports: NonNullable<ServiceEntrySpec['ports']>, hasAddress: boolean): void {
  const names = new Set<string>()
  const numbers = new Set<number>()
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`
    const { name = '', number = 0, targetPort = 0 } = port
    if (names.has(name)) found.error(`${at}.name`, `the port name ${name} stands here twice`)
    if (numbers.has(number)) found.error(`${at}.number`, `the port ${number} stands here twice`)
    names.add(name)
    numbers.add(number)
    if (targetPort !== 0) found.error(`${at}.targetPort`, portFault(targetPort))
    if (!hasAddress && ['', 'TCP'].includes(port.protocol ?? '')) found.warn(at, 'a TCP port (or one without a protocol) needs addresses: without them it takes all traffic of its number')
    found.error(`${at}.name`, portNameFault(name))
    found.error(`${at}.protocol`, protocolFault(port.protocol))
    found.error(`${at}.number`, portFault(number))
  })
}

function checkDns(found: Findings, spec: ServiceEntrySpec, resolution: string, names: ReadonlySet<string>): void {
  const { hosts = [], endpoints = [], ports = [] } = spec
  if (endpoints.length === 0) {
    hosts.forEach((host, i) => found.error(`spec.hosts[${i}]`, fqdnFault(host) === undefined ? undefined : `without endpoints, resolution ${resolution} needs full names as hosts`))
  }
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) found.error('spec.endpoints', 'resolution DNS_ROUND_ROBIN takes one endpoint at most')
  endpoints.forEach((endpoint, i) => {
    const at = `spec.endpoints[${i}]`
    const address = endpoint.address ?? ''
    if (!isAddress(address) && fqdnFault(address) !== undefined) found.error(`${at}.address`, `${JSON.stringify(address)} is neither a full name nor an IP address`)
    found.error(`${at}.labels`, labelSetFault(endpoint.labels))
    checkEntryPorts(found, at, endpoint, names)
  })
  if ((spec.addresses ?? []).length > 0 && hosts.length > 1 && ports.some((p) => isTcpProtocol(p.protocol ?? ''))) found.warn('spec.hosts', 'several hosts with an address and a TCP port can’t be told apart')
}

/** Names are resolved as they are called: there is no address, and each call must say its name. */
function checkDynamicDns(found: Findings, spec: ServiceEntrySpec, labels: Readonly<Record<string, string>>): void {
  spec.hosts?.forEach((host, i) => found.error(`spec.hosts[${i}]`, host.startsWith('*') ? undefined : 'resolution DYNAMIC_DNS needs wildcard hosts'))
  for (const name of ['addresses', 'endpoints'] as const) if ((spec[name] ?? []).length > 0) found.error(`spec.${name}`, `resolution DYNAMIC_DNS takes no ${name}`)
  spec.ports?.forEach((port, i) => found.error(`spec.ports[${i}].protocol`, ['http', 'http2', 'grpc', 'tls'].includes((port.protocol ?? '').toLowerCase()) ? undefined : 'resolution DYNAMIC_DNS serves HTTP, HTTP2, GRPC and TLS only'))
  const waypoint = labels['istio.io/use-waypoint'] ?? ''
  if (spec.location === 'MESH_INTERNAL' && waypoint !== '' && waypoint.toLowerCase() !== 'none') found.error('spec.location', 'MESH_INTERNAL with resolution DYNAMIC_DNS does not go with a waypoint')
}

function checkEntryPorts(found: Findings, path: string, entry: WorkloadEntrySpec, servicePorts: ReadonlySet<string> | undefined): void {
  for (const [name, port] of Object.entries(entry.ports ?? {})) {
    const at = `${path}.ports.${name}`
    if (servicePorts !== undefined && !servicePorts.has(name)) found.error(at, `the ServiceEntry has no port ${name}`)
    found.error(at, portNameFault(name))
    found.error(at, portFault(port))
  }
}

function checkEntry(found: Findings, path: string, entry: WorkloadEntrySpec, servicePorts: ReadonlySet<string> | undefined, namesAllowed: boolean): void {
  const address = entry.address ?? ''
  if (address === '') {
    if ((entry.network ?? '') === '') return found.error(`${path}.address`, 'an address is required')
    found.warn(path, `the address is left out, with network ${entry.network}`)
  }
  const isUnix = address.startsWith('unix://')
  if (isUnix) {
    found.error(`${path}.address`, unixFault(address.slice('unix://'.length)))
    if (Object.keys(entry.ports ?? {}).length > 0) found.error(`${path}.ports`, 'a unix address takes no ports')
  } else if (address !== '' && !isAddress(address)) {
    if (!namesAllowed) found.error(`${path}.address`, `${JSON.stringify(address)} is no IP address, and resolution is STATIC`)
    else if (fqdnFault(address) !== undefined) found.error(`${path}.address`, `${JSON.stringify(address)} is neither a full name nor an IP address`)
  }
  checkEntryPorts(found, path, entry, servicePorts)
  found.error(`${path}.labels`, labelSetFault(entry.labels))
  if (isUnix && servicePorts !== undefined && servicePorts.size !== 1) found.error(`${path}.address`, 'a unix address goes with exactly one port of the ServiceEntry')
}

export function checkWorkloadEntry(object: ApiObject, found: Findings): void {
  checkEntry(found, 'spec', object.spec as WorkloadEntrySpec, undefined, true)
}

export function checkWorkloadGroup(object: ApiObject, found: Findings): void {
  const spec = object.spec as WorkloadGroupSpec
  if (spec.template === undefined) return found.error('spec.template', 'a template is required')
  found.error('spec.metadata.labels', labelSetFault(spec.metadata?.labels))
  const probe = spec.probe
  if (probe === undefined) return
  for (const name of ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const) if ((probe[name] ?? 0) < 0) found.error(`spec.probe.${name}`, 'must not be negative')
  if (!['', 'HTTP', 'HTTPS'].includes(probe.httpGet?.scheme ?? '')) found.error('spec.probe.httpGet.scheme', 'the scheme is HTTP or HTTPS')
  if (probe.grpc !== undefined) found.error('spec.probe.grpc', 'gRPC probes are not supported here')
  else if ((probe.httpGet ?? probe.tcpSocket ?? probe.exec) === undefined) found.error('spec.probe', 'a probe needs httpGet, tcpSocket or exec')
  for (const name of ['httpGet', 'tcpSocket'] as const) if (probe[name] !== undefined) found.error(`spec.probe.${name}.port`, portFault(probe[name].port ?? 0))
  probe.httpGet?.httpHeaders?.forEach((header, i) => found.error(`spec.probe.httpGet.httpHeaders[${i}].name`, /^[-A-Za-z0-9]+$/.test(header.name ?? '') ? undefined : `${JSON.stringify(header.name ?? '')} is no header name`))
  if (probe.exec !== undefined && (probe.exec.command ?? []).length === 0) found.error('spec.probe.exec.command', 'a command is required')
}
