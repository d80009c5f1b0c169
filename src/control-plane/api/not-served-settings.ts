// Settings that are taken and change nothing: fields of meshConfig and of a pod's proxy configuration, the sidecar's environment, annotations and labels.
// One table each: a field or annotation of Istio's that is in none fails a test. true: it counts.
// https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/ · /docs/reference/config/annotations/ · /docs/reference/config/labels/
import { load } from 'js-yaml'
import type { Problem } from '#lib/problem.ts'
import { isRecord } from './decode-fields.ts'
import type { MeshConfigSpec } from './kinds/mesh-config.ts'
import { refTo, type ApiObject } from './object.ts'

type Serving = true | string

const noStats = 'the sidecar’s metrics keep their names, tags and buckets'
const noTrace = 'no traces are sent'
const noIngress = 'no ingress gateway is served, so nothing listens for Ingress objects'
const noAmbient = 'there is no ambient mode, so a pod without a sidecar gets no mutual TLS and no policies'
const noWaypoint = 'there are no waypoints'
const noLogService = 'no access log service is called'

export const meshConfigServing: Readonly<Record<keyof MeshConfigSpec, Serving>> = {
  rootNamespace: true, enableAutoMtls: true, pathNormalization: true, trustDomain: true, trustDomainAliases: true, accessLogFile: true, outboundTrafficPolicy: true, defaultDestinationRuleExportTo: true, defaultServiceExportTo: true,
  defaultVirtualServiceExportTo: true, connectTimeout: true, protocolDetectionTimeout: true, meshMTLS: true, defaultHttpRetryPolicy: true, defaultConfig: true, localityLbSetting: true, enablePrometheusMerge: true,
  discoverySelectors: true, compat: true,
  values: 'values of an installation stand in the injector’s ConfigMap, under its own key',
  accessLogFormat: 'lines of the access log have Kith’s own format', accessLogEncoding: 'the access log is text', inboundTrafficPolicy: 'what arrives goes on to the pod’s own address, whatever is set',
  defaultTrafficPolicy: 'connection pools and outlier detection are what each DestinationRule says', tcpKeepalive: 'connections are kept alive as each DestinationRule says', h2UpgradePolicy: 'HTTP/1.1 becomes HTTP/2 where a DestinationRule says so, and nowhere else',
  dnsRefreshRate: 'names are asked for again by the proxy’s own clock',
  caCertificates: 'sidecars trust the mesh’s own roots alone; to trust another root beside them, put it into root-cert.pem of the Secret cacerts',
  tlsDefaults: 'TLS outside the mesh keeps the proxy’s own versions and ciphers', verifyCertificateAtClient: 'a server outside the mesh is verified where its DestinationRule names whom to believe',
  extensionProviders: 'no tracing, access log or authorization service is called', enableTracing: noTrace, defaultProviders: 'no tracing, access log or authorization service is called',
  certificates: 'no certificates are made for names of your own', configSources: 'objects are read from the cluster’s API server, or from the files that were named',
  serviceSettings: 'every Service is the cluster’s own', proxyListenPort: 'sidecars listen on 15001', proxyInboundListenPort: 'sidecars listen on 15006', proxyHttpPort: 'there is no port for explicit HTTP proxying',
  ingressClass: noIngress, ingressControllerMode: noIngress, ingressService: noIngress, ingressSelector: noIngress,
  disableEnvoyListenerLog: 'connections that no chain takes are logged wherever accessLogFile is set', enableEnvoyAccessLogService: noLogService, hboneIdleTimeout: 'there is no HBONE',
}

/** Parts of fields that count otherwise. */
const meshConfigParts: Readonly<Record<string, Readonly<Record<string, string>>>> = { meshMTLS: { ecdhCurves: 'the proxy offers its own curves' } }

/** ProxyConfig, in meshConfig.defaultConfig and in a pod's `proxy.istio.io/config`. */
export const proxyConfigServing: Readonly<Record<string, Serving>> = {
  discoveryAddress: true, statusPort: true, terminationDrainDuration: true, interceptionMode: true, holdApplicationUntilProxyStarts: true, proxyMetadata: true,
  configPath: 'the sidecar keeps no configuration in files', binaryPath: 'the image’s own program is started', customConfigFile: 'the sidecar starts without it', proxyBootstrapTemplatePath: 'the sidecar starts without it',
  serviceCluster: 'the sidecar names itself after its workload', serviceNode: 'the sidecar names itself after its pod', availabilityZone: 'a pod’s locality is its node’s', meshId: 'the value global.meshID says it',
  concurrency: 'the sidecar works on one thread', proxyAdminPort: 'the admin page stands on 15000', drainDuration: 'terminationDrainDuration says how long', parentShutdownDuration: 'the sidecar is not restarted in place',
  discoveryRefreshDelay: 'changes are sent when they happen', controlPlaneAuthPolicy: 'the control plane is always asked over mutual TLS',
  fileFlushInterval: 'each line of the access log is written at once', fileFlushMinSizeKb: 'each line of the access log is written at once',
  statsdUdpAddress: noStats, envoyMetricsServiceAddress: noStats, envoyMetricsService: noStats, statNameLength: noStats, proxyStatsMatcher: noStats, extraStatTags: noStats,
  envoyAccessLogService: noLogService, zipkinAddress: noTrace, tracing: noTrace, runtimeValues: 'no Envoy reads them', sds: 'certificates come from the control plane', privateKeyProvider: 'keys stay in memory',
  gatewayTopology: 'it is for gateways, and no gateway is served', readinessProbe: 'the annotations readiness.status.sidecar.istio.io/… say it', image: 'the annotation sidecar.istio.io/proxyImageType says it',
  proxyHeaders: 'headers are as without it', caCertificatesPem: 'sidecars trust the mesh’s own roots alone',
}

/** Variables of the sidecar's environment that are Istio's and change something. The agent's own list agrees (a test). */
export const environmentServed: ReadonlySet<string> = new Set([
  'ISTIO_META_CLUSTER_ID', 'ISTIO_META_INTERCEPTION_MODE', 'ISTIO_META_MESH_ID', 'ISTIO_META_NETWORK', 'ISTIO_META_NODE_NAME', 'ISTIO_META_OWNER', 'ISTIO_META_WORKLOAD_NAME', 'ISTIO_META_POD_PORTS', 'ISTIO_META_APP_CONTAINERS',
  'SECRET_TTL', 'TERMINATION_DRAIN_DURATION_SECONDS', 'EXIT_ON_ZERO_ACTIVE_CONNECTIONS', 'MINIMUM_DRAIN_DURATION', 'CA_ADDR', 'TRUST_DOMAIN',
])

/** What else Istio's agent reads; ISTIO_META_… are more than can be listed. */
const environmentNotServed: Readonly<Record<string, string>> = {
  ISTIO_META_DNS_CAPTURE: 'the sidecar answers no DNS queries, so the cluster’s DNS alone resolves names',
  ISTIO_META_DNS_AUTO_ALLOCATE: 'no addresses are given to ServiceEntries', ISTIO_META_ENABLE_HBONE: 'there is no HBONE', ISTIO_META_HTTP10: 'HTTP/1.0 is not taken because of it',
  ISTIO_META_IDLE_TIMEOUT: 'idle connections end as DestinationRules say', ISTIO_META_UNPRIVILEGED_POD: 'ports below 1024 are not treated differently',
  DNS_PROXY_ADDR: 'the sidecar answers no DNS queries', PROXY_XDS_VIA_AGENT: 'the proxy asks the control plane itself', OUTPUT_CERTS: 'no certificates are written to files', PROV_CERT: 'the agent asks with its token',
  FILE_MOUNTED_CERTS: 'certificates come from the control plane', CA_PROVIDER: 'certificates come from the control plane', ECC_SIGNATURE_ALGORITHM: 'keys are P-256', ECC_CURVE: 'keys are P-256', WORKLOAD_RSA_KEY_SIZE: 'keys are P-256',
  PKCS8_KEY: 'keys stay in memory', GRPC_XDS_BOOTSTRAP: 'no bootstrap is written for proxyless gRPC', XDS_ROOT_CA: 'the control plane is known by the mounted roots', CA_ROOT_CA: 'the CA is known by the mounted roots',
  ISTIO_BOOTSTRAP_OVERRIDE: 'the sidecar starts without it', IPTABLES_TRACE_LOGGING: 'the rules are not traced', INVALID_DROP: 'packets that the kernel calls invalid pass', ISTIO_DUAL_STACK: 'the pod’s own address families count',
}

/** What does not happen by a variable of the sidecar's environment; undefined: it counts, or is nobody's business here. */
export function environmentEffect(name: string): string | undefined {
  if (environmentServed.has(name)) return undefined
  return environmentNotServed[name] ?? (name.startsWith('ISTIO_META_') ? 'nothing reads it' : undefined)
}

/** Annotations of Istio's. */
export const annotationServing: Readonly<Record<string, Serving>> = {
  'sidecar.istio.io/inject': true, 'sidecar.istio.io/status': true, 'istio.io/rev': true, 'galley.istio.io/analyze-suppress': true, 'istio.io/dry-run': true, 'networking.istio.io/exportTo': true, 'kubernetes.io/ingress.class': true,
  'prometheus.istio.io/merge-metrics': true, 'sidecar.istio.io/rewriteAppHTTPProbers': true, 'sidecar.istio.io/proxyImage': true, 'sidecar.istio.io/proxyImageType': true, 'sidecar.istio.io/proxyCPU': true,
  'sidecar.istio.io/proxyCPULimit': true, 'sidecar.istio.io/proxyMemory': true, 'sidecar.istio.io/proxyMemoryLimit': true, 'sidecar.istio.io/interceptionMode': true, 'sidecar.istio.io/userVolume': true,
  'sidecar.istio.io/userVolumeMount': true, 'sidecar.istio.io/logLevel': true, 'sidecar.istio.io/componentLogLevel': true, 'sidecar.istio.io/agentLogLevel': true, 'sidecar.istio.io/nativeSidecar': true,
  'status.sidecar.istio.io/port': true, 'readiness.status.sidecar.istio.io/initialDelaySeconds': true, 'readiness.status.sidecar.istio.io/periodSeconds': true, 'readiness.status.sidecar.istio.io/failureThreshold': true,
  'traffic.sidecar.istio.io/includeOutboundIPRanges': true, 'traffic.sidecar.istio.io/excludeOutboundIPRanges': true,
  'traffic.sidecar.istio.io/includeInboundPorts': true, 'traffic.sidecar.istio.io/excludeInboundPorts': true, 'traffic.sidecar.istio.io/includeOutboundPorts': true, 'traffic.sidecar.istio.io/excludeOutboundPorts': true,
  'traffic.sidecar.istio.io/excludeInterfaces': true, 'traffic.sidecar.istio.io/kubevirtInterfaces': true, 'istio.io/reroute-virtual-interfaces': true, 'proxy.istio.io/config': true, 'proxy.istio.io/overrides': true,
  'inject.istio.io/templates': true,
  'readiness.status.sidecar.istio.io/applicationPorts': 'the sidecar’s readiness asks no port of the application',
  'sidecar.istio.io/bootstrapOverride': 'it is mounted, but the sidecar does not read it', 'sidecar.istio.io/discoveryAddress': 'discoveryAddress in proxy.istio.io/config says it',
  'sidecar.istio.io/statsHistogramBuckets': noStats, 'sidecar.istio.io/statsHistogramBins': noStats, 'sidecar.istio.io/statsEvictionInterval': noStats, 'sidecar.istio.io/statsFlushInterval': noStats,
  'sidecar.istio.io/extraStatTags': noStats, 'sidecar.istio.io/statsCompression': noStats, 'sidecar.istio.io/statsInclusionPrefixes': noStats, 'sidecar.istio.io/statsInclusionSuffixes': noStats, 'sidecar.istio.io/statsInclusionRegexps': noStats,
  'ambient.istio.io/redirection': noAmbient, 'ambient.istio.io/dns-capture': noAmbient, 'ambient.istio.io/bypass-inbound-capture': noAmbient, 'ambient.istio.io/waypoint-inbound-binding': noWaypoint,
  'istio.io/use-waypoint-canary-weight': noWaypoint, 'gateway.istio.io/name-override': 'no gateway is made', 'gateway.istio.io/service-account': 'no gateway is made', 'networking.istio.io/service-type': 'no gateway is made',
  'traffic.istio.io/nodeSelector': 'it is for gateways of other networks, which are not served', 'networking.istio.io/traffic-distribution': 'localityLbSetting of a DestinationRule or of meshConfig says which endpoints come first',
  'topology.istio.io/controlPlaneClusters': 'there is one cluster', 'istio.io/autoRegistrationGroup': 'machines do not register themselves', 'istio.io/workloadController': 'machines do not register themselves', 'istio.io/connectedAt': 'machines do not register themselves',
  'istio.io/disconnectedAt': 'machines do not register themselves', 'alpha.istio.io/kubernetes-serviceaccounts': 'identities are those of the pods behind the Service', 'alpha.istio.io/canonical-serviceaccounts': 'identities are those of the pods behind the Service',
}

/** Labels of Istio's that change nothing. */
export const labelsNotServed: Readonly<Record<string, string>> = {
  'istio.io/dataplane-mode': noAmbient, 'istio.io/use-waypoint': noWaypoint, 'istio.io/use-waypoint-namespace': noWaypoint, 'istio.io/ingress-use-waypoint': noWaypoint, 'istio.io/waypoint-for': noWaypoint,
  'networking.istio.io/tunnel': 'there is no HBONE', 'networking.istio.io/enable-autoallocate-ip': 'no addresses are given to ServiceEntries',
}

export interface UnservedSetting {
  /** `meshMTLS.ecdhCurves`, `defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE` */
  readonly field: string
  readonly meaning: string
}

export function unservedMeshConfig(config: MeshConfigSpec): readonly UnservedSetting[] {
  const own = Object.entries(meshConfigServing).flatMap(([field, meaning]) => (meaning === true || isUsual(config[field as keyof MeshConfigSpec]) ? [] : [{ field, meaning }]))
  const parts = Object.entries(meshConfigParts).flatMap(([field, inside]) => {
    const value = config[field as keyof MeshConfigSpec]
    return Object.entries(inside).flatMap(([part, meaning]) => (isRecord(value) && !isUsual(value[part]) ? [{ field: `${field}.${part}`, meaning }] : []))
  })
  const { defaultConfig } = config
  return [...own, ...parts, ...(isRecord(defaultConfig) ? unservedProxyConfig(defaultConfig).map((s) => ({ ...s, field: `defaultConfig.${s.field}` })) : [])]
}

/** KITH0122, of the MeshConfig `istio`. */
export function unservedMeshConfigProblems(config: MeshConfigSpec): readonly Problem[] {
  return unservedMeshConfig(config).map(({ field, meaning }) => ({
    code: 'KITH0122', severity: 'warning' as const, ref: { kind: 'MeshConfig', namespace: 'istio-system', name: 'istio', path: field }, message: `${field} is not served by this mesh: ${meaning}`,
  }))
}

/** Field names in snake_case are the same fields. */
export function unservedProxyConfig(config: Readonly<Record<string, unknown>>): readonly UnservedSetting[] {
  return Object.entries(config).flatMap(([key, value]): UnservedSetting[] => {
    const name = key.replaceAll(/_([a-z0-9])/g, (_m, c: string) => c.toUpperCase())
    if (name === 'proxyMetadata') {
      return Object.keys(isRecord(value) ? value : {}).flatMap((variable) => {
        const meaning = environmentEffect(variable)
        return meaning === undefined ? [] : [{ field: `${key}.${variable}`, meaning }]
      })
    }
    const meaning = Object.hasOwn(proxyConfigServing, name) ? proxyConfigServing[name] : undefined
    return meaning === undefined || meaning === true || isUsual(value) ? [] : [{ field: key, meaning }]
  })
}

const settled = new WeakMap<ApiObject, readonly Problem[]>()

/** KITH0122, of the labels and annotations of a pod, of what makes pods, of a Namespace, Service or ServiceEntry. */
export function unservedSettings(object: ApiObject): readonly Problem[] {
  const known = settled.get(object)
  if (known !== undefined) return known
  const found = [...ofMetadata(object, 'metadata', object.metadata.annotations, object.metadata.labels), ...templateMetadata(object).flatMap(({ path, annotations, labels }) => ofMetadata(object, path, annotations, labels))]
  settled.set(object, found)
  return found
}

type Texts = Readonly<Record<string, unknown>>

function templateMetadata({ spec }: ApiObject): readonly { readonly path: string; readonly annotations: Texts; readonly labels: Texts }[] {
  for (const steps of [['template'], ['jobTemplate', 'spec', 'template']]) {
    const metadata = [...steps, 'metadata'].reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), spec)
    if (isRecord(metadata)) return [{ path: `spec.${steps.join('.')}.metadata`, annotations: isRecord(metadata['annotations']) ? metadata['annotations'] : {}, labels: isRecord(metadata['labels']) ? metadata['labels'] : {} }]
  }
  return []
}

function ofMetadata(object: ApiObject, path: string, annotations: Texts, labels: Texts): Problem[] {
  return unservedMetadata(annotations, labels).map(({ field, meaning }) => ({ code: 'KITH0122', severity: 'warning', ref: refTo(object, `${path}.${field}`), message: meaning }))
}

/** By the field in the metadata, in a sentence that names the setting. */
export function unservedMetadata(annotations: Texts, labels: Texts): readonly UnservedSetting[] {
  const say = (field: string, what: string, meaning: string): UnservedSetting => ({ field, meaning: `${what} is not served by this mesh: ${meaning}` })
  return [
    ...Object.keys(annotations).flatMap((name) => {
      const meaning = Object.hasOwn(annotationServing, name) ? annotationServing[name] : undefined
      return meaning === undefined || meaning === true ? [] : [say(`annotations.${name}`, name, meaning)]
    }),
    ...Object.entries(labels).flatMap(([name, value]) => {
      const meaning = value === 'none' || value === 'disabled' || value === 'false' || !Object.hasOwn(labelsNotServed, name) ? undefined : labelsNotServed[name]
      return meaning === undefined ? [] : [say(`labels.${name}`, `${name}: ${String(value)}`, meaning)]
    }),
    ...unservedProxyConfig(parsed(annotations['proxy.istio.io/config'])).map(({ field, meaning }) => say('annotations.proxy.istio.io/config', `${field} in proxy.istio.io/config`, meaning)),
  ]
}

/** What can't be read is said by those who read it. */
function parsed(text: unknown): Texts {
  if (typeof text !== 'string') return {}
  try {
    const value = load(text)
    return isRecord(value) ? value : {}
  } catch {
    return {}
  }
}

/** As if it were not there. */
function isUsual(value: unknown): boolean {
  if (isRecord(value) && value['mode'] === 'PASSTHROUGH' && Object.keys(value).length === 1) return true
  return value === undefined || value === null || value === false || value === '' || value === 'TEXT' || value === 'OFF' || (typeof value === 'object' && Object.keys(value).length === 0)
}
