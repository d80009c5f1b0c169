// The cluster as a source, over real HTTP: what is lost, forgotten or refused takes nothing along, and comes back.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { watchKubernetes, type KubernetesWatch, type Objects } from '#sources'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'

const pods = '/api/v1/namespaces/foo/pods'
const policies = '/apis/security.istio.io/v1/namespaces/foo/peerauthentications'
const pod = (name: string, ready = true, more: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: 'a' }, managedFields: [{ manager: 'kubelet' }], ...more }, spec: { containers: [{ name: 'a', image: 'x', env: [{ name: 'SECRET', value: 'y' }], ports: [{ containerPort: 80 }] }] }, status: { podIP: '10.244.0.4', phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] } })
const policy = (mode: string) => ({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default' }, spec: { mtls: { mode } } })

async function watched(t: TestContext, api: ApiServer): Promise<{ watch: KubernetesWatch; lines: Line[]; seen: Objects[]; names: (kind: string) => string[] }> {
  const client = clientOf(api)
  const lines: Line[] = []
  const seen: Objects[] = []
  const watch = watchKubernetes(client, { log: remember(lines) }, (o) => seen.push(o))
  t.after(async () => {
    watch.close()
    client.close()
    await api.down().catch(() => undefined)
  })
  return { watch, lines, seen, names: (kind) => seen.flatMap((o, i) => (i === seen.length - 1 ? o.objects : [])).filter((o) => o.kind === kind).map((o) => o.metadata.name).sort() }
}

test('lists in pages, then follows; what nobody reads is not kept, and what did not change in what counts is no change', async (t) => {
  const api = await ApiServer.start()
  for (let i = 0; i < 1203; i++) api.put(pods, pod(`p${i}`))
  const { watch, seen, names } = await watched(t, api)
  await watch.synced
  assert.equal(names('Pod').length, 1203)
  assert.equal(seen.length, 1)
  assert.equal(api.requests.filter((r) => r === 'GET /api/v1/pods').length, 4)
  const held = JSON.stringify(seen[0]?.objects.find((o) => o.metadata.name === 'p1')?.raw)
  assert.doesNotMatch(held, /managedFields|SECRET|image/)
  assert.match(held, /podIP/)
  const before = seen[0]?.objects.find((o) => o.metadata.name === 'p2')
  api.put(pods, pod('p1', true, { annotations: { 'kubectl.kubernetes.io/restartedAt': 'now' } }))
  await pause(150)
  assert.equal(seen.length, 1)
  api.put(pods, pod('p1', false))
  await eventually('the change', () => seen.length, (n) => n === 2)
  assert.equal(seen[1]?.objects.find((o) => o.metadata.name === 'p2'), before, 'an object that did not change is the same, decoded once')
})

test('the API server is lost under changes, and its history forgotten: what was known stays, then all is as it is there', async (t) => {
  const api = await ApiServer.start()
  for (const n of ['a', 'b', 'c']) api.put(pods, pod(n))
  const { watch, lines, seen, names } = await watched(t, api)
  await watch.synced
  const { port } = api
  await api.down()
  api.remove(pods, 'a')
  api.put(pods, pod('d'))
  api.put(pods, pod('b', false))
  await eventually('the loss is said', () => lines.filter((l) => l.message === 'api server lost, what was last known stays').length, (n) => n > 0)
  await pause(400)
  assert.deepEqual(names('Pod'), ['a', 'b', 'c'])
  assert.ok(seen.every((o) => o.objects.length >= 3), 'nothing was ever emptied')
  api.forget()
  await api.listen(port)
  await eventually('all is as it is there', () => names('Pod'), (n) => n.join() === 'b,c,d', 10_000)
  const said = lines.filter((l) => l.message === 'api server lost, what was last known stays' && (l.fields['kinds'] as string[]).includes('Pod'))
  assert.equal(said.length, 1, 'said once, however often it was tried')
  assert.ok(said.every((l) => (l.fields['kinds'] as string[]).length > 10), 'in one line for all kinds')
  await eventually('the return is said', () => lines.filter((l) => l.message === 'kind is read again' && (l.fields['kinds'] as string[]).includes('Pod')).length, (n) => n === 1)
  assert.equal(watch.status().find((k) => k.kind === 'Pod')?.state, 'watching')
})

test('cut connections, bookmarks and a forgotten history in between: nothing is missed', async (t) => {
  const api = await ApiServer.start()
  const { watch, names } = await watched(t, api)
  await watch.synced
  for (let i = 0; i < 30; i++) {
    api.put(pods, pod(`p${i}`))
    if (i % 4 === 1) api.cut()
    if (i % 7 === 2) api.remove(pods, `p${i - 1}`)
    if (i % 9 === 3) api.forget()
    if (i % 5 === 0) api.bookmark()
    await pause(15)
  }
  const expected = Array.from({ length: 30 }, (_, i) => `p${i}`).filter((n) => api.read(pods, n) !== undefined).sort()
  await eventually('as it is there', () => names('Pod').join(), (n) => n === expected.join(), 15_000)
})

test('a kind that is not there is gone on without, said once, and read when it comes', async (t) => {
  const api = await ApiServer.start()
  api.refused.set('peerauthentications', 404)
  api.put(pods, pod('a'))
  const { watch, lines, seen } = await watched(t, api)
  await watch.synced
  assert.equal(seen.length, 1)
  await eventually('it is said', () => lines.filter((l) => l.message === 'kind can not be read, going on without it and trying again').length, (n) => n === 1)
  assert.equal(watch.status().find((k) => k.kind === 'PeerAuthentication')?.state, 'refused')
  api.refused.clear()
  api.put(policies, policy('STRICT'))
  await eventually('the policy', () => seen.at(-1)?.objects.some((o) => o.kind === 'PeerAuthentication'), (there) => there === true, 10_000)
})

test('a security kind that may not be read opens no door: nothing is served until it can be', async (t) => {
  const api = await ApiServer.start()
  api.refused.set('peerauthentications', 403)
  api.put(policies, policy('STRICT'))
  const { watch, lines, seen } = await watched(t, api)
  let synced = false
  void watch.synced.then(() => (synced = true))
  await eventually('it is said', () => lines.some((l) => l.level === 'error' && /security kind is forbidden/.test(l.message)), (said) => said)
  await pause(300)
  assert.equal(synced, false)
  assert.equal(seen.length, 0)
  api.refused.clear()
  await eventually('synced', () => synced, (s) => s, 10_000)
  assert.equal(seen[0]?.objects.some((o) => o.kind === 'PeerAuthentication'), true)
})

test('a newer text with a fault keeps its former self, and says so; endpoints wait for nobody, policies for quiet', async (t) => {
  const api = await ApiServer.start()
  api.put(policies, policy('STRICT'))
  api.put(pods, pod('a'))
  const { watch, seen } = await watched(t, api)
  await watch.synced
  api.put(policies, policy('STRIKT'))
  await eventually('the problem', () => seen.at(-1)?.problems.map((p) => p.ref.path), (paths) => paths?.join() === 'spec.mtls.mode')
  assert.deepEqual(seen.at(-1)?.objects.find((o) => o.kind === 'PeerAuthentication')?.spec, { mtls: { mode: 'STRICT' } })
  const count = seen.length
  for (let i = 0; i < 5; i++) {
    api.put(policies, policy(i % 2 === 0 ? 'PERMISSIVE' : 'STRICT'))
    await pause(20)
  }
  await eventually('one change for five', () => seen.length - count, (n) => n === 1)
})
