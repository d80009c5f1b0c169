// What the injector goes by: Istio's values and meshConfig, with their defaults.
import { version } from '#lib/version.ts'
import { isRecord, usualClusterDomain } from '#api'

export interface InjectSettings {
  readonly revision: string
  readonly proxyImage: string
  readonly initImage: string
  readonly imagePullPolicy: string | undefined
  readonly logLevel: string
  readonly resources: unknown
  readonly privileged: boolean
  readonly seccompProfile: unknown
  /** Takes the place of the sidecar's own hooks. */
  readonly lifecycle: unknown
  readonly statusPort: number
  readonly includeIpRanges: string
  readonly excludeIpRanges: string
  readonly includeInboundPorts: string
  readonly excludeInboundPorts: string
  readonly includeOutboundPorts: string
  readonly excludeOutboundPorts: string
  /** By the values: a pod can't take it back. By meshConfig.defaultConfig it can. */
  readonly holdApplicationUntilProxyStarts: boolean
  readonly rewriteAppHttpProbers: boolean
  readonly enablePrometheusMerge: boolean
  /** Sidecars as init containers with restartPolicy Always, unless a pod says otherwise. */
  readonly nativeSidecars: boolean
  /** A CNI plugin redirects: an init container only checks that it did. */
  readonly cni: boolean
  readonly cluster: string
  /** Empty: the values name none. */
  readonly namedCluster: string
  readonly network: string
  readonly meshId: string
  readonly trustDomain: string
  readonly caAddress: string
  readonly interceptionMode: string
  readonly capNetBindService: boolean
  readonly readiness: { readonly initialDelaySeconds: number; readonly periodSeconds: number; readonly failureThreshold: number }
  /** undefined: no startup probe. */
  readonly startupFailureThreshold: number | undefined
  /** `multus`: the CNI plugin is called by an annotation. */
  readonly cniProvider: string
  readonly crlConfigMap: string
  /** Where the names of services end. */
  readonly clusterDomain: string
  readonly imagePullSecrets: readonly string[]
  /** On each injected pod, whatever else it carries: `injectedAnnotations`. */
  readonly injectedAnnotations: Readonly<Record<string, string>>
  /** meshConfig.defaultConfig with the pod's own laid over it. */
  readonly proxyConfig: Readonly<Record<string, unknown>>
  /** As given, for configured templates. */
  readonly values: Readonly<Record<string, unknown>>
  readonly meshConfig: Readonly<Record<string, unknown>>
}

const image = `kith.dev/proxyv2:${version}`

/** `values`: Helm's, as in the ConfigMap istio-sidecar-injector; `meshConfig`: as in the ConfigMap istio. */
export function injectSettings(values: unknown = {}, meshConfig: unknown = {}, revision = 'default'): InjectSettings {
  const read = (path: string): unknown => path.split('.').reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), values)
  const text = (path: string, otherwise: string): string => {
    const found = read(path)
    return typeof found === 'string' || typeof found === 'number' ? String(found) : otherwise
  }
  const flag = (path: string, otherwise: boolean): boolean => (typeof read(path) === 'boolean' ? (read(path) as boolean) : otherwise)
  const named = (path: string): string => {
    const own = text(path, '')
    const hub = text('global.hub', '')
    if (own.includes('/')) return own
    return own === '' || hub === '' ? image : `${hub}/${own}:${text('global.tag', 'latest')}`
  }
  const mesh = isRecord(meshConfig) ? meshConfig : {}
  const proxyConfig = isRecord(mesh['defaultConfig']) ? mesh['defaultConfig'] : {}
  return {
    revision, proxyImage: named('global.proxy.image'), initImage: named('global.proxy_init.image'), imagePullPolicy: text('global.imagePullPolicy', '') || undefined, logLevel: text('global.proxy.logLevel', 'warning'),
    resources: read('global.proxy.resources') ?? { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '2000m', memory: '1024Mi' } },
    privileged: flag('global.proxy.privileged', false), seccompProfile: filled(read('global.proxy.seccompProfile')), lifecycle: filled(read('global.proxy.lifecycle')), statusPort: Number(text('global.proxy.statusPort', '15020')), includeIpRanges: text('global.proxy.includeIPRanges', '*'), excludeIpRanges: text('global.proxy.excludeIPRanges', ''),
    includeInboundPorts: text('global.proxy.includeInboundPorts', '*'), excludeInboundPorts: text('global.proxy.excludeInboundPorts', ''), includeOutboundPorts: text('global.proxy.includeOutboundPorts', ''), excludeOutboundPorts: text('global.proxy.excludeOutboundPorts', ''),
    holdApplicationUntilProxyStarts: flag('global.proxy.holdApplicationUntilProxyStarts', false),
    rewriteAppHttpProbers: flag('sidecarInjectorWebhook.rewriteAppHTTPProbe', true), enablePrometheusMerge: mesh['enablePrometheusMerge'] !== false, nativeSidecars: flag('sidecarInjectorWebhook.nativeSidecars', false),
    cni: flag('pilot.cni.enabled', false) || flag('istio_cni.enabled', false), cluster: text('global.multiCluster.clusterName', '') || 'Kubernetes', namedCluster: text('global.multiCluster.clusterName', ''), network: text('global.network', ''), meshId: text('global.meshID', '') || 'cluster.local',
    clusterDomain: text('global.proxy.clusterDomain', '') || usualClusterDomain, trustDomain: typeof mesh['trustDomain'] === 'string' ? mesh['trustDomain'] : 'cluster.local', caAddress: text('global.caAddress', '') || 'istiod.istio-system.svc:15012',
    interceptionMode: typeof proxyConfig['interceptionMode'] === 'string' ? proxyConfig['interceptionMode'] : 'REDIRECT', capNetBindService: String(read('global.proxy.capNetBindService')) === 'true', proxyConfig,
    readiness: { initialDelaySeconds: Number(text('global.proxy.readinessInitialDelaySeconds', '0')), periodSeconds: Number(text('global.proxy.readinessPeriodSeconds', '15')), failureThreshold: Number(text('global.proxy.readinessFailureThreshold', '4')) },
    startupFailureThreshold: flag('global.proxy.startupProbe.enabled', true) ? Number(text('global.proxy.startupProbe.failureThreshold', '600')) : undefined, cniProvider: text('pilot.cni.provider', 'default'), crlConfigMap: text('pilot.crlConfigMapName', '') || 'istio-ca-crl',
    imagePullSecrets: names(read('global.imagePullSecrets')), injectedAnnotations: {}, values: isRecord(values) ? values : {}, meshConfig: mesh,
  }
}

/** An empty map says nothing. */
function filled(raw: unknown): unknown {
  return isRecord(raw) && Object.keys(raw).length > 0 ? raw : undefined
}

/** `['a']` or `[{name: a}]` */
function names(raw: unknown): string[] {
  return Array.isArray(raw) ? (raw as unknown[]).flatMap((n) => (typeof n === 'string' ? [n] : isRecord(n) && typeof n['name'] === 'string' ? [n['name']] : [])) : []
}
