// The types that the API server would refuse, for the fields that injection and its readers touch: field and what it must be.
import { isRecord } from '#api'
import { isQuantity } from './annotations.ts'

type Shape = { readonly [field: string]: 'string' | 'integer' | 'boolean' | 'strings' | 'port' | 'quantities' | Shape | readonly [Shape | 'string'] }

const handler: Shape = { httpGet: { path: 'string', port: 'port', host: 'string', scheme: 'string', httpHeaders: [{ name: 'string', value: 'string' }] }, tcpSocket: { port: 'port', host: 'string' }, exec: { command: ['string'] } }
const probe: Shape = { ...handler, grpc: { port: 'integer', service: 'string' }, initialDelaySeconds: 'integer', periodSeconds: 'integer', timeoutSeconds: 'integer', failureThreshold: 'integer', successThreshold: 'integer' }
const container: Shape = {
  name: 'string', image: 'string', imagePullPolicy: 'string', command: ['string'], args: ['string'], workingDir: 'string', restartPolicy: 'string', ports: [{ name: 'string', containerPort: 'integer', hostPort: 'integer', protocol: 'string' }], env: [{ name: 'string', value: 'string' }],
  envFrom: [{ prefix: 'string', configMapRef: { name: 'string' }, secretRef: { name: 'string' } }], resources: { limits: 'quantities', requests: 'quantities' }, volumeDevices: [{ name: 'string', devicePath: 'string' }], terminationMessagePath: 'string', terminationMessagePolicy: 'string',
  readinessProbe: probe, livenessProbe: probe, startupProbe: probe, lifecycle: { preStop: handler, postStart: handler }, volumeMounts: [{ name: 'string', mountPath: 'string', readOnly: 'boolean', subPath: 'string' }], tty: 'boolean', stdin: 'boolean', securityContext: { runAsUser: 'integer', runAsGroup: 'integer', privileged: 'boolean', runAsNonRoot: 'boolean', readOnlyRootFilesystem: 'boolean', allowPrivilegeEscalation: 'boolean', capabilities: { add: ['string'], drop: ['string'] }, seccompProfile: { type: 'string' } },
}
const volume: Shape = {
  name: 'string', emptyDir: { medium: 'string' }, configMap: { name: 'string', optional: 'boolean', defaultMode: 'integer', items: [{ key: 'string', path: 'string' }] }, secret: { secretName: 'string', optional: 'boolean', defaultMode: 'integer', items: [{ key: 'string', path: 'string' }] },
  hostPath: { path: 'string', type: 'string' }, persistentVolumeClaim: { claimName: 'string', readOnly: 'boolean' }, projected: { sources: [{}] }, downwardAPI: { items: [{}] }, csi: { driver: 'string' },
}
const podSpec: Shape = {
  containers: [container], initContainers: [container], ephemeralContainers: [{ ...container, targetContainerName: 'string' }], hostNetwork: 'boolean', serviceAccountName: 'string', restartPolicy: 'string', nodeName: 'string', hostname: 'string', terminationGracePeriodSeconds: 'integer', volumes: [volume], imagePullSecrets: [{ name: 'string' }], os: { name: 'string' }, dnsPolicy: 'string', nodeSelector: 'strings',
  hostPID: 'boolean', hostIPC: 'boolean', shareProcessNamespace: 'boolean', automountServiceAccountToken: 'boolean', enableServiceLinks: 'boolean', activeDeadlineSeconds: 'integer', priority: 'integer', priorityClassName: 'string', runtimeClassName: 'string', schedulerName: 'string', subdomain: 'string',
  affinity: { nodeAffinity: {}, podAffinity: {}, podAntiAffinity: {} }, tolerations: [{ key: 'string', operator: 'string', value: 'string', effect: 'string', tolerationSeconds: 'integer' }], hostAliases: [{ ip: 'string', hostnames: ['string'] }], topologySpreadConstraints: [{ maxSkew: 'integer', topologyKey: 'string' }],
  dnsConfig: { nameservers: ['string'], searches: ['string'] }, securityContext: { runAsUser: 'integer', runAsGroup: 'integer', fsGroup: 'integer', runAsNonRoot: 'boolean', seccompProfile: { type: 'string' } },
}
const workload: Shape = { replicas: 'integer', selector: { matchLabels: 'strings' }, minReadySeconds: 'integer', backoffLimit: 'integer', completions: 'integer', parallelism: 'integer', suspend: 'boolean', schedule: 'string', paused: 'boolean', revisionHistoryLimit: 'integer', serviceName: 'string' }
const owner: Shape = { apiVersion: 'string', kind: 'string', name: 'string', uid: 'string', controller: 'boolean' }
const metadata: Shape = { name: 'string', generateName: 'string', namespace: 'string', labels: 'strings', annotations: 'strings', ownerReferences: [owner] }

const pod: Shape = { metadata, spec: podSpec }
const ofWorkload: Shape = { metadata, spec: { ...workload, template: pod } }
const ofCronJob: Shape = { metadata, spec: { ...workload, jobTemplate: ofWorkload } }

/** `path`: where the object keeps its pod. */
const shapeOf = (path: readonly string[]): Shape => (path.length === 0 ? pod : path.includes('jobTemplate') ? ofCronJob : ofWorkload)

export function typeFaults(object: Readonly<Record<string, unknown>>, path: readonly string[]): string[] {
  const faults: string[] = []
  for (const [field, shape] of Object.entries(shapeOf(path)) as [string, Shape][]) check(object[field], shape, field, faults)
  return faults.map((f) => `${String(object['kind'])}: ${f}`)
}

/** What YAML took for a number or a truth value is text where text belongs, as Go's types read it. */
export function withTexts(object: Readonly<Record<string, unknown>>, path: readonly string[]): Record<string, unknown> {
  return textsIn(object, shapeOf(path)) as Record<string, unknown>
}

function textsIn(value: unknown, want: Shape | 'string' | 'strings'): unknown {
  if (want === 'string') return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
  if (!isRecord(value)) return value
  if (want === 'strings') return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, text === null ? '' : textsIn(text, 'string')]))
  const out: Record<string, unknown> = { ...value }
  for (const [field, shape] of Object.entries(want)) {
    const item = out[field]
    if (item === undefined) continue
    if (shape === 'string' || shape === 'strings' || (typeof shape === 'object' && isShape(shape))) out[field] = textsIn(item, shape)
    else if (typeof shape === 'object' && Array.isArray(item)) out[field] = item.map((one: unknown) => textsIn(one, shape[0]))
  }
  return out
}

function check(value: unknown, shape: Shape, path: string, faults: string[]): void {
  if (value === undefined || value === null) return
  if (!isRecord(value)) return void faults.push(`${path} must be an object`)
  for (const [field, want] of Object.entries(shape)) {
    const item = value[field]
    const at = `${path}.${field}`
    if (item === undefined || item === null) continue
    if (typeof want === 'string') {
      if (!fits(item, want)) faults.push(`${at} must be ${want === 'port' ? 'a number or a name' : want === 'strings' ? 'a map of strings' : want === 'quantities' ? 'a map of quantities such as 100m or 128Mi' : `of type ${want}`}, not ${JSON.stringify(item)}`)
    } else if (isShape(want)) check(item, want, at, faults)
    else if (!Array.isArray(item)) faults.push(`${at} must be a list`)
    else item.forEach((x, i) => (want[0] === 'string' ? typeof x === 'string' || faults.push(`${at}[${i}] must be of type string, not ${JSON.stringify(x)}`) : isRecord(x) ? check(x, want[0], `${at}[${i}]`, faults) : faults.push(`${at}[${i}] must be an object`)))
  }
}

function isShape(want: Shape | readonly [Shape | 'string']): want is Shape {
  return !Array.isArray(want)
}

function fits(value: unknown, want: string): boolean {
  if (want === 'integer') return Number.isInteger(value)
  if (want === 'strings') return isRecord(value) && Object.values(value).every((v) => v === null || typeof v === 'string')
  if (want === 'quantities') return isRecord(value) && Object.values(value).every((v) => v === null || isQuantity(String(v)))
  return want === 'port' ? Number.isInteger(value) || typeof value === 'string' : typeof value === want
}
