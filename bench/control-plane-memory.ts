// What the control plane of a cluster weighs, and how soon it speaks: 1,000 pods behind 100 services, proxies connected, endpoints changing.
//   node bench/control-plane-memory.ts [PODS] [SERVICES] [PROXIES]     default 1000 100 20; needs no cluster: test/kubernetes/api-server.ts
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { typeUrls } from '#xds'
import { ApiServer } from '../test/kubernetes/api-server.ts'
import { askCertificate, rootOf, SidecarClient } from '../test/kubernetes/sidecar-client.ts'

const [pods = 1000, services = 100, proxies = 20] = process.argv.slice(2).map(Number)
process.once('exit', () => child?.kill('SIGKILL'))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
let child: ReturnType<typeof spawn> | undefined
const folder = mkdtempSync(join(tmpdir(), 'kith-bench-'))
const api = await ApiServer.start()
const name = (i: number): string => `app-${i % services}`
const address = (i: number): string => `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`
const podsPath = '/api/v1/namespaces/bench/pods'
const slicesPath = '/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices'

/** As large as pods are: about 8 KB with all that a mesh does not read. */
function podOf(i: number): Parameters<ApiServer['put']>[1] {
  const padding = { 'f:metadata': Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`f:field-${n}`, { 'f:value': {} }])) }
  const container = (n: string): object => ({ name: n, image: `registry.example.com/team/${n}:v1`, ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }], env: Array.from({ length: 20 }, (_, e) => ({ name: `VARIABLE_${e}`, value: 'some value of usual length' })), resources: { requests: { cpu: '100m', memory: '128Mi' } }, volumeMounts: [{ name: 'kube-api-access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }] })
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: { name: `${name(i)}-${i}`, labels: { app: name(i), 'pod-template-hash': '5d4f', version: 'v1' }, annotations: { 'sidecar.istio.io/status': '{"version":"x"}' }, ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name(i)}-5d4f`, uid: 'u', controller: true }], managedFields: [padding, padding] },
    spec: { serviceAccountName: name(i), nodeName: 'none', containers: [container(name(i))], initContainers: [container('istio-proxy')], volumes: [{ name: 'kube-api-access', projected: {} }] },
    status: { phase: 'Running', podIP: address(i), podIPs: [{ ip: address(i) }], conditions: ['Ready', 'Initialized', 'ContainersReady', 'PodScheduled'].map((type) => ({ type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' })), containerStatuses: [{ name: name(i), image: 'x', imageID: 'y', state: { running: {} } }] },
  }
}
function sliceOf(s: number, notReady = -1): Parameters<ApiServer['put']>[1] {
  const mine = Array.from({ length: Math.ceil(pods / services) }, (_, k) => s + k * services).filter((i) => i < pods)
  return { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: `app-${s}-abc`, labels: { 'kubernetes.io/service-name': `app-${s}` } }, addressType: 'IPv4', ports: [{ name: 'http', port: 8080 }], endpoints: mine.map((i) => ({ addresses: [address(i)], conditions: { ready: i !== notReady }, targetRef: { kind: 'Pod', name: `${name(i)}-${i}`, namespace: 'bench' } })) }
}
for (const ns of ['istio-system', 'bench']) api.put('/api/v1/namespaces', { kind: 'Namespace', metadata: { name: ns, labels: { 'istio-injection': 'enabled' } } })
for (let i = 0; i < pods; i++) api.put(podsPath, podOf(i))
for (let s = 0; s < services; s++) {
  api.put('/api/v1/namespaces/bench/services', { apiVersion: 'v1', kind: 'Service', metadata: { name: `app-${s}` }, spec: { clusterIP: `10.96.${s >> 8}.${s & 255}`, selector: { app: `app-${s}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } })
  api.put(slicesPath, sliceOf(s))
}
for (let p = 0; p < proxies; p++) api.tokens.set(`t${p}`, { authenticated: true, audiences: ['istio-ca'], user: { username: `system:serviceaccount:bench:${name(p)}`, groups: ['system:serviceaccounts'], extra: { 'authentication.kubernetes.io/pod-name': [`${name(p)}-${p}`] } } })
const kubeconfig = join(folder, 'kubeconfig')
writeFileSync(kubeconfig, api.kubeconfig)

const startedMs = performance.now()
const argv = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4', 'src/control-plane/server/main.ts', 'discovery', '--kubernetes', '--kubeconfig', kubeconfig, '--listen', '127.0.0.1:0', '--status-host', '127.0.0.1', '--status-port', '0', '--drain-seconds', '0', '--log-level', 'warn']
child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'kith-bench-compile-cache') } })
const ready = await new Promise<{ listen: string; statusPort: number }>((resolve) => createInterface({ input: child?.stdout as NodeJS.ReadableStream }).on('line', (l) => resolve(JSON.parse(l) as never)))
while ((await fetch(`http://127.0.0.1:${ready.statusPort}/ready`)).status !== 200) await pause(10)
const rss = (): number => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child?.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
const say = (what: string, value: string): void => void process.stdout.write(`${what.padEnd(62)} ${value}\n`)
say(`ready with ${pods} pods, ${services} services`, `${Math.round(performance.now() - startedMs)} ms, ${rss().toFixed(1)} MB`)

const roots = rootOf(api.read('/api/v1/namespaces/istio-system/secrets', 'istio-ca-secret'))
const where = { address: ready.listen, serverName: 'istiod.istio-system.svc', roots }
let onEndpoints: () => void = () => undefined
const clients: SidecarClient[] = []
async function connect(p: number): Promise<void> {
  const client = new SidecarClient(where, await askCertificate(where, `t${p}`), `sidecar~${address(p)}~${name(p)}-${p}.bench~bench.svc.cluster.local`)
  clients.push(client)
  while (client.names(typeUrls.endpoint).length < services || client.names(typeUrls.listener).length === 0) await pause(5)
  client.onResponse = (r) => r.typeUrl === typeUrls.endpoint && onEndpoints()
}
for (let p = 0; p < proxies; p++) await connect(p)
say(`${proxies} proxies connected`, `${rss().toFixed(1)} MB`)

const changing = Math.min(7, services - 1)
const times: number[][] = []
for (let round = 0; round < (proxies === 0 ? 0 : 20); round++) {
  const fromMs = performance.now()
  const seen: number[] = []
  const all = new Promise<void>((resolve) => {
    onEndpoints = () => {
      seen.push(performance.now() - fromMs)
      if (seen.length === proxies) resolve()
    }
  })
  api.put(slicesPath, sliceOf(changing, round % 2 === 0 ? changing : -1))
  await all
  times.push(seen)
  await pause(150)
}
const middle = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
if (proxies > 0) {
  say('from an EndpointSlice’s change to the first proxy’s push (middle)', `${middle(times.map((t) => Math.min(...t))).toFixed(1)} ms`)
  say('to the last proxy’s push (middle)', `${middle(times.map((t) => Math.max(...t))).toFixed(1)} ms`)
}
for (let i = 0; i < pods; i++) api.put(podsPath, podOf(i))
await pause(1500)
for (let s = 0; s < services; s++) api.put(slicesPath, sliceOf(s, s))
await pause(1500)
say('after all pods and slices were written anew', `${rss().toFixed(1)} MB`)
for (const client of clients) client.close()
child.kill('SIGTERM')
await new Promise((resolve) => child?.once('exit', resolve))
await api.down()
rmSync(folder, { recursive: true, force: true })
