// The control plane of a cluster against a real API server: it lists, watches, reviews tokens, writes bundles and statuses, and outlives the API server's loss.
// It runs beside whatever mesh is there: a namespace, a revision and discoverySelectors of its own, no webhooks.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { load } from 'js-yaml'
import { status } from '@grpc/grpc-js'
import { kubernetesClient } from '#lib/kubernetes/client.ts'
import { clusterAccess } from '#lib/kubernetes/kubeconfig.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { silentLogger } from '#lib/log.ts'
import { newRootFiles } from '#ca'
import { customResourceDefinitions } from '#deploy'
import { parseCertificates } from '#identity'
import { followObject } from '#sources'
import { typeUrls } from '#xds'
import { waitForCrds } from '../../src/cli/install/rollout.ts'
import { askCertificate, rootOf, SidecarClient, type Where } from '../kubernetes/sidecar-client.ts'
import { lab, labMissing, labUp } from './lab.ts'

const required = (process.env['REQUIRE'] ?? '').split(',').includes('cluster')
const there = (process.env['KUBECONFIG'] ?? '') !== ''
const missing = there ? undefined : required ? labMissing() : 'KUBECONFIG names none'
if (missing !== undefined && required) throw new Error(`REQUIRE=cluster, but ${missing}`)
const skip = missing === undefined ? false : `skipped: needs a cluster (${missing})`

const own = `kith-plane-${process.pid}`
const apps = `kith-plane-apps-${process.pid}`
const label = { 'kith-test': String(process.pid) }
let api: KubernetesClient
let folder = ''
let road: Road
let plane: Plane
let where: Where
let followed: ReturnType<typeof followObject>
/** What was not there before. */
const definitions: KubernetesObject[] = []
let ours = false

/** Between the control plane and the API server; it may be broken. */
class Road {
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  readonly #to: { host: string; port: number }
  port = 0
  constructor(server: string) {
    const url = new URL(server)
    this.#to = { host: url.hostname, port: Number(url.port) || 443 }
  }
  async open(): Promise<void> {
    const server = createServer((near) => {
      const far = connect(this.#to)
      for (const [socket, other] of [[near, far], [far, near]] as const) {
        this.#sockets.add(socket)
        socket.on('error', () => other.destroy()).on('close', () => {
          this.#sockets.delete(socket)
          other.destroy()
        })
        socket.pipe(other)
      }
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.port, '127.0.0.1', resolve))
    this.port = (server.address() as { port: number }).port
  }
  async break(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    for (const s of this.#sockets) s.destroy()
    await closed
  }
}

interface Plane {
  readonly process: ChildProcess
  readonly listen: string
  readonly statusPort: number
  readonly lines: Record<string, unknown>[]
}

/** Every control plane that was started, whatever became of its test. */
const children: ChildProcess[] = []

async function startPlane(name: string): Promise<Plane> {
  const argv = ['--disable-warning=ExperimentalWarning', 'src/control-plane/server/main.ts', 'discovery', '--kubernetes', '--kubeconfig', join(folder, 'kubeconfig'), '--namespace', own, '--revision', own, '--listen', '127.0.0.1:0', '--status-host', '127.0.0.1', '--status-port', '0', '--webhook-port', '0', '--drain-seconds', '1', '--staging-seconds', '2']
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, POD_NAME: name } })
  children.push(child)
  const lines: Record<string, unknown>[] = []
  createInterface({ input: child.stderr }).on('line', (l) => lines.push(l.startsWith('{') ? (JSON.parse(l) as Record<string, unknown>) : { level: 'error', msg: l }))
  const ready = await new Promise<{ listen: string; statusPort: number }>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (l) => resolve(JSON.parse(l) as never))
    setTimeout(() => reject(new Error(`the control plane did not come up: ${JSON.stringify(lines.filter((l) => l['level'] !== 'info').slice(0, 3))}`)), 30_000).unref()
    child.once('exit', () => reject(new Error(`the control plane ended: ${JSON.stringify(lines.at(-1))}`)))
  })
  return { process: child, lines, ...ready }
}

async function eventually<T>(what: string, look: () => Promise<T> | T, until: (value: T) => boolean, timeoutMs = 20_000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = await look()
    if (until(value)) return value
    if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify(value)}\n${JSON.stringify(plane?.lines.filter((l) => l['level'] !== 'info').slice(-5))}`)
    await pause(50)
  }
}

/** No node takes it up, and none misses it: an object alone. */
const pod = (name: string, account: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: apps, labels: { app: account } }, spec: { serviceAccountName: account, schedulerName: 'none', terminationGracePeriodSeconds: 0, containers: [{ name: 'a', image: 'localhost/none:1', ports: [{ containerPort: 80 }] }, { name: 'istio-proxy', image: 'localhost/none:1' }] } })
const slice = (ready: boolean): KubernetesObject => ({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: 'web-test', namespace: apps, labels: { 'kubernetes.io/service-name': 'web' } }, addressType: 'IPv4', ports: [{ name: 'http', port: 80 }], endpoints: [{ addresses: ['10.99.0.1'], conditions: { ready: true } }, { addresses: ['10.99.0.2'], conditions: { ready } }] })
const policy = (mode: string): KubernetesObject => ({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: apps }, spec: { mtls: { mode } } })
const bundle = async (namespace: string): Promise<string | undefined> => ((await api.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'istio-ca-root-cert' }))?.['data'] as Record<string, string> | undefined)?.['root-cert.pem']
/** Every text that the bundle of `apps` has had: another mesh in this cluster may write there too, where it has no discoverySelectors. */
const bundles: (string | undefined)[] = []
async function writtenAfter(what: string, act: () => Promise<unknown>): Promise<void> {
  const from = bundles.length
  await act()
  await eventually(what, () => bundles.slice(from), (texts) => texts.includes(where.roots))
}
const web = `outbound|80||web.${apps}.svc.cluster.local`

async function tokenOf(account: string, podName: string, audience = 'istio-ca'): Promise<string> {
  const bound = await api.get({ apiVersion: 'v1', kind: 'Pod', namespace: apps, name: podName })
  const answer = await api.request('POST', `/api/v1/namespaces/${apps}/serviceaccounts/${account}/token`, { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [audience], expirationSeconds: 600, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: podName, uid: bound?.metadata.uid } } } })
  return (answer as { status: { token: string } }).status.token
}

/** A plane that has been asked and has given client-1 its certificate. */
async function knows(at: Where): Promise<void> {
  await eventually('client-1 is known there', () => tokenOf('client', 'client-1').then((token) => askCertificate(at, token)).then(() => '', (e: Error) => e.message), (m) => m === '', 20_000)
}

before(async () => {
  if (skip !== false) return
  if (!there) ours = labUp().ours
  api = await kubernetesClient()
  for (const crd of customResourceDefinitions()) {
    if ((await api.get(objectKey(crd))) !== undefined) continue
    await api.create(crd)
    definitions.push(crd)
  }
  await waitForCrds(api, definitions.map((d) => d.metadata.name ?? ''), 30_000)
  folder = mkdtempSync(join(tmpdir(), 'kith-plane-'))
  const { server } = clusterAccess()
  road = new Road(server)
  await road.open()
  const config = load(readFileSync(process.env['KUBECONFIG'] as string, 'utf8')) as { clusters: { cluster: Record<string, unknown> }[] }
  for (const c of config.clusters) Object.assign(c.cluster, { server: `https://127.0.0.1:${road.port}`, 'tls-server-name': new URL(server).hostname })
  writeFileSync(join(folder, 'kubeconfig'), JSON.stringify(config))
  for (const name of [own, apps]) await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: label } })
  await api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `istio-${own}`, namespace: own }, data: { mesh: JSON.stringify({ rootNamespace: own, discoverySelectors: [{ matchLabels: label }] }) } })
  for (const name of ['web', 'client']) {
    await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: apps } })
    await api.create(pod(`${name}-1`, name))
  }
  await api.create({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: apps }, spec: { ports: [{ name: 'http', port: 80 }] } })
  await api.create(slice(true))
  followed = followObject(api, { apiVersion: 'v1', kind: 'ConfigMap', namespace: apps, name: 'istio-ca-root-cert' }, silentLogger, (o) => bundles.push((o?.['data'] as Record<string, string> | undefined)?.['root-cert.pem']))
  plane = await startPlane('one')
  await eventually('the root', () => api.get({ apiVersion: 'v1', kind: 'Secret', namespace: own, name: 'istio-ca-secret' }), (s) => s !== undefined)
  const secret = await api.get({ apiVersion: 'v1', kind: 'Secret', namespace: own, name: 'istio-ca-secret' })
  where = { address: plane.listen, serverName: `istiod-${own}.${own}.svc`, roots: rootOf(secret) }
  // It answers before it has read the pods: an agent then asks again.
  await knows(where)
})

after(async () => {
  if (skip !== false) return
  for (const child of children) child.kill('SIGKILL')
  for (const name of [own, apps]) await api.delete({ apiVersion: 'v1', kind: 'Namespace', name })
  for (const crd of definitions) await api.delete(objectKey(crd))
  await road.break()
  followed.close()
  api.close()
  rmSync(folder, { recursive: true, force: true })
  if (ours) lab('down')
})

test('the bundle is in the namespaces that belong to the mesh, new ones at once, and mended', { skip }, async () => {
  await eventually('the bundle', () => bundles, (texts) => texts.includes(where.roots))
  assert.notEqual(await bundle('kube-system'), where.roots)
  assert.notEqual(await bundle('default'), where.roots)
  await writtenAfter('edited', () => api.patch({ apiVersion: 'v1', kind: 'ConfigMap', namespace: apps, name: 'istio-ca-root-cert' }, 'merge', { data: { 'root-cert.pem': 'mine' } }))
  await writtenAfter('deleted', () => api.delete({ apiVersion: 'v1', kind: 'ConfigMap', namespace: apps, name: 'istio-ca-root-cert' }))
})

test('a pod’s token is reviewed: its account is the certificate’s name; another audience, a deleted pod are refused', { skip }, async () => {
  const proof = await askCertificate(where, await tokenOf('client', 'client-1'))
  assert.equal(new X509Certificate(proof.chain).subjectAltName, `URI:spiffe://cluster.local/ns/${apps}/sa/client`)
  await assert.rejects(askCertificate(where, await tokenOf('client', 'client-1', 'https://kubernetes.default.svc')), { code: status.UNAUTHENTICATED })
  await assert.rejects(askCertificate(where, 'no.token.atall'), { code: status.UNAUTHENTICATED })
  await api.create(pod('client-2', 'client'))
  const doomed = await tokenOf('client', 'client-2')
  await api.delete({ apiVersion: 'v1', kind: 'Pod', namespace: apps, name: 'client-2' })
  await eventually('gone', () => api.get({ apiVersion: 'v1', kind: 'Pod', namespace: apps, name: 'client-2' }), (p) => p === undefined)
  await assert.rejects(askCertificate(where, doomed), { code: status.UNAUTHENTICATED })
})

test('endpoints and policies arrive; the API server’s loss takes nothing; what changed meanwhile comes when it is back', { skip, timeout: 120_000 }, async (t) => {
  const sidecar = new SidecarClient(where, await askCertificate(where, await tokenOf('client', 'client-1')), `sidecar~10.99.0.9~client-1.${apps}~${apps}.svc.cluster.local`)
  t.after(() => sidecar.close())
  const version = (): string => sidecar.held.get(typeUrls.endpoint)?.get(web) ?? ''
  await eventually('endpoints', version, (v) => v !== '')
  const [healthy, fromMs] = [version(), performance.now()]
  await api.apply(slice(false), { force: true })
  await eventually('not ready', version, (v) => v !== healthy)
  t.diagnostic(`from an EndpointSlice's change to the sidecar, API server included: ${Math.round(performance.now() - fromMs)} ms`)

  const token = await tokenOf('client', 'client-1')
  const [clusters, endpoints] = [sidecar.names(typeUrls.cluster), version()]
  await road.break()
  await eventually('the loss is said', () => plane.lines.filter((l) => l['msg'] === 'api server lost, what was last known stays').length, (n) => n > 0)
  await assert.rejects(askCertificate(where, token), { code: status.UNAVAILABLE })
  await api.apply(slice(true), { force: true })
  await api.apply(policy('STRICT'), { force: true })
  await pause(2000)
  assert.equal(sidecar.ended, undefined)
  assert.deepEqual([sidecar.names(typeUrls.cluster), version()], [clusters, endpoints])
  assert.equal((await fetch(`http://127.0.0.1:${plane.statusPort}/ready`)).status, 200)
  const kinds = (await (await fetch(`http://127.0.0.1:${plane.statusPort}/debug/kindz`)).json()) as { kind: string; state: string; objects: number }[]
  assert.deepEqual(kinds.filter((k) => k.kind === 'EndpointSlice').map((k) => k.state), ['lost'])
  await road.open()
  await eventually('what changed meanwhile', version, (v) => v === healthy, 40_000)
  await eventually('tokens are reviewed again', () => askCertificate(where, token).then(() => true, () => false), (ok) => ok, 40_000)
})

test('the leader says of a policy that it was accepted, of the generation that it saw', { skip, timeout: 60_000 }, async () => {
  type Status = { conditions?: { type: string; status: string; observedGeneration: number; message: string }[] } | undefined
  await api.apply(policy('STRICT'), { force: true })
  const condition = async (): Promise<{ status: string; observedGeneration: number } | undefined> => ((await api.get({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', namespace: apps, name: 'default' }))?.['status'] as Status)?.conditions?.find((c) => c.type === 'Accepted')
  const first = await eventually('accepted', condition, (c) => c?.status === 'True', 40_000)
  await api.apply(policy('PERMISSIVE'), { force: true })
  await eventually('of the next generation', condition, (c) => (c?.observedGeneration ?? 0) > (first?.observedGeneration ?? 0), 20_000)
})

test('an authority that is plugged in takes over in steps: both roots are in the bundle before the new one signs, the old one goes last', { skip, timeout: 60_000 }, async () => {
  const files = await newRootFiles('cluster.local', Date.now())
  const from = bundles.length
  await api.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts', namespace: own }, type: 'Opaque', data: Object.fromEntries(Object.entries(files).map(([k, v]) => [k, Buffer.from(v).toString('base64')])) })
  const young = files['root-cert.pem'].trim()
  const roots = (text: string | undefined): string => parseCertificates(text ?? '').map((c) => (c.toString().trim() === young ? 'young' : c.toString().trim() === where.roots.trim() ? 'old' : 'another')).join(' ')
  await eventually('the young root alone', () => bundles.slice(from).filter((t) => t !== undefined).map(roots), (seen) => seen.includes('young'), 30_000)
  const mine = bundles.slice(from).filter((t) => t !== undefined).map(roots).filter((r) => r !== 'another')
  assert.deepEqual(mine.filter((r, i) => r !== mine[i - 1] && r !== 'old'), ['old young', 'young old', 'young'])
  where = { ...where, roots: files['root-cert.pem'] }
  const proof = await askCertificate(where, await tokenOf('client', 'client-1'))
  assert.ok(new X509Certificate(proof.chain).verify(new X509Certificate(young).publicKey))
})

test('a second control plane takes over where the first ends; both have one root; streams are told to go elsewhere', { skip, timeout: 90_000 }, async (t) => {
  const second = await startPlane('two')
  t.after(() => void second.process.kill('SIGKILL'))
  const at = { ...where, address: second.listen }
  await knows(at)
  const sidecar = new SidecarClient(where, await askCertificate(where, await tokenOf('client', 'client-1')), `sidecar~10.99.0.9~client-1.${apps}~${apps}.svc.cluster.local`)
  t.after(() => sidecar.close())
  await eventually('connected', () => sidecar.names(typeUrls.listener).length, (n) => n > 0)
  const exit = new Promise<number | null>((resolve) => plane.process.once('exit', resolve))
  plane.process.kill('SIGTERM')
  assert.equal(await exit, 0)
  assert.equal((sidecar.ended as { code?: number } | undefined)?.code, status.UNAVAILABLE)
  await eventually('the other leads', () => second.lines.some((l) => l['msg'] === 'this control plane leads'), (leads) => leads)
  await writtenAfter('and mends', () => api.delete({ apiVersion: 'v1', kind: 'ConfigMap', namespace: apps, name: 'istio-ca-root-cert' }))
})
