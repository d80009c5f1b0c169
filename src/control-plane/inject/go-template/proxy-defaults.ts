// Istio's defaults of a ProxyConfig: templates read them, and what equals them is left out where one is written. Istio: pkg/config/mesh/mesh.go, DefaultProxyConfig.
export const proxyDefaults: Readonly<Record<string, unknown>> = {
  configPath: './etc/istio/proxy', binaryPath: '/usr/local/bin/envoy', statusPort: 15020, proxyAdminPort: 15000, statNameLength: 189, drainDuration: '45s', terminationDrainDuration: '5s', interceptionMode: 'REDIRECT', controlPlaneAuthPolicy: 'MUTUAL_TLS',
  discoveryAddress: 'istiod.istio-system.svc:15012', serviceCluster: 'istio-proxy', concurrency: 0,
}
