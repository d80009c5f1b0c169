// What an installation is without anybody's wish: the keys that Istio's charts have and that mean something here, each with its default.
// Law: a key that stands here is honoured; one that does not is named to whoever sets it.
import { version } from '#lib/version.ts'
import { usualClusterDomain } from '#api'

export type Values = Readonly<Record<string, unknown>>

export const defaultValues: Values = {
  /** `default`, or the name of a control plane that lives beside others. */
  revision: '',
  /** Further names of this control plane, for namespaces' label istio.io/rev. */
  revisionTags: [],
  meshConfig: { enablePrometheusMerge: true },
  global: {
    hub: 'kith.dev', tag: version, imagePullPolicy: '', imagePullSecrets: [], istioNamespace: 'istio-system', priorityClassName: '',
    logging: { level: 'info' }, network: '', meshID: '', multiCluster: { clusterName: '' }, caAddress: '',
    defaultPodDisruptionBudget: { enabled: true },
    proxy: {
      image: 'proxyv2', logLevel: 'warning', privileged: false, statusPort: 15020, autoInject: 'enabled', holdApplicationUntilProxyStarts: false, capNetBindService: false, clusterDomain: usualClusterDomain,
      includeIPRanges: '*', excludeIPRanges: '', includeInboundPorts: '*', excludeInboundPorts: '', includeOutboundPorts: '', excludeOutboundPorts: '',
      resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '2000m', memory: '1024Mi' } },
    },
    proxy_init: { image: 'proxyv2' },
  },
  pilot: {
    enabled: true, hub: '', tag: '', image: 'pilot', replicaCount: 1, env: {}, extraArgs: [], nodeSelector: {}, tolerations: [], affinity: {}, podAnnotations: {}, podLabels: {}, deploymentLabels: {}, deploymentAnnotations: {},
    serviceAnnotations: {}, serviceAccountAnnotations: {}, topologySpreadConstraints: [], rollingMaxSurge: '100%', rollingMaxUnavailable: '25%', seccompProfile: { type: 'RuntimeDefault' },
    resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } },
    cni: { enabled: false },
  },
  sidecarInjectorWebhook: {
    enableNamespacesByDefault: false, rewriteAppHTTPProbe: true, neverInjectSelector: [], alwaysInjectSelector: [], injectedAnnotations: {}, defaultTemplates: [], templates: {},
  },
}

/** Maps whose keys are the user's own: below them nothing can be misspelt. */
export const freeKeys: ReadonlySet<string> = new Set([
  'meshConfig', 'pilot.env', 'pilot.nodeSelector', 'pilot.affinity', 'pilot.podAnnotations', 'pilot.podLabels', 'pilot.deploymentLabels', 'pilot.deploymentAnnotations', 'pilot.serviceAnnotations', 'pilot.serviceAccountAnnotations',
  'pilot.seccompProfile', 'pilot.resources', 'global.proxy.resources', 'sidecarInjectorWebhook.injectedAnnotations', 'sidecarInjectorWebhook.templates',
])

/** Keys of Istio's charts that change nothing here, and why: taken without complaint that they don't exist, never silently. */
export const withoutEffect: Readonly<Record<string, string>> = {
  'pilot.autoscaleEnabled': 'Kith makes no HorizontalPodAutoscaler; set pilot.replicaCount',
  'pilot.autoscaleMin': 'Kith makes no HorizontalPodAutoscaler; set pilot.replicaCount',
  'pilot.autoscaleMax': 'Kith makes no HorizontalPodAutoscaler; set pilot.replicaCount',
  'pilot.traceSampling': 'Kith’s proxy makes no traces yet',
  'global.proxy.tracer': 'Kith’s proxy makes no traces yet',
  'global.jwtPolicy': 'tokens are always checked with their audience (third-party-jwt)',
  'global.pilotCertProvider': 'the control plane’s own CA is the only one',
  'global.variant': 'there is one image, and it is distroless',
  'gateways': 'Kith has no gateways yet',
  'profile': 'every profile gives the control plane alone, which is Istio’s minimal',
}
