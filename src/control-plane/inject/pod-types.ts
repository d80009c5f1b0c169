// The types that the API server would refuse, for the fields that injection and its readers touch: field and what it must be.
import { isRecord } from '#api'

type Shape = { readonly [field: string]: 'string' | 'integer' | 'boolean' | 'map' | 'strings' | 'port' | Shape | readonly [Shape | 'string'] }

const handler: Shape = { httpGet: { path: 'string', port: 'port', host: 'string', scheme: 'string' }, tcpSocket: { port: 'port', host: 'string' } }
const probe: Shape = { ...handler, grpc: { port: 'integer', service: 'string' }, initialDelaySeconds: 'integer', periodSeconds: 'integer', timeoutSeconds: 'integer', failureThreshold: 'integer', successThreshold: 'integer' }
const container: Shape = {
  name: 'string', image: 'string', imagePullPolicy: 'string', command: ['string'], args: ['string'], workingDir: 'string', restartPolicy: 'string', ports: [{ name: 'string', containerPort: 'integer', hostPort: 'integer', protocol: 'string' }], env: [{ name: 'string', value: 'string' }],
  readinessProbe: probe, livenessProbe: probe, startupProbe: probe, lifecycle: { preStop: handler, postStart: handler }, volumeMounts: [{ name: 'string', mountPath: 'string', readOnly: 'boolean' }], tty: 'boolean', stdin: 'boolean', securityContext: { runAsUser: 'integer', runAsGroup: 'integer', privileged: 'boolean', runAsNonRoot: 'boolean' },
}
const podSpec: Shape = { containers: [container], initContainers: [container], hostNetwork: 'boolean', serviceAccountName: 'string', restartPolicy: 'string', nodeName: 'string', hostname: 'string', terminationGracePeriodSeconds: 'integer', volumes: [{ name: 'string' }], imagePullSecrets: [{ name: 'string' }], os: { name: 'string' }, dnsPolicy: 'string', nodeSelector: 'strings' }
const workload: Shape = { replicas: 'integer', selector: 'map', minReadySeconds: 'integer', backoffLimit: 'integer', completions: 'integer', parallelism: 'integer', suspend: 'boolean', schedule: 'string', paused: 'boolean', revisionHistoryLimit: 'integer', serviceName: 'string' }
const owner: Shape = { apiVersion: 'string', kind: 'string', name: 'string', uid: 'string', controller: 'boolean' }
const metadata: Shape = { name: 'string', generateName: 'string', namespace: 'string', labels: 'strings', annotations: 'strings', ownerReferences: [owner] }

/** `pod`: the object itself, or the template within it at `path`. */
export function typeFaults(object: Readonly<Record<string, unknown>>, pod: Readonly<Record<string, unknown>>, path: readonly string[]): string[] {
  const at = (field: string): string => [...path, field].join('.')
  const faults: string[] = []
  check(object['metadata'], metadata, 'metadata', faults)
  if (object !== pod) {
    check(object['spec'], workload, 'spec', faults)
    check(pod['metadata'], metadata, at('metadata'), faults)
  }
  check(pod['spec'], podSpec, at('spec'), faults)
  return faults.map((f) => `${String(object['kind'])}: ${f}`)
}

function check(value: unknown, shape: Shape, path: string, faults: string[]): void {
  if (value === undefined || value === null) return
  if (!isRecord(value)) return void faults.push(`${path} must be an object`)
  for (const [field, want] of Object.entries(shape)) {
    const item = value[field]
    const at = `${path}.${field}`
    if (item === undefined || item === null) continue
    if (typeof want === 'string') {
      if (!fits(item, want)) faults.push(`${at} must be ${want === 'port' ? 'a number or a name' : want === 'map' ? 'a map' : want === 'strings' ? 'a map of strings' : `of type ${want}`}, not ${JSON.stringify(item)}`)
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
  if (want === 'map') return isRecord(value)
  if (want === 'strings') return isRecord(value) && Object.values(value).every((v) => v === null || typeof v === 'string')
  return want === 'port' ? Number.isInteger(value) || typeof value === 'string' : typeof value === want
}
