// networking.istio.io, but VirtualService and the traffic policies: https://istio.io/latest/docs/reference/config/networking/
import { any, boolean, duration, int32, list, map, object, oneOf, string, uint32, type Infer } from '../schema.ts'
import { selector } from './security.ts'
import { clientTls, connectionPool, trafficPolicy } from './traffic-policy.ts'

const strings = () => list(string())

const subset = object({ name: string(), labels: map(string()), trafficPolicy })
export const destinationRule = object({ host: string(), trafficPolicy, subsets: list(subset), exportTo: strings(), workloadSelector: selector })
export type DestinationRuleSpec = Infer<typeof destinationRule>

const servicePort = object({ number: uint32(), protocol: string(), name: string(), targetPort: uint32() })
export const workloadEntry = object({
  address: string(), ports: map(uint32()), labels: map(string()), network: string(), locality: string(), weight: uint32(), serviceAccount: string(),
})
export type WorkloadEntrySpec = Infer<typeof workloadEntry>

export const serviceEntry = object({
  hosts: strings(), addresses: strings(), ports: list(servicePort), location: oneOf('MESH_EXTERNAL', 'MESH_INTERNAL'),
  resolution: oneOf('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'), endpoints: list(workloadEntry), exportTo: strings(), subjectAltNames: strings(), workloadSelector: object({ labels: map(string()) }),
})
export type ServiceEntrySpec = Infer<typeof serviceEntry>

const serverTls = object({
  httpsRedirect: boolean(), mode: oneOf('PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL'), serverCertificate: string(), privateKey: string(), caCertificates: string(), caCrl: string(),
  credentialName: string(), credentialNames: strings(), caCertCredentialName: string(), subjectAltNames: strings(), verifyCertificateSpki: strings(), verifyCertificateHash: strings(),
  minProtocolVersion: oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'), maxProtocolVersion: oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'), cipherSuites: strings(),
  tlsCertificates: list(object({ serverCertificate: string(), privateKey: string(), caCertificates: string() })),
})
const sidecarPort = object({ number: uint32(), protocol: string(), name: string(), targetPort: uint32() })
const egressProxy = object({ host: string(), subset: string(), port: object({ number: uint32() }) })
const outboundTrafficPolicy = object({ mode: oneOf('REGISTRY_ONLY', 'ALLOW_ANY'), egressProxy })
export const sidecar = object({
  workloadSelector: object({ labels: map(string()) }),
  ingress: list(object({ port: sidecarPort, bind: string(), captureMode: oneOf('DEFAULT', 'IPTABLES', 'NONE'), defaultEndpoint: string(), tls: serverTls, connectionPool })),
  egress: list(object({ port: sidecarPort, bind: string(), captureMode: oneOf('DEFAULT', 'IPTABLES', 'NONE'), hosts: strings() })),
  inboundConnectionPool: connectionPool,
  outboundTrafficPolicy,
})
export type SidecarSpec = Infer<typeof sidecar>

export const gateway = object({ servers: list(object({ port: servicePort, bind: string(), hosts: strings(), tls: serverTls, defaultEndpoint: string(), name: string() })), selector: map(string()) })
export type GatewaySpec = Infer<typeof gateway>

export const envoyFilter = object({ workloadSelector: object({ labels: map(string()) }), targetRefs: list(any()), configPatches: list(any()), priority: int32() })

export const workloadGroup = object({
  metadata: object({ labels: map(string()), annotations: map(string()) }),
  template: workloadEntry,
  probe: object({
    initialDelaySeconds: int32(), timeoutSeconds: int32(), periodSeconds: int32(), successThreshold: int32(), failureThreshold: int32(),
    httpGet: object({ path: string(), port: uint32(), host: string(), scheme: string(), httpHeaders: list(object({ name: string(), value: string() })) }),
    tcpSocket: object({ host: string(), port: uint32() }), exec: object({ command: strings() }), grpc: object({ port: uint32(), service: string() }),
  }, ['httpGet', 'tcpSocket', 'exec', 'grpc']),
})

export { clientTls, duration }
