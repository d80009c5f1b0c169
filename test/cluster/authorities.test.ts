// Authorities made with openssl and by hand, judged by a real API server: under each of them it calls the webhooks of a
// control plane that goes on running, injects pods and validates policies. A revision, a namespace and webhooks of our
// own.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { customResourceDefinitions } from '#deploy'
import { webhookConfigurations } from '#inject'
import { kubernetesClient } from '#lib/kubernetes/client.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { waitForCrds } from '../../src/cli/install/rollout.ts'
import { good } from '../certificates/authority-cases.ts'
import { cacerts, makeLevels, opensslMissing } from '../certificates/openssl-authorities.ts'
import { lab, labMissing, labUp } from './lab.ts'

const required = (process.env['REQUIRE'] ?? '').split(',').includes('cluster')
const there = (process.env['KUBECONFIG'] ?? '') !== ''
const noCluster = there ? undefined : required ? labMissing() : 'KUBECONFIG names none'
const missing = noCluster ?? (opensslMissing() ? 'openssl' : undefined)
if (missing !== undefined && required) throw new Error(`REQUIRE=cluster, but ${missing}`)
const skip = missing === undefined ? false : `skipped: needs a cluster (${missing})`

const own = `kith-authorities-${process.pid}`
const apps = `${own}-apps`
/** Those that differ in what Go looks at; all of them are judged by its verifier in test/certificates. */
const decisive = [
  'UTF8, as openssl writes it',
  'three levels below the root, each in its own encoding',
  'several values in one RDN',
  'no name at all',
  'Ed25519',
]

let api: KubernetesClient
let folder = ''
let plane: ChildProcess | undefined
const lines: Record<string, unknown>[] = []
const definitions: KubernetesObject[] = []
const made: KubernetesObject[] = []
let ours = false

async function eventually(what: string, look: () => Promise<string | undefined> | string | undefined): Promise<void> {
  const end = Date.now() + 60_000
  for (;;) {
    const lacking = await look()
    if (lacking === undefined) return
    const said = lines.filter((l) => l['level'] !== 'info').slice(-3)
    assert.ok(Date.now() < end, `${what}: ${lacking}\n${JSON.stringify(said)}`)
    await pause(50)
  }
}

/** This machine's address, as the API server reaches it. */
function ownAddress(server: string): Promise<string> {
  const { hostname, port } = new URL(server)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) || 443 }, () => {
      resolve(socket.localAddress ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

async function make(object: KubernetesObject): Promise<void> {
  await api.create(object)
  made.unshift(object)
}

async function startPlane(): Promise<void> {
  const ports = ['--listen', '127.0.0.1:0', '--status-host', '127.0.0.1', '--status-port', '0', '--webhook-port', '0']
  const where = [
    '--kubernetes',
    '--namespace',
    own,
    '--revision',
    own,
    '--staging-seconds',
    '1',
    '--drain-seconds',
    '0',
  ]
  const argv = ['--disable-warning=ExperimentalWarning', 'src/control-plane/server/main.ts', ...where, ...ports]
  plane = spawn(process.execPath, argv, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, POD_NAME: 'one' },
  })
  createInterface({ input: plane.stderr as NonNullable<ChildProcess['stderr']> }).on('line', (line) => {
    lines.push(line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : { level: 'error', msg: line })
  })
  await eventually('the webhooks', () => (portOf() === undefined ? 'not served' : undefined))
}

const portOf = (): unknown => lines.find((l) => l['msg'] === 'webhooks are served')?.['port']

before(async () => {
  if (skip !== false) return
  if (!there) ours = labUp('--no-node').ours
  api = await kubernetesClient()
  folder = mkdtempSync(join(tmpdir(), 'kith-authorities-'))
  for (const crd of customResourceDefinitions()) {
    if ((await api.get(objectKey(crd))) !== undefined) continue
    await api.create(crd)
    definitions.push(crd)
  }
  await waitForCrds(
    api,
    definitions.map((d) => d.metadata.name ?? ''),
    30_000,
  )
  await make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: own } })
  await make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: apps, labels: { 'istio.io/rev': own } } })
  const config = { rootNamespace: own, discoverySelectors: [{ matchLabels: { 'istio.io/rev': own } }] }
  const data = { mesh: JSON.stringify(config) }
  await make({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `istio-${own}`, namespace: own }, data })
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', namespace: apps, name: 'default' }
  await eventually('the account', async () => ((await api.get(account)) === undefined ? 'not there' : undefined))
})

after(async () => {
  if (skip !== false) return
  plane?.kill('SIGKILL')
  for (const object of [...made, ...definitions]) await api.delete(objectKey(object))
  rmSync(folder, { recursive: true, force: true })
  api.close()
  if (ours) lab('down')
})

async function plugIn(name: string): Promise<string> {
  const files = cacerts(makeLevels(folder, name, good[name] ?? []))
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts', namespace: own }, stringData: files }
  await api.apply(object, { force: true })
  return (files['root-cert.pem'] ?? '').trim()
}

async function bundles(): Promise<string[]> {
  const found = await Promise.all(configurations().map((c) => api.get(objectKey(c))))
  const webhooks = found.flatMap((c) => (c?.['webhooks'] ?? []) as { clientConfig: { caBundle?: string } }[])
  return webhooks.map((w) =>
    Buffer.from(w.clientConfig.caBundle ?? '', 'base64')
      .toString()
      .trim(),
  )
}

/** Our webhooks, which lead to this machine. */
function configurations(): KubernetesObject[] {
  return webhookConfigurations({ revision: own, namespace: own }).map((object) => {
    const webhooks = (object['webhooks'] as { clientConfig: { service: object } }[]).map((w) => {
      const service = { ...w.clientConfig.service, port: Number(portOf()) }
      return { ...w, clientConfig: { ...w.clientConfig, service } }
    })
    return { ...object, webhooks }
  })
}

const labels = { 'istio.io/rev': own }

/**
 * Each call opens a connection of its own where the certificate has changed; the API server keeps its answers' order.
 */
async function judged(): Promise<string | undefined> {
  const containers = [{ name: 'app', image: 'kith.invalid/app' }]
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe', namespace: apps }, spec: { containers } }
  const policy = (mode: string): KubernetesObject => {
    const metadata = { name: 'probe', namespace: apps, labels }
    return { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata, spec: { mtls: { mode } } }
  }
  try {
    const injected = await api.create(pod, { dryRun: true })
    assert.match(JSON.stringify(injected['spec']), /"name":"istio-proxy"/)
    await api.create(policy('STRICT'), { dryRun: true })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test(
  'under each authority the API server calls the webhooks, and no restart is needed from one to the next',
  { skip, timeout: 240_000 },
  async () => {
    const [first = '', ...others] = decisive
    let root = await plugIn(first)
    await startPlane()
    const externalName = await ownAddress(api.server)
    const service = { type: 'ExternalName', externalName, ports: [{ port: 443 }] }
    await make({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `istiod-${own}`, namespace: own },
      spec: service,
    })
    for (const configuration of configurations()) await make(configuration)
    const bundled = async (): Promise<string | undefined> => {
      const all = await bundles()
      return all.every((b) => b === root) ? undefined : `a caBundle holds ${all.map((b) => b.length).join()} characters`
    }
    await eventually(`${first}: the caBundle`, bundled)
    // Webhooks are in force a moment after they were written.
    await eventually(first, judged)
    for (const name of others) {
      root = await plugIn(name)
      await eventually(`${name}: the caBundle`, bundled)
      assert.equal(await judged(), undefined, name)
    }
    assert.deepEqual(
      lines.filter((l) => String(l['msg']).includes('can’t call a webhook')),
      [],
    )
    assert.equal(plane?.exitCode, null)
  },
)
