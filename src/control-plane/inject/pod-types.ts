// The types that the API server would refuse, for the fields that injection and its readers touch: field and what it must be.
import { isRecord } from '#api'

type Shape = { readonly [field: string]: 'string' | 'integer' | 'boolean' | 'map' | 'port' | Shape | readonly [Shape | 'string'] }

const probe: Shape = { httpGet: { path: 'string', port: 'port', host: 'string', scheme: 'string' }, tcpSocket: { port: 'port' }, grpc: { port: 'integer' }, initialDelaySeconds: 'integer', periodSeconds: 'integer', timeoutSeconds: 'integer', failureThreshold: 'integer', successThreshold: 'integer' }
const container: Shape = {
  name: 'string', image: 'string', imagePullPolicy: 'string', command: ['string'], args: ['string'], workingDir: 'string', restartPolicy: 'string', ports: [{ name: 'string', containerPort: 'integer', hostPort: 'integer', protocol: 'string' }], env: [{ name: 'string', value: 'string' }],
  readinessProbe: probe, livenessProbe: probe, startupProbe: probe, volumeMounts: [{ name: 'string', mountPath: 'string', readOnly: 'boolean' }], tty: 'boolean', stdin: 'boolean', securityContext: { runAsUser: 'integer', runAsGroup: 'integer', privileged: 'boolean', runAsNonRoot: 'boolean' },
}
const pod: Shape = { containers: [container], initContainers: [container], hostNetwork: 'boolean', serviceAccountName: 'string', restartPolicy: 'string', nodeName: 'string', hostname: 'string', terminationGracePeriodSeconds: 'integer', volumes: [{ name: 'string' }], nodeSelector: 'map' }
const workload: Shape = { replicas: 'integer', selector: 'map', minReadySeconds: 'integer', backoffLimit: 'integer', completions: 'integer', parallelism: 'integer', suspend: 'boolean', schedule: 'string', paused: 'boolean', revisionHistoryLimit: 'integer', serviceName: 'string' }
const metadata: Shape = { name: 'string', namespace: 'string', labels: 'map', annotations: 'map' }

export function typeFaults(object: Readonly<Record<string, unknown>>, spec: unknown): string[] {
  const faults: string[] = []
  check(object['metadata'], metadata, 'metadata', faults)
  if (object['spec'] !== spec) check(object['spec'], workload, 'spec', faults)
  check(spec, pod, object['spec'] === spec ? 'spec' : 'spec.template.spec', faults)
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
      if (!fits(item, want)) faults.push(`${at} must be ${want === 'port' ? 'a number or a name' : want === 'map' ? 'a map' : `of type ${want}`}, not ${JSON.stringify(item)}`)
    } else if (isShape(want)) check(item, want, at, faults)
    else if (!Array.isArray(item)) faults.push(`${at} must be a list`)
    else item.forEach((x, i) => (want[0] === 'string' ? typeof x === 'string' || faults.push(`${at}[${i}] must be of type string, not ${JSON.stringify(x)}`) : check(x, want[0], `${at}[${i}]`, faults)))
  }
}

function isShape(want: Shape | readonly [Shape | 'string']): want is Shape {
  return !Array.isArray(want)
}

function fits(value: unknown, want: string): boolean {
  if (want === 'integer') return Number.isInteger(value)
  if (want === 'map') return isRecord(value)
  return want === 'port' ? Number.isInteger(value) || typeof value === 'string' : typeof value === want
}
