// Latency of injection over TLS at a steady rate, as an API server asks: each review timed from when it was due, not from when it could be sent.
//   node bench/webhook.ts [REVIEWS_PER_SECOND] [SECONDS]     default 100 10. The webhook is a process of its own, one core where taskset is there.
import { spawn } from 'node:child_process'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { stringify } from 'yaml'
import { silentLogger } from '#lib/log.ts'
import { selfSignedAuthority } from '#ca'
import { createInjector } from '#inject'
import { ServingCertificate } from '../src/control-plane/server/serving-certificate.ts'
import { startWebhooks } from '../src/control-plane/server/webhooks/index.ts'

const name = 'istiod.istio-system.svc'
if (process.argv[2] === 'serve') await serve()
else await measure(Number(process.argv[2] ?? 100), Number(process.argv[3] ?? 10))

async function serve(): Promise<void> {
  const authority = await selfSignedAuthority('cluster.local', Date.now())
  const serving = new ServingCertificate(() => authority, [name], Date.now, silentLogger)
  await serving.renew()
  const injector = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml: { parse: (t) => JSON.parse(t) as unknown, print: stringify } })
  const { port } = await startWebhooks({ host: '127.0.0.1', port: 0, serving, injector: () => injector, registry: new Registry(), log: silentLogger })
  process.stdout.write(JSON.stringify({ port, roots: authority.roots }) + '\n')
  let before = process.cpuUsage()
  process.stdin.on('data', () => {
    const { user, system } = process.cpuUsage(before)
    before = process.cpuUsage()
    process.stdout.write(JSON.stringify({ cpuMs: (user + system) / 1000, rss: process.memoryUsage.rss() }) + '\n')
  })
}

function pod(n: number): object {
  const container = (c: number): object => ({
    name: `app-${c}`, image: `example.com/app:${c}`, ports: [{ name: 'http', containerPort: 8080 + c, protocol: 'TCP' }], env: Array.from({ length: 20 }, (_, i) => ({ name: `SETTING_${i}`, value: 'some value' })), resources: { requests: { cpu: '100m', memory: '128Mi' } },
    readinessProbe: { httpGet: { path: '/ready', port: 'http', scheme: 'HTTP' }, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }, livenessProbe: { tcpSocket: { port: 8080 + c }, timeoutSeconds: 1 },
    volumeMounts: [{ name: 'kube-api-access-x', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }], terminationMessagePath: '/dev/termination-log', imagePullPolicy: 'IfNotPresent',
  })
  return {
    apiVersion: 'v1', kind: 'Pod',
    metadata: {
      generateName: 'web-5d4f9-', namespace: 'shop', labels: { app: 'web', 'pod-template-hash': '5d4f9', n: String(n) }, annotations: { 'example.com/note': 'x'.repeat(200) }, ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f9', uid: 'u', controller: true }],
      managedFields: [{ manager: 'kube-controller-manager', operation: 'Update', fieldsV1: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`f:field-${i}`, { 'f:a': {}, 'f:b': {} }])) }],
    },
    spec: { containers: [container(0), container(1), container(2)], volumes: [{ name: 'kube-api-access-x', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }], serviceAccountName: 'web', tolerations: [{ key: 'a', operator: 'Exists' }] },
  }
}

async function measure(rate: number, seconds: number): Promise<void> {
  const pinned = spawn('taskset', ['-V']).on('error', () => undefined)
  const hasTaskset = await new Promise<boolean>((resolve) => pinned.on('exit', (code) => resolve(code === 0)).on('error', () => resolve(false)))
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename, 'serve']
  const child = spawn(hasTaskset ? 'taskset' : command[0] as string, hasTaskset ? ['-c', '0', ...command] : command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<Record<string, unknown>> => JSON.parse(String((await lines.next()).value)) as Record<string, unknown>
  const { port, roots } = await next()
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const send = (n: number, dueMs: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: String(n), operation: 'CREATE', namespace: 'shop', object: pod(n) } })
      const call = request({ host: '127.0.0.1', port: port as number, servername: name, ca: roots as string, method: 'POST', path: '/inject?timeout=10s', agent, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (c: Buffer) => chunks.push(c)).on('end', () => {
          const answer = JSON.parse(Buffer.concat(chunks).toString()) as { response: { allowed: boolean; patch?: string } }
          if (answer.response.allowed && answer.response.patch !== undefined) resolve(performance.now() - dueMs)
          else reject(new Error('not injected'))
        })
      })
      call.on('error', reject)
      call.end(body)
    })
  const phase = async (count: number): Promise<number[]> => {
    const from = performance.now()
    const all: Promise<number>[] = []
    for (let n = 0; n < count; n++) {
      const dueMs = from + (n * 1000) / rate
      if (dueMs > performance.now()) await pause(dueMs - performance.now())
      all.push(send(n, dueMs))
    }
    return Promise.all(all)
  }
  await phase(rate * 2)
  child.stdin.write('\n')
  await next()
  const times = (await phase(rate * seconds)).toSorted((a, b) => a - b)
  child.stdin.write('\n')
  const { cpuMs, rss } = await next()
  const at = (q: number): string => `${(times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0).toFixed(1)} ms`
  process.stdout.write(`${times.length} reviews at ${rate}/s${hasTaskset ? ', webhook on one core' : ''}: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}; ${((cpuMs as number) / times.length).toFixed(2)} ms CPU each, ${Math.round((rss as number) / 1e6)} MB\n`)
  child.kill()
  agent.destroy()
}
