// A pod with our sidecar, its AuthorizationPolicies as written, and an application that tells what reached it. Callers speak plaintext to its port 80.
import { canonicalJson } from '#lib/canonical.ts'
import { buildMesh, type Mesh } from '#mesh'
import { startProxy } from '#proxy'
import { decodeObjects, parseYaml } from '#sources'
import { freePort } from '../fixtures/ports.ts'
import { configOf } from '../golden/golden-case.ts'
import { identity, recordingLog } from './pair.ts'
import { exchange, httpApp, whole } from './talk.ts'
import { connect } from 'node:net'

const address = '10.244.7.1'
const pod = {
  apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app', namespace: 'foo', labels: { app: 'app' } },
  spec: { containers: [{ name: 'a', image: 'a' }, { name: 'istio-proxy', image: 'p' }] }, status: { phase: 'Running', podIP: address },
}
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } }
const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'app', namespace: 'foo' }, spec: { selector: { app: 'app' }, ports: [{ name: 'http', port: 80 }] } }

/** An AuthorizationPolicy of the pod's namespace. */
export const policy = (spec: object, name = 'p', annotations: Record<string, string> = {}): object => ({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name, namespace: 'foo', annotations }, spec })

/** The mesh of that one pod, `app.foo`. */
export function policyMesh(objects: readonly object[], meshConfig: NonNullable<Parameters<typeof buildMesh>[1]>['meshConfig'] = {}): Mesh {
  const { documents } = parseYaml([namespace, pod, service, ...objects].map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml')
  const { objects: decoded, problems } = decodeObjects(documents)
  const errors = problems.filter((p) => p.severity === 'error')
  if (errors.length > 0) throw new Error(errors.map((p) => p.message).join('\n'))
  return buildMesh(decoded, { meshConfig })
}

export interface PolicyPod {
  readonly port: number
  readonly accessLog: string[]
  metrics(): string
  /** What comes back for bytes of one request. */
  ask(bytes: string): Promise<{ readonly status: number; readonly text: string }>
  stop(): Promise<void>
}

export async function startPolicyPod(mesh: Mesh): Promise<PolicyPod> {
  const app = await httpApp((req, res) => res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.rawHeaders })))
  const port = await freePort()
  const accessLog: string[] = []
  const proxy = await startProxy({
    identity: identity('app', 'foo'), interception: { mode: 'NONE', dialMap: { dial: {}, inbound: [{ listen: `127.0.0.1:${port}`, originalDestination: `${address}:80`, app: `127.0.0.1:${app.port}` }], hosts: {} } },
    ports: { admin: null, prometheus: null }, log: recordingLog(), accessLog: (lines) => void accessLog.push(...lines.trimEnd().split('\n')),
  })
  const { errors } = proxy.update(configOf(mesh, 'app.foo').resources)
  if (errors.length > 0) throw new Error(errors.map((e) => `${e.name}: ${e.message}`).join('\n'))
  return {
    port, accessLog, metrics: () => proxy.metrics(),
    async ask(bytes) {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => {})
      const text = await exchange(socket, Buffer.from(bytes, 'latin1'), whole)
      socket.destroy()
      return { status: Number(text.split(' ')[1]), text }
    },
    async stop() {
      await proxy.stop()
      app.close()
    },
  }
}
