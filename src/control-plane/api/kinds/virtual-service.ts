// https://istio.io/latest/docs/reference/config/networking/virtual-service/
import { boolean, duration, int32, list, map, nullable, number, object, oneOf, required, string, uint32, type Infer } from '../schema.ts'
import { port } from './traffic-policy.ts'

const strings = () => list(string())
const base64 = '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
export const stringMatch = object({ exact: string(), prefix: string(), regex: string() }, ['exact', 'prefix', 'regex'])
export type StringMatchSpec = Infer<typeof stringMatch>

export const destination = required(object({ host: string(), subset: string(), port }), 'host')
const headerOperations = object({ set: map(string()), add: map(string()), remove: strings() })
const headers = object({ request: headerOperations, response: headerOperations })
const percent = object({ value: number() })

export const httpMatch = object({
  name: string(), uri: stringMatch, scheme: stringMatch, method: stringMatch, authority: stringMatch, headers: map(stringMatch), port: uint32(), sourceLabels: map(string()), gateways: strings(),
  queryParams: map(stringMatch), ignoreUriCase: boolean(), withoutHeaders: map(stringMatch), sourceNamespace: string(), statPrefix: string(),
})
export type HttpMatchSpec = Infer<typeof httpMatch>

const httpDestination = required(object({ destination, weight: int32(), headers }), 'destination')
export type HttpDestinationSpec = Infer<typeof httpDestination>

const redirect = object({ uri: string(), authority: string(), port: uint32(), derivePort: oneOf('FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'), scheme: string(), redirectCode: uint32(), prefixRewrite: string() }, ['port', 'derivePort'])
const retries = object({
  attempts: int32(), perTryTimeout: duration(), retryOn: string(), retryRemoteLocalities: nullable(boolean()), retryIgnorePreviousHosts: nullable(boolean()), backoff: duration(),
})
export const httpRetry = retries
export const cors = object({
  allowOrigin: strings(), allowOrigins: list(stringMatch), allowMethods: strings(), allowHeaders: strings(), exposeHeaders: strings(), maxAge: duration(), allowCredentials: nullable(boolean()),
  unmatchedPreflights: oneOf('UNSPECIFIED', 'FORWARD', 'IGNORE'),
})
const fault = object({
  delay: object({ percent: int32(), fixedDelay: duration(), exponentialDelay: duration(), percentage: percent }, ['fixedDelay', 'exponentialDelay']),
  abort: object({ httpStatus: int32(), grpcStatus: string(), http2Error: string(), percentage: percent }, ['httpStatus', 'grpcStatus', 'http2Error']),
})

export const httpRoute = object({
  name: string(), match: list(httpMatch), route: list(httpDestination), redirect,
  directResponse: required(object({ status: uint32(), body: object({ string: string(), bytes: string({ pattern: base64 }) }, ['string', 'bytes']) }), 'status'),
  delegate: object({ name: string(), namespace: string() }),
  rewrite: object({ uri: string(), authority: string(), uriRegexRewrite: object({ match: string(), rewrite: string() }) }),
  timeout: duration(), retries, fault, mirror: destination, mirrors: list(required(object({ destination, percentage: percent }), 'destination')), mirrorPercent: nullable(uint32()), mirror_percent: nullable(uint32()), mirrorPercentage: percent,
  corsPolicy: cors, headers,
})
export type HttpRouteSpec = Infer<typeof httpRoute>

const l4Destination = required(object({ destination, weight: int32() }), 'destination')
const tlsMatch = required(object({ sniHosts: strings(), destinationSubnets: strings(), port: uint32(), sourceLabels: map(string()), gateways: strings(), sourceNamespace: string() }), 'sniHosts')
const tcpMatch = object({ destinationSubnets: strings(), port: uint32(), sourceSubnet: string(), sourceLabels: map(string()), gateways: strings(), sourceNamespace: string() })
const tlsRoute = required(object({ match: list(tlsMatch), route: list(l4Destination) }), 'match')
const tcpRoute = object({ match: list(tcpMatch), route: list(l4Destination) })
export type TlsRouteSpec = Infer<typeof tlsRoute>
export type TcpRouteSpec = Infer<typeof tcpRoute>
export type L4MatchSpec = Infer<typeof tlsMatch> & Infer<typeof tcpMatch>
export type L4DestinationSpec = Infer<typeof l4Destination>

export const virtualService = object({ hosts: strings(), gateways: strings(), http: list(httpRoute), tls: list(tlsRoute), tcp: list(tcpRoute), exportTo: strings() })
export type VirtualServiceSpec = Infer<typeof virtualService>
