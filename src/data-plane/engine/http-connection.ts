// The HTTP connection manager, compiled: which filters stand in a request's way, and what headers say of its sender.
// Law: an HTTP filter that is not known is an error that names it.
import { compileAccessLogs, type AccessLog } from './access-log.ts'
import { compileFilterState, filterStateUrl } from './filter-state.ts'
import { compileJwt, jwtType, type JwtAuthn } from './jwt.ts'
import { durationMs, fields, type Notes } from './notes.ts'
import { compileHttpRbac, httpRbacType, type Rbac } from './rbac.ts'
import { compileRouteTable, type RuntimeRoutes } from './routes.ts'
import type { Message } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { HttpConnectionManager, HttpFilter } from '../../../generated/types/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'

export interface HttpConnection {
  readonly kind: 'http'
  readonly codec: 'AUTO' | 'HTTP1' | 'HTTP2'
  readonly statPrefix: string
  readonly routes: { readonly rds: string } | { readonly inline: RuntimeRoutes }
  readonly rbac: readonly { readonly name: string; readonly rbac: Rbac }[]
  /** Tokens of end users; asked before the policies. */
  readonly jwt?: JwtAuthn
  /** ALPN that upstream connections offer, set by a filter for all routes. */
  readonly upstreamAlpn?: readonly string[]
  readonly clientCert: 'SANITIZE' | 'FORWARD_ONLY' | 'APPEND_FORWARD' | 'SANITIZE_SET' | 'ALWAYS_FORWARD_ONLY'
  readonly clientCertDetails: { readonly subject: boolean; readonly dns: boolean; readonly uri: boolean; readonly cert: boolean; readonly chain: boolean }
  readonly serverName: string
  readonly serverHeader: 'OVERWRITE' | 'APPEND_IF_ABSENT' | 'PASS_THROUGH'
  /** The peer's address counts, whatever X-Forwarded-For says. */
  readonly useRemoteAddress: boolean
  /** Trusted proxies at the end of X-Forwarded-For. */
  readonly trustedHops: number
  readonly generateRequestId: boolean
  readonly proxy100Continue: boolean
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  /** Of one HTTP/2 connection, at a time. */
  readonly maxStreams: number
  /** 0 = none. */
  readonly idleTimeoutMs: number
  readonly streamIdleTimeoutMs: number
  readonly requestTimeoutMs: number
  /** From the first byte of a request's head to its last; 0 = no limit; undefined = the sidecar's own limit. */
  readonly requestHeadersTimeoutMs?: number
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
  readonly escapedSlashes: 'KEEP' | 'REJECT' | 'REDIRECT' | 'FORWARD'
  readonly stripPort: 'no' | 'any' | 'matching'
  /** Lower case. */
  readonly upgrades: ReadonlySet<string>
  readonly accessLogs: readonly AccessLog[]
}

export const hcmType = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
const served = fields(`codec_type stat_prefix rds route_config http_filters common_http_protocol_options http_protocol_options http2_protocol_options server_name server_header_transformation
  max_request_headers_kb stream_idle_timeout request_timeout request_headers_timeout drain_timeout delayed_close_timeout access_log use_remote_address generate_request_id forward_client_cert_details
  set_current_client_cert_details proxy_100_continue upgrade_configs normalize_path merge_slashes path_with_escaped_slashes_action strip_matching_host_port strip_any_host_port
  stream_error_on_invalid_http_message skip_xff_append via path_normalization_options preserve_external_request_id always_set_request_id_in_response http_filters xff_num_trusted_hops`)
/** Filters whose work the proxy does anyway (telemetry, ALPN per request, peer metadata); Istio adds them to every chain. */
const builtIn = fields('istio.alpn istio.stats istio.metadata_exchange istio.peer_metadata envoy.filters.http.grpc_stats envoy.filters.http.upstream_codec')

export function compileHttpConnection(any: Any | undefined, notes: Notes): HttpConnection | undefined {
  const hcm = notes.unpack<HttpConnectionManager>(any, hcmType)
  if (hcm === undefined) return undefined
  notes.onlyServes(hcm, served)
  const specifier = hcm.routeSpecifier
  let routes: HttpConnection['routes'] = { rds: '' }
  if (specifier.case === 'rds') routes = { rds: specifier.value.routeConfigName }
  else if (specifier.case === 'routeConfig') routes = { inline: notes.at('route_config', () => compileRouteTable(specifier.value, notes)) }
  else notes.error(`route specifier ${specifier.case ?? 'is missing'}: not one of rds, route_config`)
  const filters = compileFilters(hcm.httpFilters, notes)
  const common = hcm.commonHttpProtocolOptions
  if (common !== undefined) notes.onlyServes(common, fields('idle_timeout max_headers_count'))
  const { http2ProtocolOptions: http2 } = hcm
  if (http2 !== undefined) notes.at('http2_protocol_options', () => notes.onlyServes(http2, fields('max_concurrent_streams')))
  if (hcm.httpProtocolOptions?.acceptHttp10 === true) notes.notServed('http_protocol_options.accept_http_10')
  return {
    kind: 'http',
    codec: hcm.codecType === 1 ? 'HTTP1' : hcm.codecType === 2 ? 'HTTP2' : 'AUTO',
    statPrefix: hcm.statPrefix,
    routes,
    ...filters,
    clientCert: (['SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY'] as const)[hcm.forwardClientCertDetails] ?? 'SANITIZE',
    clientCertDetails: {
      subject: hcm.setCurrentClientCertDetails?.subject ?? false,
      dns: hcm.setCurrentClientCertDetails?.dns ?? false,
      uri: hcm.setCurrentClientCertDetails?.uri ?? false,
      cert: hcm.setCurrentClientCertDetails?.cert ?? false,
      chain: hcm.setCurrentClientCertDetails?.chain ?? false,
    },
    serverName: hcm.serverName === '' ? 'envoy' : hcm.serverName,
    serverHeader: (['OVERWRITE', 'APPEND_IF_ABSENT', 'PASS_THROUGH'] as const)[hcm.serverHeaderTransformation] ?? 'OVERWRITE',
    useRemoteAddress: hcm.useRemoteAddress ?? false,
    trustedHops: hcm.xffNumTrustedHops,
    generateRequestId: hcm.generateRequestId ?? true,
    proxy100Continue: hcm.proxy100Continue,
    maxHeaderBytes: (hcm.maxRequestHeadersKb ?? 60) * 1024,
    maxHeaders: common?.maxHeadersCount ?? 100,
    // Envoy's own default, since 1.35.
    maxStreams: hcm.http2ProtocolOptions?.maxConcurrentStreams ?? 1024,
    idleTimeoutMs: durationMs(common?.idleTimeout, 3_600_000),
    streamIdleTimeoutMs: durationMs(hcm.streamIdleTimeout, 300_000),
    requestTimeoutMs: durationMs(hcm.requestTimeout, 0),
    ...(hcm.requestHeadersTimeout === undefined ? {} : { requestHeadersTimeoutMs: durationMs(hcm.requestHeadersTimeout, 0) }),
    normalizePath: hcm.normalizePath ?? false,
    mergeSlashes: hcm.mergeSlashes,
    escapedSlashes: (['KEEP', 'KEEP', 'REJECT', 'REDIRECT', 'FORWARD'] as const)[hcm.pathWithEscapedSlashesAction] ?? 'KEEP',
    stripPort: hcm.stripPortMode.value === true ? 'any' : hcm.stripMatchingHostPort ? 'matching' : 'no',
    upgrades: new Set(hcm.upgradeConfigs.filter((u) => u.enabled !== false).map((u) => u.upgradeType.toLowerCase())),
    accessLogs: compileAccessLogs(hcm.accessLog, notes),
  }
}

function compileFilters(filters: readonly HttpFilter[], notes: Notes): Pick<HttpConnection, 'rbac' | 'jwt' | 'upstreamAlpn'> {
  const rbac: { name: string; rbac: Rbac }[] = []
  let upstreamAlpn: readonly string[] | undefined
  let jwt: JwtAuthn | undefined
  filters.forEach((filter, i) =>
    notes.at(`http_filters[${i}]`, () => {
      const config = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined
      const type = config?.typeUrl.split('/').at(-1) ?? ''
      if (filter.disabled) return
      if (config?.typeUrl === filterStateUrl) upstreamAlpn = compileFilterState(config, notes) ?? upstreamAlpn
      else if (type === jwtType) {
        // Policies read what tokens say.
        if (rbac.length > 0 || jwt !== undefined) notes.error('jwt_authn is understood once, before every RBAC filter')
        jwt = compileJwt(config, notes)
      } else if (type === httpRbacType) {
        const compiled = compileHttpRbac(config, notes)
        if (compiled !== undefined) rbac.push({ name: filter.name, rbac: compiled })
      } else if (type === 'envoy.extensions.filters.http.router.v3.Router' || (filter.name === 'envoy.filters.http.router' && config === undefined)) {
        if (i !== filters.length - 1) notes.error('the router is not the last HTTP filter')
      } else if (builtIn.has(filter.name)) return
      else if (passive.has(type)) passiveFilter(config, type, notes)
      else if (filter.isOptional) notes.notServed(`optional HTTP filter ${filter.name} (${type})`)
      else notes.error(`unknown HTTP filter ${filter.name} (${type})`)
    }),
  )
  if (filters.length === 0) notes.error('no HTTP filter, not even a router')
  return { rbac, ...(jwt === undefined ? {} : { jwt }), ...(upstreamAlpn === undefined ? {} : { upstreamAlpn }) }
}

// Without per-route config these do nothing; a route that configures one is named there.
const passive = fields('envoy.extensions.filters.http.fault.v3.HTTPFault envoy.extensions.filters.http.cors.v3.Cors')

function passiveFilter(config: Any | undefined, type: string, notes: Notes): void {
  const found = notes.unpack<Message>(config, type)
  if (found !== undefined) notes.onlyServes(found, fields(''))
}
