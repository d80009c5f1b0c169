// The HTTP connection manager and its filters: ONE ordered array.
import type { MeshSettings } from '#plan'
import { accessLogs } from './access-log.ts'
import { some, typed, type Json, type Obj } from './json.ts'

/** Order is meaning: what shapes the upstream connection first, faults and CORS next, the router last. */
function outboundFilters(): Obj[] {
  return [
    { name: 'envoy.filters.http.set_filter_state', typedConfig: typed('envoy.extensions.filters.http.set_filter_state.v3.Config') },
    { name: 'envoy.filters.http.fault', typedConfig: typed('envoy.extensions.filters.http.fault.v3.HTTPFault') },
    { name: 'envoy.filters.http.cors', typedConfig: typed('envoy.extensions.filters.http.cors.v3.Cors') },
    router,
  ]
}
function inboundFilters(): Obj[] {
  return [{ name: 'envoy.filters.http.cors', typedConfig: typed('envoy.extensions.filters.http.cors.v3.Cors') }, router]
}
const router: Obj = { name: 'envoy.filters.http.router', typedConfig: typed('envoy.extensions.filters.http.router.v3.Router') }

/** What an HTTP request from a sidecar offers as ALPN: the server's sidecar tells mesh traffic by it. */
export const istioHttpAlpn = 'istio-http/1.1,istio,http/1.1'
export const alpnOverride: Obj = {
  'envoy.filters.http.set_filter_state': typed('envoy.extensions.filters.http.set_filter_state.v3.Config', {
    onRequestHeaders: [{ objectKey: 'envoy.network.application_protocols', formatString: { textFormatSource: { inlineString: istioHttpAlpn } }, sharedWithUpstream: 'ONCE' }],
  }),
}

export function connectionManager(mesh: MeshSettings, side: 'inbound' | 'outbound', statPrefix: string, routes: Readonly<Record<string, Json>>): Obj {
  const logs = accessLogs(mesh)
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', some({
      statPrefix, ...routes,
      httpFilters: side === 'inbound' ? inboundFilters() : outboundFilters(),
      accessLog: logs.length === 0 ? undefined : logs,
      useRemoteAddress: false, normalizePath: true, pathWithEscapedSlashesAction: 'KEEP_UNCHANGED', streamIdleTimeout: '0s', upgradeConfigs: [{ upgradeType: 'websocket' }],
      generateRequestId: true,
      ...(side === 'inbound' ? { forwardClientCertDetails: 'APPEND_FORWARD', setCurrentClientCertDetails: { subject: true, dns: true, uri: true }, serverName: 'istio-envoy' } : { serverName: 'envoy' }),
    })),
  }
}

export function tcpProxy(mesh: MeshSettings, statPrefix: string, target: Obj): Obj {
  const logs = accessLogs(mesh)
  return { name: 'envoy.filters.network.tcp_proxy', typedConfig: typed('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', some({ statPrefix, ...target, accessLog: logs.length === 0 ? undefined : logs })) }
}
