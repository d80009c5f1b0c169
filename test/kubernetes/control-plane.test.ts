// The control plane of a cluster against a small API server: root, bundles, leader, meshConfig, statuses, tokens; several replicas at once.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { newRootFiles, tokenReviewer } from '#ca'
import { startInCluster, type ClusterControlPlane } from '#server'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'

const system = 'istio-system'
const namespaces = '/api/v1/namespaces'
const configMaps = (ns: string): string => `/api/v1/namespaces/${ns}/configmaps`
const secrets = `/api/v1/namespaces/${system}/secrets`
const policies = '/apis/security.istio.io/v1/namespaces/foo/peerauthentications'

async function cluster(t: TestContext): Promise<{ api: ApiServer; start: (me: string, more?: object) => Promise<ClusterControlPlane & { lines: Line[] }> }> {
  const api = await ApiServer.start()
  for (const name of [system, 'foo', 'kube-system', 'default']) api.put(namespaces, { kind: 'Namespace', metadata: { name } })
  t.after(() => api.down().catch(() => undefined))
  return {
    api,
    async start(me, more = {}) {
      const lines: Line[] = []
      const plane = await startInCluster({ client: clientOf(api), namespace: system, revision: 'default', me, listen: '127.0.0.1:0', statusPort: { host: '127.0.0.1', port: 0 }, staging: { leastMs: 0 }, log: remember(lines), ...more })
      t.after(() => plane.stop())
      return { ...plane, lines }
    },
  }
}

const bundle = (api: ApiServer, ns: string): string | undefined => (api.read(configMaps(ns), 'istio-ca-root-cert')?.['data'] as Record<string, string> | undefined)?.['root-cert.pem']

test('three control planes that start at once have one root and one leader; the leader writes the bundle wherever it belongs, and mends it', async (t) => {
  const { api, start } = await cluster(t)
  const planes = await Promise.all(['a', 'b', 'c'].map((me) => start(me)))
  assert.equal(new Set(planes.map((p) => p.authority.trust().roots)).size, 1)
  const roots = planes[0]?.authority.trust().roots
  await eventually('the bundle', () => [system, 'foo', 'default'].map((ns) => bundle(api, ns)), (all) => all.every((b) => b === roots))
  assert.equal(bundle(api, 'kube-system'), undefined)
  assert.equal(planes.filter((p) => p.leadership.isLeader()).length, 1)
  api.put(namespaces, { kind: 'Namespace', metadata: { name: 'young' } })
  await eventually('a new namespace', () => bundle(api, 'young'), (b) => b === roots)
  api.put(configMaps('foo'), { kind: 'ConfigMap', metadata: { name: 'istio-ca-root-cert' }, data: { 'root-cert.pem': 'mine' } })
  await eventually('edited', () => bundle(api, 'foo'), (b) => b === roots)
  api.remove(configMaps('foo'), 'istio-ca-root-cert')
  await eventually('deleted', () => bundle(api, 'foo'), (b) => b === roots)
  const metrics = await (await fetch(`http://127.0.0.1:${planes[0]?.statusPort}/metrics`)).text()
  for (const line of [/^pilot_xds 0$/m, /^pilot_leader [01]$/m, /^pilot_k8s_objects\{kind="Namespace",state="watching"\} 5$/m, /^citadel_server_root_cert_expiry_timestamp \d{10}/m]) assert.match(metrics, line)
  // The leader goes: another one leads soon, and mends.
  const leader = planes.find((p) => p.leadership.isLeader()) as ClusterControlPlane
  await leader.stop()
  api.remove(configMaps('foo'), 'istio-ca-root-cert')
  await eventually('another leads', () => bundle(api, 'foo'), (b) => b === roots, 15_000)
  assert.equal(planes.filter((p) => p.leadership.isLeader()).length, 1)
  assert.equal(leader.leadership.isLeader(), false)
})

test('the root outlives every control plane; one that is plugged in takes its place in steps; one that does not hang together is refused', async (t) => {
  const { api, start } = await cluster(t)
  const first = await start('a')
  const old = first.authority.trust().roots
  await first.stop()
  const second = await start('b')
  assert.equal(second.authority.trust().roots, old)
  assert.equal(second.authority.trust().step, 'steady')
  const files = await newRootFiles('cluster.local', Date.now())
  const data = Object.fromEntries(Object.entries({ 'tls.crt': files['ca-cert.pem'], 'tls.key': files['ca-key.pem'], 'ca.crt': files['root-cert.pem'] }).map(([k, v]) => [k, Buffer.from(v).toString('base64')]))
  api.put(secrets, { kind: 'Secret', metadata: { name: 'cacerts' }, data: { ...data, 'ca.crt': Buffer.from(old).toString('base64') } })
  await eventually('refused', () => second.lines.find((l) => l.message === 'certificate authority refused, the last one goes on'), (l) => l !== undefined)
  assert.equal(second.authority.trust().roots, old)
  api.put(secrets, { kind: 'Secret', metadata: { name: 'cacerts' }, data })
  await eventually('steady again', () => second.authority.trust(), (trust) => trust.step === 'steady' && trust.roots.trim() === files['root-cert.pem'].trim(), 10_000)
  assert.deepEqual(second.lines.filter((l) => l.message === 'certificate authority changed').map((l) => l.fields['step']), ['spreading', 'draining', 'steady'])
  await eventually('the bundle', () => bundle(api, 'foo')?.trim(), (b) => b === files['root-cert.pem'].trim())
  assert.doesNotMatch(JSON.stringify(second.lines), /PRIVATE KEY/)
})

test('meshConfig is taken up while it runs, and keeps its former self where it has a fault or is gone', async (t) => {
  const { api, start } = await cluster(t)
  const put = (mesh: string): unknown => api.put(configMaps(system), { kind: 'ConfigMap', metadata: { name: 'istio' }, data: { mesh } })
  put('trustDomain: one.example\n')
  const plane = await start('a')
  assert.equal(plane.meshConfig().trustDomain, 'one.example')
  await eventually('a snapshot', () => plane.snapshot()?.mesh.options.trustDomain, (d) => d === 'one.example')
  put('trustDomain: two.example\n')
  await eventually('the other domain', () => plane.snapshot()?.mesh.options.trustDomain, (d) => d === 'two.example')
  put('trustDomain: [three]\n')
  await eventually('refused', () => plane.lines.find((l) => l.message === 'meshConfig refused, the last one goes on'), (l) => l !== undefined)
  api.remove(configMaps(system), 'istio')
  await eventually('gone', () => plane.lines.find((l) => /ConfigMap is gone/.test(l.message)), (l) => l !== undefined)
  assert.equal(plane.snapshot()?.mesh.options.trustDomain, 'two.example')
})

test('where meshConfig may not be read, the control plane does not start by guess', async (t) => {
  const { api, start } = await cluster(t)
  api.refused.set('configmaps', 403)
  await assert.rejects(start('a'), { code: 'MESH_CONFIG_UNREADABLE', message: /ConfigMap istio-system\/istio can't be read: .*refused/ })
})

test('the leader says in an object’s status what became of it: once, of the generation it saw, beside what others wrote', async (t) => {
  const { api, start } = await cluster(t)
  const put = (mode: string): unknown => api.put(policies, { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default' }, spec: { mtls: { mode } }, status: { conditions: [{ type: 'Theirs', status: 'True' }] } })
  const conditions = (): Record<string, unknown>[] => ((api.read(policies, 'default')?.['status'] as { conditions?: Record<string, unknown>[] } | undefined)?.conditions ?? [])
  put('STRICT')
  await start('a')
  await start('b')
  await eventually('accepted', conditions, (all) => all.length === 2)
  const { lastTransitionTime, ...accepted } = conditions()[1] ?? {}
  assert.deepEqual(accepted, { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', observedGeneration: 1 })
  assert.match(String(lastTransitionTime), /^\d{4}-.*Z$/)
  assert.deepEqual(conditions()[0], { type: 'Theirs', status: 'True' })
  put('STRIKT')
  await eventually('refused', conditions, (all) => all[1]?.['status'] === 'False')
  assert.equal(conditions()[1]?.['observedGeneration'], 2)
  assert.match(String(conditions()[1]?.['message']), /IST0106 spec\.mtls\.mode/)
  const version = api.read(policies, 'default')?.metadata.resourceVersion
  api.put('/api/v1/namespaces/foo/services', { kind: 'Service', metadata: { name: 's' }, spec: { clusterIP: '10.96.0.7', ports: [{ port: 80 }] } })
  await pause(1500)
  assert.equal(api.read(policies, 'default')?.metadata.resourceVersion, version, 'nothing is written where nothing changed')
})

test('what planning finds amiss stands in the status too, and goes with its cause', async (t) => {
  const { api, start } = await cluster(t)
  const put = (portLevelMtls: object): unknown => api.put(policies, { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'web' }, spec: { selector: { matchLabels: { app: 'web' } }, portLevelMtls } })
  const condition = (): Record<string, unknown> | undefined => ((api.read(policies, 'web')?.['status'] as { conditions?: Record<string, unknown>[] } | undefined)?.conditions ?? [])[0]
  for (const n of [1, 2, 3]) api.put('/api/v1/namespaces/foo/pods', { kind: 'Pod', metadata: { name: `web-${n}`, labels: { app: 'web' } }, spec: { containers: [{ name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }, { name: 'istio-proxy', image: 'kith' }] }, status: { phase: 'Running', podIP: `10.0.0.${n}` } })
  api.put('/api/v1/namespaces/foo/services', { kind: 'Service', metadata: { name: 'web' }, spec: { clusterIP: '10.96.0.7', selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } })
  put({ 80: { mode: 'DISABLE' } })
  await start('a')
  await eventually('the finding', condition, (c) => c?.['reason'] === 'AcceptedWithWarnings')
  assert.equal(String(condition()?.['message']).match(/KITH0103/g)?.length, 1, 'once, however many pods it concerns')
  assert.match(String(condition()?.['message']), /warning KITH0103 spec\.portLevelMtls\.80: .*write 8080/)
  put({ 8080: { mode: 'DISABLE' } })
  await eventually('mended', condition, (c) => c?.['reason'] === 'Accepted' && c['observedGeneration'] === 2)
})

test('an object that claims another namespace’s host says so in its status; where meshConfig refuses it, it is not accepted', async (t) => {
  const { api, start } = await cluster(t)
  const virtuals = '/apis/networking.istio.io/v1/namespaces/foo/virtualservices'
  const condition = (): Record<string, unknown> | undefined => ((api.read(virtuals, 'evil')?.['status'] as { conditions?: Record<string, unknown>[] } | undefined)?.conditions ?? [])[0]
  api.put(virtuals, { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'evil' }, spec: { hosts: ['httpbin.bar.svc.cluster.local'], http: [{ directResponse: { status: 418 } }] } })
  const plane = await start('a')
  await eventually('the warning', condition, (c) => c?.['reason'] === 'AcceptedWithWarnings')
  assert.match(String(condition()?.['message']), /^warning KITH0120 spec\.hosts\[0\]: httpbin\.bar\.svc\.cluster\.local belongs to namespace bar/)
  assert.equal(plane.lines.filter((l) => l.fields['code'] === 'KITH0120').length, 1)
  api.put(configMaps(system), { kind: 'ConfigMap', metadata: { name: 'istio' }, data: { mesh: 'compat: {foreignHosts: refuse}\n' } })
  await eventually('the refusal', condition, (c) => c?.['status'] === 'False')
  assert.match(String(condition()?.['message']), /^error KITH0120 .*no client follows this object/)
})

test('statuses can be left alone', async (t) => {
  const { api, start } = await cluster(t)
  api.put(policies, { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default' }, spec: {} })
  const plane = await start('a', { writeStatus: false })
  await eventually('leads', () => plane.leadership.isLeader(), (l) => l)
  await pause(900)
  assert.equal(api.read(policies, 'default')?.['status'], undefined)
})

test('a token counts by the API server’s word: audience, group, account; its loss is no refusal', async (t) => {
  const { api } = await cluster(t)
  const user = { username: 'system:serviceaccount:foo:sleep', groups: ['system:serviceaccounts'], extra: { 'authentication.kubernetes.io/pod-name': ['sleep-1'] } }
  const rows: readonly (readonly [string, object, object | RegExp])[] = [
    ['good', { authenticated: true, audiences: ['istio-ca'], user }, { namespace: 'foo', serviceAccount: 'sleep', pod: 'sleep-1' }],
    ['unbound', { authenticated: true, audiences: ['istio-ca'], user: { ...user, extra: {} } }, { namespace: 'foo', serviceAccount: 'sleep', pod: '' }],
    ['unknown', { authenticated: false, error: 'token has expired' }, /expired/],
    ['other audience', { authenticated: true, audiences: ['api'], user }, /audience/],
    ['no audience', { authenticated: true, user }, /audience/],
    ['a person', { authenticated: true, audiences: ['istio-ca'], user: { username: 'admin', groups: ['system:masters'] } }, /no service account/],
    ['a person called so', { authenticated: true, audiences: ['istio-ca'], user: { username: 'system:serviceaccount:foo:sleep', groups: ['dev'] } }, /no service account/],
    ['an account without a namespace', { authenticated: true, audiences: ['istio-ca'], user: { ...user, username: 'system:serviceaccount:sleep' } }, /no service account/],
  ]
  let nowMs = 0
  const client = clientOf(api)
  t.after(() => client.close())
  const reviewer = tokenReviewer(client, () => nowMs)
  for (const [what, status, expected] of rows) {
    api.tokens.set(what, status)
    const answer = await reviewer.authenticate(what)
    if (expected instanceof RegExp) assert.match('refused' in answer ? answer.refused : JSON.stringify(answer), expected, what)
    else assert.deepEqual(answer, expected, what)
  }
  const asked = api.requests.length
  await reviewer.authenticate('good')
  assert.equal(api.requests.length, asked, 'an answer counts shortly')
  nowMs += 11_000
  api.broken = 503
  await assert.rejects(reviewer.authenticate('good'), { code: 'REVIEW_UNAVAILABLE' })
  api.broken = undefined
  assert.ok('pod' in (await reviewer.authenticate('good')), 'a failure is not kept')
  assert.match(JSON.stringify(await reviewer.authenticate('x'.repeat(20_000))), /none/)
})
