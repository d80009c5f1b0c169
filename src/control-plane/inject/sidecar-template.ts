// What makes a pod part of the mesh: the sidecar, the container that sets up the redirect, their volumes, labels. Istio's injection-template.yaml, as data.
import { objectsIn } from './earlier.ts'
import { annotationsForCni, interceptionArgs, modeOf, statusPortOf } from './interception.ts'
import { ownerUrl } from './owner.ts'
import type { InjectSettings } from './settings.ts'
import type { InjectionTemplate, Obj, TemplateInput } from './template-types.ts'

export const sidecarTemplate: InjectionTemplate = {
  name: 'sidecar',
  render(input) {
    const proxy = proxyContainer(input)
    const init = initContainer(input)
    const before = [...(init === undefined ? [] : [init]), ...(input.native ? [proxy] : [])]
    const secrets = input.settings.imagePullSecrets.map((name) => ({ name }))
    return {
      metadata: { labels: labelsFor(input), annotations: { ...annotationsFor(input), ...annotationsForCni(input) } },
      spec: { ...(before.length === 0 ? {} : { initContainers: before }), ...(input.native ? {} : { containers: [proxy] }), volumes: [...proxyVolumes(input), ...userVolumes(input.annotations['sidecar.istio.io/userVolume'])], ...(secrets.length === 0 ? {} : { imagePullSecrets: secrets }) },
    }
  },
}

const bindsLowPorts = (i: TemplateInput): boolean => (i.annotations['sidecar.istio.io/capNetBindService'] ?? String(i.settings.capNetBindService)) === 'true'

function proxyContainer(i: TemplateInput): Obj {
  const { settings: s, annotations: a } = i
  const statusPort = statusPortOf(i)
  const asRoot = modeOf(i) === 'TPROXY' || bindsLowPorts(i)
  const add = [...(modeOf(i) === 'TPROXY' ? ['NET_ADMIN'] : []), ...(bindsLowPorts(i) ? ['NET_BIND_SERVICE'] : [])]
  const lifecycle = s.lifecycle !== undefined ? s.lifecycle : i.native ? { preStop: { exec: { command: ['kith-agent', 'drain'] } } } : i.hold ? { postStart: { exec: { command: ['kith-agent', 'wait'] } } } : undefined
  return clean({
    name: 'istio-proxy', image: imageOf(i), imagePullPolicy: s.imagePullPolicy, args: proxyArgs(i, 'sidecar'),
    ports: [{ containerPort: 15090, protocol: 'TCP', name: 'http-envoy-prom' }],
    lifecycle, restartPolicy: i.native ? 'Always' : undefined, env: environment(i), resources: resources(i),
    securityContext: {
      allowPrivilegeEscalation: s.privileged, privileged: s.privileged, readOnlyRootFilesystem: true, capabilities: { ...(add.length === 0 ? {} : { add }), drop: ['ALL'] },
      runAsNonRoot: !asRoot, runAsUser: asRoot ? 0 : i.proxyUid, runAsGroup: i.proxyGid, ...(s.seccompProfile === undefined ? {} : { seccompProfile: s.seccompProfile }),
    },
    ...(statusPort === 0 ? {} : probes(s, a)),
    volumeMounts: [...proxyMounts, ...(bootstrapOf(i) === undefined ? [] : [{ name: 'custom-bootstrap-volume', mountPath: '/etc/istio/custom-bootstrap' }]), ...userVolumes(a['sidecar.istio.io/userVolumeMount'])],
  })
}

export function proxyArgs(i: TemplateInput, role: 'sidecar' | 'router'): string[] {
  const { settings: s, annotations: a } = i
  return ['proxy', role, '--domain', `$(POD_NAMESPACE).svc.${s.clusterDomain}`, `--proxyLogLevel=${a['sidecar.istio.io/logLevel'] ?? s.logLevel}`, `--proxyComponentLogLevel=${a['sidecar.istio.io/componentLogLevel'] ?? 'misc:error'}`, `--log_output_level=${a['sidecar.istio.io/agentLogLevel'] ?? 'default:info'}`]
}

export const proxyMounts: readonly Obj[] = [
  { name: 'workload-socket', mountPath: '/var/run/secrets/workload-spiffe-uds' }, { name: 'credential-socket', mountPath: '/var/run/secrets/credential-uds' }, { name: 'workload-certs', mountPath: '/var/run/secrets/workload-spiffe-credentials' },
  { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio' }, { name: 'istio-ca-crl', mountPath: '/var/run/secrets/istio/crl' }, { name: 'istio-data', mountPath: '/var/lib/istio/data' }, { name: 'istio-envoy', mountPath: '/etc/istio/proxy' }, { name: 'istio-token', mountPath: '/var/run/secrets/tokens' },
  { name: 'istio-podinfo', mountPath: '/etc/istio/pod' },
]
const bootstrapOf = (i: TemplateInput): string | undefined => i.annotations['sidecar.istio.io/bootstrapOverride'] || undefined

const healthy = (): Obj => ({ path: '/healthz/ready', port: 15021 })

function probes(settings: InjectSettings, annotations: Readonly<Record<string, string>>): Obj {
  const { startupFailureThreshold: failureThreshold } = settings
  const startup = failureThreshold === undefined ? {} : { startupProbe: { httpGet: healthy(), initialDelaySeconds: 0, periodSeconds: 1, timeoutSeconds: 3, failureThreshold } }
  return { ...startup, readinessProbe: readinessProbe(settings, annotations) }
}

export function readinessProbe({ readiness }: InjectSettings, annotations: Readonly<Record<string, string>>): Obj {
  const number = (name: keyof InjectSettings['readiness']): number => Number(annotations[`readiness.status.sidecar.istio.io/${name}`] ?? readiness[name])
  return { httpGet: healthy(), initialDelaySeconds: number('initialDelaySeconds'), periodSeconds: number('periodSeconds'), timeoutSeconds: 3, failureThreshold: number('failureThreshold') }
}

export function imageOf(i: TemplateInput): string {
  // A name without a registry or a folder is none, as in Istio.
  const own = i.annotations['sidecar.istio.io/proxyImage']
  if (own?.includes('/') === true) return own
  const type = i.annotations['sidecar.istio.io/proxyImageType']
  return type === undefined || type === '' || type === 'default' ? i.settings.proxyImage : `${i.settings.proxyImage}-${type}`
}

/** Any of the four annotations replaces the default resources whole. */
function resources(i: TemplateInput): unknown {
  const of = (name: string): string | undefined => i.annotations[`sidecar.istio.io/${name}`]
  const requests = clean({ cpu: of('proxyCPU'), memory: of('proxyMemory') })
  const limits = clean({ cpu: of('proxyCPULimit'), memory: of('proxyMemoryLimit') })
  const asked = clean({ requests: Object.keys(requests).length > 0 ? requests : undefined, limits: Object.keys(limits).length > 0 ? limits : undefined })
  return Object.keys(asked).length > 0 ? asked : i.settings.resources
}

export function environment(i: TemplateInput): Obj[] {
  const { settings: s } = i
  // A pod may say by its label in which network it is.
  const network = i.labels['topology.istio.io/network'] ?? s.network
  const workload = i.labels['service.istio.io/workload-name'] || i.owner.name
  const field = (name: string, fieldPath: string): Obj => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  const value = (name: string, text: string): Obj => ({ name, value: text })
  const ports = i.containers.flatMap((c) => objectsIn(c['ports']))
  const metadata = (i.proxyConfig['proxyMetadata'] ?? {}) as Record<string, unknown>
  return [
    value('PILOT_CERT_PROVIDER', 'istiod'), value('CA_ADDR', s.caAddress), field('POD_NAME', 'metadata.name'), field('POD_NAMESPACE', 'metadata.namespace'), field('INSTANCE_IP', 'status.podIP'), field('SERVICE_ACCOUNT', 'spec.serviceAccountName'), field('HOST_IP', 'status.hostIP'),
    value('PROXY_CONFIG', JSON.stringify(i.proxyConfig)), value('ISTIO_META_POD_PORTS', JSON.stringify(ports)), value('ISTIO_META_APP_CONTAINERS', i.containers.map((c) => String(c['name'])).join(',')), value('ISTIO_META_CLUSTER_ID', s.cluster),
    field('ISTIO_META_NODE_NAME', 'spec.nodeName'), value('ISTIO_META_INTERCEPTION_MODE', modeOf(i)), ...(network === '' ? [] : [value('ISTIO_META_NETWORK', network)]), ...(workload === '' ? [] : [value('ISTIO_META_WORKLOAD_NAME', workload)]), ...(i.owner.name === '' || i.owner.apiVersion === '' ? [] : [value('ISTIO_META_OWNER', ownerUrl(i.owner, i.namespace))]),
    value('ISTIO_META_MESH_ID', s.meshId), value('TRUST_DOMAIN', s.trustDomain), ...(bootstrapOf(i) === undefined ? [] : [value('ISTIO_BOOTSTRAP_OVERRIDE', '/etc/istio/custom-bootstrap/custom_bootstrap.json')]), ...Object.entries(metadata).map(([name, v]) => value(name, String(v))),
  ]
}

/** istio-init sets up the redirect; with a CNI plugin istio-validation only checks it. */
function initContainer(i: TemplateInput): Obj | undefined {
  const { settings: s } = i
  if (modeOf(i) === 'NONE') return undefined
  const context = s.cni
    ? { allowPrivilegeEscalation: s.privileged, privileged: s.privileged, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true, ...(modeOf(i) === 'TPROXY' ? { runAsGroup: 1337, runAsUser: 1337 } : { runAsGroup: i.proxyGid, runAsUser: i.proxyUid }), runAsNonRoot: true }
    : { allowPrivilegeEscalation: s.privileged, privileged: s.privileged, capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] }, readOnlyRootFilesystem: false, runAsGroup: 0, runAsNonRoot: false, runAsUser: 0 }
  return clean({
    name: s.cni ? 'istio-validation' : 'istio-init', image: imageOf(i), imagePullPolicy: s.imagePullPolicy, args: ['redirect', ...interceptionArgs(i), ...(s.cni ? ['--run-validation', '--skip-rule-apply'] : [])], resources: resources(i), securityContext: clean({ ...context, seccompProfile: s.seccompProfile }),
  })
}

export function proxyVolumes(i: TemplateInput): Obj[] {
  const bootstrap = bootstrapOf(i)
  const podInfo = { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }, { path: 'annotations', fieldRef: { fieldPath: 'metadata.annotations' } }] }
  return [
    { name: 'workload-socket', emptyDir: {} }, { name: 'credential-socket', emptyDir: {} }, { name: 'workload-certs', emptyDir: {} }, { name: 'istio-envoy', emptyDir: { medium: 'Memory' } }, { name: 'istio-data', emptyDir: {} }, { name: 'istio-podinfo', downwardAPI: podInfo },
    { name: 'istio-token', projected: { sources: [{ serviceAccountToken: { path: 'istio-token', expirationSeconds: 43200, audience: 'istio-ca' } }] } },
    { name: 'istiod-ca-cert', configMap: { name: 'istio-ca-root-cert' } }, { name: 'istio-ca-crl', configMap: { name: i.settings.crlConfigMap, optional: true } }, ...(bootstrap === undefined ? [] : [{ name: 'custom-bootstrap-volume', configMap: { name: bootstrap } }]),
  ]
}

export function labelsFor({ labels, owner, proxyConfig }: TemplateInput): Record<string, string> {
  const name = labels['service.istio.io/canonical-name'] || labels['app.kubernetes.io/name'] || labels['app'] || owner.name
  const revision = labels['service.istio.io/canonical-revision'] || labels['app.kubernetes.io/version'] || labels['version'] || 'latest'
  const metadata = (proxyConfig['proxyMetadata'] ?? {}) as Readonly<Record<string, unknown>>
  const tunnel = metadata['ISTIO_META_ENABLE_HBONE'] === 'true' ? { 'networking.istio.io/tunnel': labels['networking.istio.io/tunnel'] || 'http' } : {}
  const cut = (text: string): string => text.slice(0, 63).replace(/^[-_.]+|[-_.]+$/g, '')
  return {
    'security.istio.io/tlsMode': labels['security.istio.io/tlsMode'] || 'istio', ...tunnel, ...(name === '' ? {} : { 'service.istio.io/canonical-name': cut(name) }), 'service.istio.io/canonical-revision': revision,
  }
}

export function annotationsFor({ annotations, containers, settings }: TemplateInput): Record<string, string> {
  const first = containers[0]?.['name']
  const added: Record<string, string> = { 'istio.io/rev': settings.revision }
  for (const key of ['kubectl.kubernetes.io/default-container', 'kubectl.kubernetes.io/default-logs-container']) if (first !== undefined && annotations[key] === undefined) added[key] = String(first)
  return added
}

const mountFields: ReadonlyMap<string, string> = new Map(['name', 'readOnly', 'mountPath', 'subPath', 'subPathExpr', 'mountPropagation', 'recursiveReadOnly'].map((name) => [name.toLowerCase(), name]))

/** `{"name": {…}}` or `[{name, …}]` → `[{name, …}]`. Names of fields are read in any case, as Go reads JSON. */
function userVolumes(json: string | undefined): Obj[] {
  if (json === undefined || json === '') return []
  return Object.entries((JSON.parse(json) ?? {}) as Record<string, Obj>).map(([name, rest]) => Object.fromEntries(Object.entries({ name, ...rest }).map(([key, value]) => [mountFields.get(key.toLowerCase()) ?? key, value])))
}

export function clean(object: Obj): Obj {
  return Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined))
}
