// The HTTP connection manager and its filters: ONE ordered array.
import { basePaths, type MeshSettings } from '#plan'
import { accessLogs } from './access-log.ts'
import { some, typed, type Json, type Obj } from './json.ts'

const filterType = 'envoy.extensions.filters.http'
const router: Obj = { name: 'envoy.filters.http.router', typedConfig: typed(`${filterType}.router.v3.Router`) }
const cors: Obj = { name: 'envoy.filters.http.cors', typedConfig: typed(`${filterType}.cors.v3.Cors`) }
const fault: Obj = { name: 'envoy.filters.http.fault', typedConfig: typed(`${filterType}.fault.v3.HTTPFault`) }
const filterState: Obj = { name: 'envoy.filters.http.set_filter_state', typedConfig: typed(`${filterType}.set_filter_state.v3.Config`) }

/** Order is meaning: what shapes the upstream connection first, faults and CORS next, the router last. Each does nothing but where a route configures it. */
const outboundFilters: readonly Obj[] = [filterState, fault, cors, router]
const inboundFilters: readonly Obj[] = [router]

/**
 * What one request offers as ALPN upstream: the server's sidecar tells HTTP from other mesh traffic by it.
 * `downstream` (the client's protocol decides): names that no server negotiates, so that the first bytes tell the protocol.
 */
const istioAlpn = { http1: 'istio-http/1.1,istio,http/1.1', http2: 'istio-h2,istio,h2', downstream: 'istio-http/1.1,istio' } as const

/** Per-route config of the filter, for clusters that speak the mesh's TLS and no others: a server outside must not see the mesh's names. */
export function alpnOverride(http: keyof typeof istioAlpn): Obj {
  return {
    'envoy.filters.http.set_filter_state': typed(`${filterType}.set_filter_state.v3.Config`, {
      onRequestHeaders: [{ objectKey: 'envoy.network.application_protocols', formatString: { textFormatSource: { inlineString: istioAlpn[http] } }, sharedWithUpstream: 'ONCE' }],
    }),
  }
}

/** `routes`: `rds` or `routeConfig`. `access`: the filters that decide who may call, before all others. Inbound, the client's certificate is told to the application by X-Forwarded-Client-Cert; forged ones go. */
export function connectionManager(mesh: MeshSettings, side: 'inbound' | 'outbound', statPrefix: string, routes: Readonly<Record<string, Json>>, access: readonly Obj[] = []): Obj {
  const paths = mesh.paths ?? basePaths
  const forward: Obj = { forwardClientCertDetails: 'APPEND_FORWARD', setCurrentClientCertDetails: { subject: true, dns: true, uri: true }, serverName: 'istio-envoy' }
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', some({
      statPrefix, ...routes, httpFilters: [...access, ...(side === 'inbound' ? inboundFilters : outboundFilters)], accessLog: accessLogs(mesh),
      useRemoteAddress: false, generateRequestId: true, normalizePath: paths.normalizePath, mergeSlashes: paths.mergeSlashes ? true : undefined, pathWithEscapedSlashesAction: paths.escapedSlashes === 'FORWARD' ? 'UNESCAPE_AND_FORWARD' : 'KEEP_UNCHANGED', streamIdleTimeout: '0s', proxy100Continue: true,
      upgradeConfigs: [{ upgradeType: 'websocket' }], ...(side === 'inbound' ? forward : { serverName: 'envoy' }),
    })),
  }
}

export function tcpProxy(mesh: MeshSettings, statPrefix: string, target: Obj): Obj {
  return { name: 'envoy.filters.network.tcp_proxy', typedConfig: typed('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', some({ statPrefix, ...target, accessLog: accessLogs(mesh) })) }
}
