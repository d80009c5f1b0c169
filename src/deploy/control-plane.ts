// The control plane's own objects: account, Deployment, Service, disruption budget. Law: no root, nothing writable but a folder in memory, no capability.
import { isRecord } from '#api'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { listAt, mapAt, numberAt, textAt, valueAt, type Settings } from './settings.ts'

export const ports = { discovery: 15012, monitoring: 15014, webhooks: 15017 } as const

export function serviceAccount({ name, namespace, labels, values }: Settings): KubernetesObject {
  const secrets = pullSecrets(values)
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, labels, ...annotated(mapAt(values, 'pilot.serviceAccountAnnotations')) }, ...(secrets.length === 0 ? {} : { imagePullSecrets: secrets }) }
}

export function service({ name, namespace, labels, values, revision }: Settings): KubernetesObject {
  const port = (portName: string, number: number, targetPort = number): object => ({ name: portName, port: number, targetPort, protocol: 'TCP' })
  return {
    apiVersion: 'v1', kind: 'Service',
    metadata: { name, namespace, labels: { ...labels, istio: 'pilot' }, ...annotated(mapAt(values, 'pilot.serviceAnnotations')) },
    spec: { selector: { app: 'istiod', 'istio.io/rev': revision }, ports: [port('https-dns', ports.discovery), port('https-webhook', 443, ports.webhooks), port('http-monitoring', ports.monitoring)] },
  }
}

/** `maxUnavailable`, not `minAvailable`: with one replica, that would keep its node from ever being drained. */
export function disruptionBudget({ name, namespace, labels, values, revision }: Settings): readonly KubernetesObject[] {
  if (valueAt(values, 'global.defaultPodDisruptionBudget.enabled') !== true) return []
  return [{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name, namespace, labels }, spec: { maxUnavailable: 1, selector: { matchLabels: { app: 'istiod', 'istio.io/rev': revision } } } }]
}

export function deployment(settings: Settings): KubernetesObject {
  const { name, namespace, labels, values, revision } = settings
  return {
    apiVersion: 'apps/v1', kind: 'Deployment',
    metadata: { name, namespace, labels: { ...labels, istio: 'pilot', ...mapAt(values, 'pilot.deploymentLabels') }, ...annotated(mapAt(values, 'pilot.deploymentAnnotations')) },
    spec: {
      replicas: numberAt(values, 'pilot.replicaCount'),
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: valueAt(values, 'pilot.rollingMaxSurge'), maxUnavailable: valueAt(values, 'pilot.rollingMaxUnavailable') } },
      selector: { matchLabels: { app: 'istiod', 'istio.io/rev': revision } },
      template: {
        metadata: {
          labels: { ...labels, istio: 'pilot', 'sidecar.istio.io/inject': 'false', ...mapAt(values, 'pilot.podLabels') },
          annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': String(ports.monitoring), 'sidecar.istio.io/inject': 'false', ...mapAt(values, 'pilot.podAnnotations') },
        },
        spec: podSpec(settings),
      },
    },
  }
}

function podSpec(settings: Settings): object {
  const { name, values, revision } = settings
  const priority = textAt(values, 'global.priorityClassName')
  const spread = listAt(values, 'pilot.topologySpreadConstraints')
  return {
    serviceAccountName: name,
    ...(priority === '' ? {} : { priorityClassName: priority }),
    ...optional('nodeSelector', mapAt(values, 'pilot.nodeSelector')), ...optional('affinity', mapAt(values, 'pilot.affinity')), ...optional('tolerations', listAt(values, 'pilot.tolerations')),
    // Replicas on one node fall together.
    topologySpreadConstraints: spread.length > 0 ? spread : [{ maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', labelSelector: { matchLabels: { app: 'istiod', 'istio.io/rev': revision } } }],
    securityContext: { runAsNonRoot: true, runAsUser: 1337, runAsGroup: 1337, fsGroup: 1337, seccompProfile: mapAt(values, 'pilot.seccompProfile') },
    terminationGracePeriodSeconds: 30,
    containers: [container(settings)],
    volumes: [{ name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } }],
  }
}

function container({ values, image, revision }: Settings): object {
  const policy = textAt(values, 'global.imagePullPolicy')
  const probe = (path: string, more: object): object => ({ httpGet: { path, port: ports.monitoring }, ...more })
  return {
    name: 'discovery', image, ...(policy === '' ? {} : { imagePullPolicy: policy }),
    args: [
      'discovery', '--kubernetes', `--revision=${revision}`, `--log-level=${logLevel(textAt(values, 'global.logging.level'))}`, ...listAt(values, 'pilot.extraArgs').map(String),
    ],
    ports: [
      { name: 'grpc-xds', containerPort: ports.discovery, protocol: 'TCP' }, { name: 'http-monitoring', containerPort: ports.monitoring, protocol: 'TCP' }, { name: 'https-webhook', containerPort: ports.webhooks, protocol: 'TCP' },
    ],
    env: [
      field('POD_NAME', 'metadata.name'), field('POD_NAMESPACE', 'metadata.namespace'), field('SERVICE_ACCOUNT', 'spec.serviceAccountName'), { name: 'CLUSTER_ID', value: textAt(values, 'global.multiCluster.clusterName') || 'Kubernetes' },
      ...Object.entries(mapAt(values, 'pilot.env')).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => ({ name: key, value: String(value) })),
    ],
    startupProbe: probe('/ready', { periodSeconds: 1, failureThreshold: 120, timeoutSeconds: 3 }),
    readinessProbe: probe('/ready', { periodSeconds: 3, timeoutSeconds: 5 }),
    // Alive is whoever answers: that it is not ready has causes that a restart would not mend.
    livenessProbe: { tcpSocket: { port: ports.monitoring }, periodSeconds: 15, failureThreshold: 4 },
    resources: mapAt(values, 'pilot.resources'),
    securityContext: { allowPrivilegeEscalation: false, privileged: false, readOnlyRootFilesystem: true, runAsNonRoot: true, runAsUser: 1337, runAsGroup: 1337, capabilities: { drop: ['ALL'] } },
    volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
  }
}

const field = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } })

/** Istio's `default:info,ads:debug` names scopes; ours has one level. */
function logLevel(given: string): string {
  const level = /(?:^|,)(?:default|all):(\w+)/.exec(given)?.[1] ?? given
  return /^(trace|debug|info|warn|error|fatal)$/.test(level) ? level : level === 'none' ? 'fatal' : 'info'
}

function pullSecrets(values: Settings['values']): readonly object[] {
  return listAt(values, 'global.imagePullSecrets').map((s) => (isRecord(s) ? s : { name: String(s) }))
}

function annotated(annotations: object): object {
  return Object.keys(annotations).length === 0 ? {} : { annotations }
}

function optional(key: string, value: object): object {
  return Object.keys(value).length === 0 ? {} : { [key]: value }
}
