// Envoy v3 resources in Istio's shape, written by hand: what the data plane must serve whoever sends it.
import { fromJson, type JsonObject, type JsonValue, type Message } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import type { CompileInput } from '#engine'
import { message, registry } from '#proto'

const t = (name: string) => `type.googleapis.com/envoy.${name}`

/** A resource from its JSON form. */
export function resource(kind: 'listener' | 'cluster' | 'route' | 'endpoint', json: JsonObject): CompileInput {
  const type = { listener: 'config.listener.v3.Listener', cluster: 'config.cluster.v3.Cluster', route: 'config.route.v3.RouteConfiguration', endpoint: 'config.endpoint.v3.ClusterLoadAssignment' }[kind]
  const schema = message<Message>(`envoy.${type}`)
  const any = anyPack(schema, fromJson(schema, json, { registry }))
  return { type: t(type), name: String(json['name'] ?? json['clusterName']), any }
}

export const accessLog: JsonValue = [{ name: 'envoy.access_loggers.file', typedConfig: { '@type': t('extensions.access_loggers.file.v3.FileAccessLog'), path: '/dev/stdout' } }]

export function address(ip: string, port: number): JsonObject {
  return { socketAddress: { address: ip, portValue: port } }
}

const router: JsonObject = { name: 'envoy.filters.http.router', typedConfig: { '@type': t('extensions.filters.http.router.v3.Router') } }
const filterStateType = t('extensions.filters.http.set_filter_state.v3.Config')
const alpnFilter: JsonObject = { name: 'envoy.filters.http.set_filter_state', typedConfig: { '@type': filterStateType } }

const alpnOf = (names: string): JsonObject => ({
  'envoy.filters.http.set_filter_state': {
    '@type': filterStateType,
    onRequestHeaders: [{ objectKey: 'envoy.network.application_protocols', formatString: { textFormatSource: { inlineString: names } }, sharedWithUpstream: 'ONCE' }],
  },
})

/** What a route to an mTLS cluster carries: the ALPN names of HTTP over mesh mTLS. */
export const istioHttpAlpn: JsonObject = alpnOf('istio-http/1.1,istio,http/1.1')
export const istioH2Alpn: JsonObject = alpnOf('istio-h2,istio,h2')
/** The client's protocol decides: no name that a server would take, so that the first bytes tell. */
export const istioDownstreamAlpn: JsonObject = alpnOf('istio-http/1.1,istio')

export type HttpKind = 'http1' | 'http2' | 'downstream'

/** Which HTTP a cluster speaks, as Istio's clusters say it. */
export function httpOptions(kind: HttpKind, http2: JsonObject = {}, common?: JsonObject): JsonObject {
  const how = { http1: { explicitHttpConfig: { httpProtocolOptions: {} } }, http2: { explicitHttpConfig: { http2ProtocolOptions: http2 } }, downstream: { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: http2 } } }[kind]
  const type = 'extensions.upstreams.http.v3.HttpProtocolOptions'
  return { typedExtensionProtocolOptions: { [`envoy.${type}`]: { '@type': t(type), ...how, ...(common === undefined ? {} : { commonHttpProtocolOptions: common }) } } }
}

export function hcm(more: JsonObject, inbound: boolean): JsonObject {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: {
      '@type': t('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      statPrefix: inbound ? 'inbound' : 'outbound',
      httpFilters: inbound ? [router] : [alpnFilter, router],
      useRemoteAddress: false,
      generateRequestId: true,
      normalizePath: true,
      proxy100Continue: true,
      streamIdleTimeout: '0s',
      upgradeConfigs: [{ upgradeType: 'websocket' }],
      accessLog,
      ...(inbound ? { serverName: 'istio-envoy', forwardClientCertDetails: 'APPEND_FORWARD', setCurrentClientCertDetails: { subject: true, dns: true, uri: true } } : {}),
      ...more,
    },
  }
}

export function tcpProxy(cluster: string): JsonObject {
  return { name: 'envoy.filters.network.tcp_proxy', typedConfig: { '@type': t('extensions.filters.network.tcp_proxy.v3.TcpProxy'), statPrefix: cluster, cluster, accessLog } }
}

const sds = (name: string): JsonObject => ({ name, sdsConfig: { ads: {}, resourceApiVersion: 'V3' } })

export function downstreamTls(alpn: readonly string[], trustDomain = 'cluster.local'): JsonObject {
  return {
    name: 'envoy.transport_sockets.tls',
    typedConfig: {
      '@type': t('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
      requireClientCertificate: true,
      commonTlsContext: {
        tlsParams: { tlsMinimumProtocolVersion: 'TLSv1_2', tlsMaximumProtocolVersion: 'TLSv1_3' },
        alpnProtocols: [...alpn],
        tlsCertificateSdsSecretConfigs: [sds('default')],
        combinedValidationContext: {
          defaultValidationContext: { matchTypedSubjectAltNames: [{ sanType: 'URI', matcher: { prefix: `spiffe://${trustDomain}/` } }] },
          validationContextSdsSecretConfig: sds('ROOTCA'),
        },
      },
    },
  }
}

export function upstreamMtls(sni: string, sans: readonly string[], alpn: readonly string[] = ['istio']): JsonObject {
  return {
    name: 'envoy.transport_sockets.tls',
    typedConfig: {
      '@type': t('extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
      sni,
      commonTlsContext: {
        alpnProtocols: [...alpn],
        tlsCertificateSdsSecretConfigs: [sds('default')],
        combinedValidationContext: {
          defaultValidationContext: { matchTypedSubjectAltNames: sans.map((exact) => ({ sanType: 'URI', matcher: { exact } })) },
          validationContextSdsSecretConfig: sds('ROOTCA'),
        },
      },
    },
  }
}

export const rawBuffer: JsonObject = { name: 'envoy.transport_sockets.raw_buffer', typedConfig: { '@type': t('extensions.transport_sockets.raw_buffer.v3.RawBuffer') } }

export const unlimited: JsonObject = { thresholds: [{ maxConnections: 4294967295, maxPendingRequests: 4294967295, maxRequests: 4294967295, maxRetries: 4294967295 }] }

export function originalDst(name: string, bindAddress?: string, http: HttpKind = 'http1'): CompileInput {
  return resource('cluster', {
    name,
    type: 'ORIGINAL_DST',
    lbPolicy: 'CLUSTER_PROVIDED',
    connectTimeout: '5s',
    circuitBreakers: unlimited,
    ...httpOptions(http),
    ...(bindAddress === undefined ? {} : { upstreamBindConfig: { sourceAddress: { address: bindAddress, portValue: 0 } } }),
  })
}

const aHttp = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2']
const aTcp = ['istio-peer-exchange', 'istio']
const pHttp = ['http/1.1', 'h2c']

export type Mode = 'STRICT' | 'PERMISSIVE' | 'DISABLE'
export type PortKind = 'http' | 'tcp' | 'auto'

/** The inbound chains of one port (null: every other port), as Istio makes them. */
export function inboundChains(port: number | null, kind: PortKind, mode: Mode, cluster: string): JsonObject[] {
  const route = { name: cluster, virtualHosts: [{ name: 'inbound|http', domains: ['*'], routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster, timeout: '0s' } }] }] }
  const metadata = { filterMetadata: { kith: { rule: 'mtls.namespace', source: `PeerAuthentication foo/default (${mode})` } } }
  const make = (match: JsonObject, what: 'http' | 'tcp', tls: boolean): JsonObject => ({
    name: `${cluster}_${what}`,
    metadata,
    filterChainMatch: { ...(port === null ? {} : { destinationPort: port }), ...match },
    filters: [what === 'http' ? hcm({ routeConfig: route as JsonValue }, true) : tcpProxy(cluster)],
    ...(tls ? { transportSocket: downstreamTls(what === 'http' ? ['h2', 'http/1.1'] : ['istio-peer-exchange', 'h2', 'http/1.1']) } : {}),
  })
  const tls = (alpn?: readonly string[]): JsonObject => ({ transportProtocol: 'tls', ...(alpn === undefined ? {} : { applicationProtocols: [...alpn] }) })
  const raw = (alpn?: readonly string[]): JsonObject => ({ transportProtocol: 'raw_buffer', ...(alpn === undefined ? {} : { applicationProtocols: [...alpn] }) })
  const all = [...aTcp, ...aHttp]
  if (mode === 'STRICT') {
    if (kind === 'auto') return [make(tls(aHttp), 'http', true), make(tls(), 'tcp', true)]
    return [make(tls(), kind, true)]
  }
  if (mode === 'DISABLE') {
    if (kind === 'auto') return [make(raw(pHttp), 'http', false), make(raw(), 'tcp', false)]
    return [make(raw(), kind, false)]
  }
  if (kind === 'http') return [make(tls(all), 'http', true), make(raw(), 'http', false)]
  if (kind === 'tcp') return [make(tls(all), 'tcp', true), make(tls(), 'tcp', false), make(raw(), 'tcp', false)]
  return [make(tls(aHttp), 'http', true), make(raw(pHttp), 'http', false), make(tls(aTcp), 'tcp', true), make(raw(), 'tcp', false), make(tls(), 'tcp', false)]
}

export interface InboundSpec {
  readonly port: number
  readonly kind: PortKind
  readonly mode: Mode
  /** What the application speaks; HTTP/1.1 where absent. */
  readonly http?: HttpKind
}

export function inboundResources(ports: readonly InboundSpec[], passthrough: Mode): CompileInput[] {
  const chains = [...ports.flatMap((p) => inboundChains(p.port, p.kind, p.mode, `inbound|${p.port}||`)), ...inboundChains(null, 'auto', passthrough, 'InboundPassthroughCluster')]
  // As Istio: an inspector looks only where a chain asks for what it finds out.
  const range = (p: InboundSpec): JsonObject => ({ destinationPortRange: { start: p.port, end: p.port + 1 } })
  const any = (list: readonly JsonObject[]): JsonObject => (list.length === 1 ? (list[0] as JsonObject) : { orMatch: { rules: [...list] } })
  const inspector = (name: string, type: string, asks: (p: { kind: PortKind; mode: Mode }) => boolean): JsonObject[] => {
    const asking = ports.filter(asks)
    const silent = ports.filter((p) => !asks(p))
    const rest = asks({ kind: 'auto', mode: passthrough })
    if (!rest && asking.length === 0) return []
    const disabled = rest ? (silent.length === 0 ? undefined : any(silent.map(range))) : { notMatch: any(asking.map(range)) }
    return [{ name: `envoy.filters.listener.${name}`, typedConfig: { '@type': t(`extensions.filters.listener.${name}.v3.${type}`) }, ...(disabled === undefined ? {} : { filterDisabled: disabled }) }]
  }
  return [
    resource('listener', {
      name: 'virtualInbound',
      address: address('0.0.0.0', 15006),
      trafficDirection: 'INBOUND',
      filterChains: [
        { name: 'virtualInbound-blackhole', filterChainMatch: { destinationPort: 15006 }, filters: [tcpProxy('BlackHoleCluster')] },
        ...chains,
      ],
      listenerFilters: [
        { name: 'envoy.filters.listener.original_dst', typedConfig: { '@type': t('extensions.filters.listener.original_dst.v3.OriginalDst') } },
        ...inspector('tls_inspector', 'TlsInspector', (p) => p.mode !== 'DISABLE'),
        ...inspector('http_inspector', 'HttpInspector', (p) => p.kind === 'auto' && p.mode !== 'STRICT'),
      ],
      listenerFiltersTimeout: '0s',
      continueOnListenerFiltersTimeout: true,
    }),
    ...ports.map((p) => originalDst(`inbound|${p.port}||`, '127.0.0.6', p.http)),
    originalDst('InboundPassthroughCluster', '127.0.0.6'),
    resource('cluster', { name: 'BlackHoleCluster', type: 'STATIC', connectTimeout: '5s' }),
  ]
}

export interface OutboundSpec {
  readonly port: number
  readonly kind: 'http' | 'tcp'
  /** Virtual IP; TCP listeners stand there. */
  readonly vip: string
  readonly host: string
  readonly endpoints: readonly { readonly ip: string; readonly port: number; readonly mtls: boolean }[]
  readonly sans: readonly string[]
  /** undefined: by endpoint. */
  readonly socket?: JsonObject
  readonly cluster?: JsonObject
  readonly routes?: JsonValue
}

export function outboundResources(specs: readonly OutboundSpec[]): CompileInput[] {
  const out: CompileInput[] = [
    resource('listener', {
      name: 'virtualOutbound',
      address: address('0.0.0.0', 15001),
      trafficDirection: 'OUTBOUND',
      useOriginalDst: true,
      filterChains: [
        { name: 'virtualOutbound-trafficloop', filterChainMatch: { destinationPort: 15001 }, filters: [tcpProxy('BlackHoleCluster')] },
        { name: 'virtualOutbound-catchall-tcp', filters: [tcpProxy('PassthroughCluster')] },
      ],
    }),
    originalDst('PassthroughCluster'),
    resource('cluster', { name: 'BlackHoleCluster', type: 'STATIC', connectTimeout: '5s' }),
  ]
  for (const spec of specs) out.push(...outboundService(spec))
  const http = new Map<number, OutboundSpec[]>()
  for (const s of specs) if (s.kind === 'http') http.set(s.port, [...(http.get(s.port) ?? []), s])
  for (const [port, services] of http) {
    out.push(
      resource('listener', {
        name: `0.0.0.0_${port}`,
        address: address('0.0.0.0', port),
        bindToPort: false,
        trafficDirection: 'OUTBOUND',
        defaultFilterChain: { filters: [hcm({ rds: { routeConfigName: String(port), configSource: { ads: {}, resourceApiVersion: 'V3' } } }, false)] },
      }),
      resource('route', {
        name: String(port),
        ignorePortInHostMatching: true,
        validateClusters: false,
        virtualHosts: [
          ...services.map((s): JsonObject => ({
            name: `${s.host}:${port}`,
            domains: [s.host, s.host.split('.').slice(0, 2).join('.'), s.vip],
            includeRequestAttemptCount: true,
            routes: s.routes ?? [{ name: 'default', match: { prefix: '/' }, route: { cluster: clusterName(s), timeout: '0s' }, typedPerFilterConfig: istioHttpAlpn }],
          })),
          { name: 'allow_any', domains: ['*'], routes: [{ name: 'allow_any', match: { prefix: '/' }, route: { cluster: 'PassthroughCluster', timeout: '0s' } }] },
        ],
      }),
    )
  }
  return out
}

export function clusterName(spec: Pick<OutboundSpec, 'port' | 'host'>): string {
  return `outbound|${spec.port}||${spec.host}`
}

function outboundService(spec: OutboundSpec): CompileInput[] {
  const name = clusterName(spec)
  const tls = upstreamMtls(`outbound_.${spec.port}_._.${spec.host}`, spec.sans)
  return [
    ...(spec.kind === 'tcp'
      ? [resource('listener', { name: `${spec.vip}_${spec.port}`, address: address(spec.vip, spec.port), bindToPort: false, trafficDirection: 'OUTBOUND', filterChains: [{ filters: [tcpProxy(name)] }] })]
      : []),
    resource('cluster', {
      name,
      type: 'EDS',
      edsClusterConfig: { edsConfig: { ads: {}, resourceApiVersion: 'V3' }, serviceName: name },
      connectTimeout: '5s',
      lbPolicy: 'LEAST_REQUEST',
      circuitBreakers: unlimited,
      ...(spec.socket === undefined
        ? { transportSocketMatches: [{ name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: tls }, { name: 'tlsMode-disabled', match: {}, transportSocket: rawBuffer }] }
        : { transportSocket: spec.socket }),
      ...spec.cluster,
    }),
    resource('endpoint', {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: spec.endpoints.map((e): JsonObject => ({
            endpoint: { address: address(e.ip, e.port) },
            metadata: { filterMetadata: { ...(e.mtls ? { 'envoy.transport_socket_match': { tlsMode: 'istio' } } : {}), istio: { workload: 'httpbin;bar;httpbin;v1;Kubernetes' } } },
          })),
        },
      ],
    }),
  ]
}
