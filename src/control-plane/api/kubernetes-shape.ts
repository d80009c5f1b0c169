// The shape of Kubernetes' own kinds: pods, their templates and Services, as far as a mesh reads them. An API server refuses an object with such a fault whole, and so do we.
// Law: shape alone; fields that are not named here are the API server's business.
import { decodeValue, isRecord, type Decoding, type Fault } from './decode-fields.ts'
import { any, boolean, int32, list, map, object, string } from './schema.ts'

const text = string()
const texts = list(text)
const probe = object({
  httpGet: object({ path: text, port: any(), host: text, scheme: text, httpHeaders: list(object({ name: text, value: text })) }), tcpSocket: object({ port: any(), host: text }), grpc: object({ port: int32(), service: text }), exec: object({ command: texts }),
  initialDelaySeconds: int32(), periodSeconds: int32(), timeoutSeconds: int32(), failureThreshold: int32(), successThreshold: int32(),
})
const container = object({
  name: text, image: text, command: texts, args: texts, workingDir: text, restartPolicy: text, ports: list(object({ name: text, containerPort: int32(), protocol: text })), env: list(object({ name: text, value: text, valueFrom: object({}) })),
  readinessProbe: probe, livenessProbe: probe, startupProbe: probe, lifecycle: object({}), securityContext: object({}), resources: object({}), volumeMounts: list(object({})),
})
const podSpec = object({
  containers: list(container), initContainers: list(container), serviceAccountName: text, serviceAccount: text, hostNetwork: boolean(), restartPolicy: text, nodeName: text, hostname: text, subdomain: text, os: object({ name: text }), volumes: list(object({})), securityContext: object({}),
})
const template = object({ metadata: object({}), spec: podSpec })

const service = object({
  type: text, selector: map(text), ports: list(object({ name: text, port: int32(), protocol: text, appProtocol: text, targetPort: any(), nodePort: int32() })),
  clusterIP: text, clusterIPs: texts, externalName: text, externalIPs: texts, publishNotReadyAddresses: boolean(),
})
const workload = object({ replicas: int32(), template, serviceName: text })
const shapes: Readonly<Record<string, ReturnType<typeof object>>> = {
  'v1 Service': service, 'v1 Pod': podSpec, 'apps/v1 Deployment': workload, 'apps/v1 StatefulSet': workload, 'apps/v1 DaemonSet': workload, 'apps/v1 ReplicaSet': workload, 'batch/v1 Job': workload, 'batch/v1 CronJob': object({ jobTemplate: object({ spec: workload }) }),
}

/** Of an object that a server has admitted (it has a uid) there is nothing to say. */
export function shapeFaults(apiVersion: string, kind: string, raw: Readonly<Record<string, unknown>>): Fault[] {
  const shape = shapes[`${apiVersion} ${kind}`]
  if (shape === undefined || (isRecord(raw['metadata']) && raw['metadata']['uid'] !== undefined)) return []
  const decoding: Decoding = { faults: [], root: shape }
  decodeValue(shape, raw['spec'], 'spec', decoding)
  return decoding.faults.filter((f) => f.kind === 'type' || (f.kind === 'limit' && !f.message.endsWith('found null')))
}
