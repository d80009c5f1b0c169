// MeshConfig, as far as Kith reads it: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
import { any, boolean, duration, list, map, object, oneOf, string, uint32, type Infer } from '../schema.ts'
import { httpRetry } from './virtual-service.ts'
import { connectionPool, outlierDetection } from './traffic-policy.ts'

const strings = () => list(string())
export const meshConfig = object({
  rootNamespace: string(), enableAutoMtls: boolean(), trustDomain: string(), trustDomainAliases: strings(), accessLogFile: string(), accessLogFormat: string(), accessLogEncoding: oneOf('TEXT', 'JSON'),
  outboundTrafficPolicy: object({ mode: oneOf('REGISTRY_ONLY', 'ALLOW_ANY') }), inboundTrafficPolicy: object({ mode: oneOf('PASSTHROUGH', 'LOCALHOST') }),
  defaultDestinationRuleExportTo: strings(), defaultServiceExportTo: strings(), defaultVirtualServiceExportTo: strings(), connectTimeout: duration(0), protocolDetectionTimeout: duration(0),
  meshMTLS: object({ minProtocolVersion: oneOf('TLS_AUTO', 'TLSV1_2', 'TLSV1_3'), cipherSuites: strings(), ecdhCurves: strings() }),
  defaultHttpRetryPolicy: httpRetry, defaultTrafficPolicy: object({ connectionPool, outlierDetection }), caCertificates: list(object({ pem: string(), spiffeBundleUrl: string(), certSigners: strings(), trustDomains: strings() })),
  defaultConfig: any(), extensionProviders: list(any()), enableTracing: boolean(), localityLbSetting: any(), enablePrometheusMerge: boolean(), ingressClass: string(), ingressControllerMode: string(), ingressService: string(), ingressSelector: string(),
  discoverySelectors: list(any()), pathNormalization: object({ normalization: oneOf('DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES') }), dnsRefreshRate: duration(0), h2UpgradePolicy: string(), verifyCertificateAtClient: boolean(), tcpKeepalive: any(), proxyListenPort: uint32(), proxyInboundListenPort: uint32(),
  proxyHttpPort: uint32(), tlsDefaults: any(), defaultProviders: any(), serviceSettings: any(), configSources: any(), certificates: any(), disableEnvoyListenerLog: boolean(), enableEnvoyAccessLogService: boolean(), hboneIdleTimeout: duration(0),
  /** Kith's own switches (docs/compat.md). */
  compat: object({ autoMtls: oneOf('kith', 'istio'), clusterDomain: string(), foreignHosts: oneOf('warn', 'refuse') }),
  values: map(any()),
})
export type MeshConfigSpec = Infer<typeof meshConfig>
