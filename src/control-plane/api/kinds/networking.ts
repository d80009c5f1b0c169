// networking.istio.io, but VirtualService and the traffic policies: https://istio.io/latest/docs/reference/config/networking/
import { any, boolean, duration, int32, list, map, nullable, object, oneOf, required, rule, string, uint32, type Infer, type Schema } from '../schema.ts'
import { selector, targetRef } from './security.ts'
import { clientTls, connectionPool, trafficPolicy } from './traffic-policy.ts'

const strings = () => list(string())
const port65535 = () => rule(uint32(), 'a port must be in the range 1 to 65535', '0 < self && self <= 65535', (n: number) => n > 0 && n <= 65535)

const subset = required(object({ name: string(), labels: map(string()), trafficPolicy }), 'name')
export const destinationRule = required(object({ host: string(), trafficPolicy, subsets: list(subset), exportTo: strings(), workloadSelector: selector }), 'host')
export type DestinationRuleSpec = Infer<typeof destinationRule>

const withinUds = 'a unix address takes no ports'
const usesUds = (address: string | undefined): boolean => (address ?? '').startsWith('unix://')
const address = rule(
  rule(string({ maxLength: 256 }), 'a unix address must be an absolute path, or @ and the name of an abstract socket', "self.startsWith('unix://') ? (self.substring(7, 8) == '/' || self.substring(7, 8) == '@') : true",
    (a: string) => !usesUds(a) || a[7] === '/' || a[7] === '@'),
  'a unix address must name a file, not a folder', "self.startsWith('unix://') ? !self.endsWith('/') : true", (a: string) => !usesUds(a) || !a.endsWith('/'))
const portName = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/
const entryPorts = rule(map(port65535(), { maxProperties: 128 }), 'a port name has letters, digits and -, and at most 63 characters', "self.all(key, size(key) < 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
  (ports) => Object.keys(ports).every((name) => name.length < 63 && portName.test(name)))
const entryFields = {
  address, ports: entryPorts, labels: map(string(), { maxProperties: 256 }), network: string({ maxLength: 2048 }), locality: string({ maxLength: 2048 }), weight: uint32(), serviceAccount: string({ maxLength: 253 }),
}
interface Entry { readonly address?: string; readonly ports?: Readonly<Record<string, number>>; readonly network?: string }
const noUdsPorts = <T extends Entry>(schema: Schema<T>): Schema<T> =>
  rule(schema, withinUds, "(has(self.address) && self.address.startsWith('unix://')) ? !has(self.ports) : true", (e) => !usesUds(e.address) || e.ports === undefined)
export const workloadEntry = rule(noUdsPorts(object(entryFields)), 'an address is required (or a network)', 'has(self.address) || has(self.network)', (e) => e.address !== undefined || e.network !== undefined)
export type WorkloadEntrySpec = Infer<typeof workloadEntry>

const servicePort = required(object({ number: port65535(), protocol: string({ maxLength: 256 }), name: string({ maxLength: 256 }), targetPort: port65535() }), 'number', 'name')
const serviceHost = rule(string(), 'a host of a ServiceEntry can’t be *', "self != '*'", (h: string) => h !== '*')
const noWildcard = rule(string({ maxLength: 63 }), 'a label to select by takes no wildcard', "!self.contains('*')", (v: string) => !v.includes('*'))
const workloadSelector = object({ labels: map(noWildcard, { maxProperties: 256 }) })

const serviceEntryFields = required(object({
  hosts: list(serviceHost, { minItems: 1, maxItems: 256 }), addresses: list(string({ maxLength: 64 }), { maxItems: 256 }), ports: rule(list(servicePort, { maxItems: 256, uniqueBy: 'name' }), 'no two ports may have one number', 'self.all(l1, self.exists_one(l2, l1.number == l2.number))', (ports) => new Set(ports.map((p) => p.number)).size === ports.length), location: oneOf('MESH_EXTERNAL', 'MESH_INTERNAL'),
  resolution: oneOf('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'), endpoints: list(workloadEntry, { maxItems: 4096 }), exportTo: strings(), subjectAltNames: strings(), workloadSelector,
}), 'hosts')
export const serviceEntry = rule(rule(rule(rule(serviceEntryFields,
  'only one of workloadSelector and endpoints may be set', '(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) && self.endpoints.size() > 0 ? 1 : 0) <= 1', (s) => s.workloadSelector === undefined || (s.endpoints ?? []).length === 0),
  'an address range goes with resolution NONE or STATIC only', "!((has(self.addresses) ? self.addresses : []).exists(k, k.contains('/')) && !((has(self.resolution) ? self.resolution : 'NONE') in ['STATIC', 'NONE']))",
  (s) => !(s.addresses ?? []).some((a) => a.includes('/')) || ['STATIC', 'NONE'].includes(s.resolution ?? 'NONE')),
  'resolution NONE takes no endpoints', "(has(self.resolution) ? self.resolution : 'NONE') == 'NONE' ? (!has(self.endpoints) || self.endpoints.size() == 0) : true", (s) => (s.resolution ?? 'NONE') !== 'NONE' || (s.endpoints ?? []).length === 0),
  'resolution DNS_ROUND_ROBIN takes one endpoint at most', "(has(self.resolution) && self.resolution == 'DNS_ROUND_ROBIN') ? (!has(self.endpoints) || self.endpoints.size() <= 1) : true",
  (s) => s.resolution !== 'DNS_ROUND_ROBIN' || (s.endpoints ?? []).length <= 1)
export type ServiceEntrySpec = Infer<typeof serviceEntry>

const tlsVersion = oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3')
const oneWay = 'only one of credentialName, credentialNames and tlsCertificates may be set'
const serverTlsFields = object({
  httpsRedirect: boolean(), insecureSkipVerify: nullable(boolean()), mode: oneOf('PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL'), serverCertificate: string(), privateKey: string(), caCertificates: string(), caCrl: string(),
  credentialName: string(), credentialNames: list(string(), { minItems: 1, maxItems: 2 }), caCertCredentialName: string(), subjectAltNames: strings(), verifyCertificateSpki: strings(), verifyCertificateHash: strings(),
  minProtocolVersion: tlsVersion, maxProtocolVersion: tlsVersion, cipherSuites: strings(),
  tlsCertificates: list(object({ serverCertificate: string(), privateKey: string(), caCertificates: string() }), { minItems: 1, maxItems: 2 }),
})
const serverTls = rule(rule(serverTlsFields,
  oneWay, '(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1', (t) => t.tlsCertificates === undefined || t.credentialNames === undefined),
  oneWay, '(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1', (t) => t.credentialName === undefined || t.credentialNames === undefined)
export type ServerTls = Infer<typeof serverTls>
const sidecarPort = object({ number: uint32(), protocol: string(), name: string(), targetPort: uint32() })
const egressProxy = required(object({ host: string(), subset: string(), port: object({ number: uint32() }) }), 'host')
const outboundTrafficPolicy = object({ mode: oneOf('REGISTRY_ONLY', 'ALLOW_ANY'), egressProxy })
const captureMode = oneOf('DEFAULT', 'IPTABLES', 'NONE')
export const sidecar = object({
  workloadSelector,
  ingress: list(required(object({ port: sidecarPort, bind: string(), captureMode, defaultEndpoint: string(), tls: serverTls, connectionPool }), 'port')),
  egress: list(required(object({ port: sidecarPort, bind: string(), captureMode, hosts: strings() }), 'hosts')),
  inboundConnectionPool: connectionPool,
  outboundTrafficPolicy,
})
export type SidecarSpec = Infer<typeof sidecar>

const gatewayPort = required(object({ number: uint32(), protocol: string(), name: string(), targetPort: uint32() }), 'number', 'protocol', 'name')
const server = required(object({ port: gatewayPort, bind: string(), hosts: strings(), tls: serverTls, defaultEndpoint: string(), name: string() }), 'port', 'hosts')
export const gateway = object({ servers: list(server), selector: map(string()) })
export type GatewaySpec = Infer<typeof gateway>

const proxyMatch = object({ proxyVersion: string(), metadata: map(string()) })
const patchContext = oneOf('ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'WAYPOINT')
const filterMatch = object({ name: string(), subFilter: object({ name: string() }) })
const patchMatch = rule(object({
  context: patchContext, proxy: proxyMatch,
  listener: object({
    portNumber: uint32(), portName: string(), name: string(), listenerFilter: string(),
    filterChain: object({ name: string(), sni: string(), transportProtocol: string(), applicationProtocols: string(), destinationPort: uint32(), filter: filterMatch }),
  }),
  routeConfiguration: object({
    portNumber: uint32(), portName: string(), gateway: string(), name: string(),
    vhost: object({ name: string(), domainName: string(), route: object({ name: string(), action: oneOf('ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE') }) }),
  }),
  cluster: object({ portNumber: uint32(), service: string(), subset: string(), name: string() }),
  waypoint: object({ portNumber: port65535(), filter: filterMatch, route: object({ name: string() }) }),
}, ['listener', 'routeConfiguration', 'cluster', 'waypoint']),
'waypoint goes with context WAYPOINT, and that with nothing else', "has(self.context) ? ((self.context == 'WAYPOINT') ? has(self.waypoint) : !has(self.waypoint)) : !has(self.waypoint)", (m) => (m.context === 'WAYPOINT') === (m.waypoint !== undefined))
const configPatch = object({
  applyTo: oneOf('INVALID', 'LISTENER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'HTTP_FILTER', 'ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE', 'CLUSTER', 'EXTENSION_CONFIG', 'BOOTSTRAP', 'LISTENER_FILTER'),
  match: patchMatch,
  patch: object({ operation: oneOf('INVALID', 'MERGE', 'ADD', 'REMOVE', 'INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST', 'REPLACE', 'MERGE_AND_REPLACE_LIST'), value: map(any()), filterClass: oneOf('UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS') }),
})
export const envoyFilter = rule(
  object({ workloadSelector, targetRefs: list(targetRef, { maxItems: 16 }), configPatches: list(configPatch), priority: int32() }),
  'only one of targetRefs and workloadSelector may be set', '(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1', (s) => s.workloadSelector === undefined || s.targetRefs === undefined)
export type EnvoyFilterSpec = Infer<typeof envoyFilter>

const count = () => rule(int32(), 'must not be negative', 'self >= 0', (n: number) => n >= 0)
export const workloadGroup = required(object({
  metadata: object({ labels: map(string(), { maxProperties: 256 }), annotations: map(string(), { maxProperties: 256 }) }),
  template: noUdsPorts(object(entryFields)),
  probe: object({
    initialDelaySeconds: count(), timeoutSeconds: count(), periodSeconds: count(), successThreshold: count(), failureThreshold: count(),
    httpGet: required(object({ path: string(), port: port65535(), host: string(), scheme: string({ pattern: '^(HTTP|HTTPS)?$' }), httpHeaders: list(object({ name: string({ pattern: '^[-_A-Za-z0-9]+$' }), value: string() })) }), 'port'),
    tcpSocket: required(object({ host: string(), port: port65535() }), 'port'),
    exec: required(object({ command: list(string({ minLength: 1 }), { minItems: 1 }) }), 'command'),
    grpc: object({ port: port65535(), service: string() }),
  }, ['httpGet', 'tcpSocket', 'exec', 'grpc']),
}), 'template')
export type WorkloadGroupSpec = Infer<typeof workloadGroup>

export { clientTls, duration }
