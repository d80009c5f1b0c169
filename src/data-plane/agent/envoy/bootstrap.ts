// Envoy's bootstrap for a sidecar: configuration by delta ADS straight from the control plane over mTLS, secrets by SDS from the agent.
// Law: pure; no secret in it, so that it may lie in a file.
import type { XdsNode } from '#xds'

export interface BootstrapPlaces {
  readonly node: XdsNode
  /** `ip:port` of the control plane, and the name that its certificate must have. */
  readonly discoveryAddress: string
  readonly discoveryName: string
  /** Unix socket of the agent's SDS. */
  readonly secretsSocket: string
  /** On loopback. */
  readonly adminPort: number
  readonly prometheusPort: number
  /** SO_MARK of Envoy's own connections, so that interception leaves them alone. */
  readonly mark?: number
}

const solSocket = 1
const soMark = 36

const socketAddress = (address: string, port: number): object => ({ socket_address: { address, port_value: port } })
const http2 = (common: object = {}): object => ({ 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', ...common, explicit_http_config: { http2_protocol_options: {} } } })
/** The control plane ends a stream with the certificate that opened it: the next one must not come over the same connection, which would show the same certificate. */
const oneStream = { common_http_protocol_options: { max_requests_per_connection: 1 } }
const secret = (name: string): object => ({
  name, sds_config: { api_config_source: { api_type: 'GRPC', transport_api_version: 'V3', set_node_on_first_message_only: true, grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }] }, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
})
const cluster = (name: string, address: object): object => ({ name, type: 'STATIC', connect_timeout: '1s', load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] } })

/** As JSON with protobuf's field names. */
export function envoyBootstrap(p: BootstrapPlaces): object {
  const [, host = '', port = ''] = /^\[?([^\]]*)\]?:(\d+)$/.exec(p.discoveryAddress) ?? []
  const fromAds = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }
  const controlPlaneTls = {
    name: 'tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', sni: p.discoveryName,
      common_tls_context: {
        alpn_protocols: ['h2'], tls_params: { tls_minimum_protocol_version: 'TLSv1_2' }, tls_certificate_sds_secret_configs: [secret('default')],
        combined_validation_context: { default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: p.discoveryName } }] }, validation_context_sds_secret_config: secret('ROOTCA') },
      },
    },
  }
  return {
    node: p.node,
    admin: { address: socketAddress('127.0.0.1', p.adminPort) },
    // Envoy's own limit is 100, beyond which it refuses a whole table of routes; this is Istio's. Users' expressions are bounded where they are validated.
    layered_runtime: { layers: [{ name: 'limits', static_layer: { 're2.max_program_size.error_level': 32_768 } }, { name: 'admin', admin_layer: {} }] },
    ...(p.mark === undefined ? {} : { cluster_manager: { upstream_bind_config: { socket_options: [{ description: 'SO_MARK', level: solSocket, name: soMark, int_value: p.mark, state: 'STATE_PREBIND' }] } } }),
    dynamic_resources: { lds_config: fromAds, cds_config: fromAds, ads_config: { api_type: 'DELTA_GRPC', transport_api_version: 'V3', set_node_on_first_message_only: true, grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }] } },
    static_resources: {
      clusters: [
        { ...cluster('sds-grpc', { pipe: { path: p.secretsSocket } }), typed_extension_protocol_options: http2() },
        { ...cluster('xds-grpc', socketAddress(host, Number(port))), typed_extension_protocol_options: http2(oneStream), transport_socket: controlPlaneTls, upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } } },
        cluster('prometheus_stats', socketAddress('127.0.0.1', p.adminPort)),
      ],
      listeners: [prometheusListener(p.prometheusPort)],
    },
  }
}

/** Envoy's metrics, and nothing else of its admin port, for whoever scrapes. */
function prometheusListener(port: number): object {
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', stat_prefix: 'stats',
    route_config: { virtual_hosts: [{ name: 'backend', domains: ['*'], routes: [{ match: { path: '/stats/prometheus' }, route: { cluster: 'prometheus_stats' } }] }] },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }],
  }
  return { name: 'prometheus', address: socketAddress('0.0.0.0', port), filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }] }
}
