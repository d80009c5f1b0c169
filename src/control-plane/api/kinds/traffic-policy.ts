// The policies of a DestinationRule: https://istio.io/latest/docs/reference/config/networking/destination-rule/
import { boolean, duration, int32, int64, list, looseDuration, map, nullable, number, object, oneOf, required, string, uint32, whole, type Infer } from '../schema.ts'

export const port = object({ number: uint32() })

const warmup = required(object({ duration: duration(), minimumPercent: nullable(number({ min: 0, max: 100 })), aggression: nullable(number({ min: 0 })) }), 'duration')
const unsigned = () => ({ ...int64(), min: 0 })
const hash = object(
  {
    httpHeaderName: string(),
    httpCookie: required(object({ name: string(), path: string(), ttl: looseDuration(), attributes: list(required(object({ name: string(), value: string() }), 'name')) }), 'name'),
    useSourceIp: boolean(), httpQueryParameterName: string(),
    ringHash: object({ minimumRingSize: unsigned() }), maglev: object({ tableSize: unsigned() }), minimumRingSize: unsigned(),
  },
  ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'],
  ['ringHash', 'maglev'],
)
export const loadBalancer = object(
  {
    simple: oneOf('UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST'),
    consistentHash: hash,
    localityLbSetting: object({
      distribute: list(object({ from: string(), to: map(uint32()) })), failover: list(object({ from: string(), to: string() })), failoverPriority: list(string()), enabled: nullable(boolean()),
    }),
    zoneAwareLbSetting: object({ failover: list(object({ from: string(), to: string() })), failoverPriority: list(string()), enabled: nullable(boolean()), minClusterSize: nullable(whole(1, 2 ** 32 - 1)) }),
    warmupDurationSecs: looseDuration(1), warmup,
  },
  ['simple', 'consistentHash'],
)

export const connectionPool = object({
  tcp: object({
    maxConnections: int32(), connectTimeout: duration(), idleTimeout: duration(0), maxConnectionDuration: duration(),
    tcpKeepalive: object({ probes: uint32(), time: duration(), interval: duration() }),
  }),
  http: object({
    http1MaxPendingRequests: int32(), http2MaxRequests: int32(), maxRequestsPerConnection: int32(), maxRetries: int32(), idleTimeout: duration(),
    h2UpgradePolicy: oneOf('DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'), useClientProtocol: boolean(), maxConcurrentStreams: int32(),
    http2KeepAlive: object({ interval: duration(), timeout: duration() }),
  }),
})

export const outlierDetection = object({
  consecutiveErrors: int32(), splitExternalLocalOriginErrors: boolean(), consecutiveLocalOriginFailures: nullable(uint32()), consecutiveGatewayErrors: nullable(uint32()), consecutive5xxErrors: nullable(uint32()),
  interval: duration(), baseEjectionTime: duration(), maxEjectionPercent: int32(), minHealthPercent: int32(), outlierDetectionHttpErrorCodes: list(whole(100, 599)),
})

export const clientTls = object({
  mode: oneOf('DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'),
  clientCertificate: string(), privateKey: string(), caCertificates: string(), credentialName: string(), subjectAltNames: list(string()), sni: string(), insecureSkipVerify: nullable(boolean()), caCrl: string(),
})
export type ClientTls = Infer<typeof clientTls>

const retryBudget = object({ percent: nullable(number({ min: 0, max: 100 })), budgetInterval: looseDuration(), minRetryConcurrency: uint32() })
const parts = { loadBalancer, connectionPool, outlierDetection, tls: clientTls }

export const portTrafficPolicy = object({ port, ...parts })
export const trafficPolicy = object({
  ...parts,
  portLevelSettings: list(portTrafficPolicy, { maxItems: 4096 }),
  tunnel: required(object({ protocol: string(), targetHost: string(), targetPort: uint32() }), 'targetHost', 'targetPort'),
  proxyProtocol: object({ version: oneOf('V1', 'V2') }),
  retryBudget,
})
export type TrafficPolicy = Infer<typeof trafficPolicy>
export type PortTrafficPolicy = Infer<typeof portTrafficPolicy>
export type LoadBalancer = Infer<typeof loadBalancer>
export type ConnectionPoolSettings = Infer<typeof connectionPool>
export type OutlierDetectionSettings = Infer<typeof outlierDetection>
