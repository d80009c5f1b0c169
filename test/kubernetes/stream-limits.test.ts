// A sidecar that means harm: what it may make the control plane remember has an end, by delta and by state of the
// world.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Client, credentials, status, type ServiceError } from '@grpc/grpc-js'
import { startInCluster, type ClusterControlPlane } from '#server'
import { deltaMethod, sotwMethod, typeUrls } from '#xds'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'
import { askCertificate, SidecarClient, type Proof } from './sidecar-client.ts'

const system = 'istio-system'
const serverName = 'istiod.istio-system.svc'
const nodeId = 'sidecar~10.0.0.1~x.foo~foo.svc.cluster.local'
const million = Array.from({ length: 1_000_000 }, (_, i) => `outbound|80||s${i}`)

interface Started {
  readonly plane: ClusterControlPlane
  readonly lines: Line[]
  readonly proof: Proof
  readonly address: string
}

async function started(t: TestContext): Promise<Started> {
  const api = await ApiServer.start()
  for (const name of [system, 'foo']) api.put('/api/v1/namespaces', { metadata: { name } })
  const containers = [
    { name: 'app', image: 'app' },
    { name: 'istio-proxy', image: 'kith' },
  ]
  const pod = { spec: { serviceAccountName: 'x', containers }, status: { phase: 'Running', podIP: '10.0.0.1' } }
  api.put('/api/v1/namespaces/foo/pods', { metadata: { name: 'x' }, ...pod })
  const extra = { 'authentication.kubernetes.io/pod-name': ['x'] }
  const user = { username: 'system:serviceaccount:foo:x', groups: ['system:serviceaccounts'], extra }
  api.tokens.set('x', { authenticated: true, audiences: ['istio-ca'], user })
  const lines: Line[] = []
  const plane = await startInCluster({
    client: clientOf(api),
    namespace: system,
    revision: 'default',
    me: 'a',
    listen: '127.0.0.1:0',
    statusPort: { host: '127.0.0.1', port: 0 },
    log: remember(lines),
  })
  t.after(async () => {
    await plane.stop()
    await api.down().catch(() => undefined)
  })
  await eventually(
    'a snapshot',
    () => plane.snapshot()?.workloadById.has('x.foo'),
    (there) => there === true,
  )
  const address = `127.0.0.1:${plane.port}`
  const proof = await askCertificate({ address, serverName, roots: plane.authority.trust().roots }, 'x')
  return { plane, lines, proof, address }
}

function clientAt(t: TestContext, { address, proof }: Started): Client {
  const secure = credentials.createSsl(Buffer.from(proof.roots), Buffer.from(proof.key), Buffer.from(proof.chain))
  const options = { 'grpc.ssl_target_name_override': serverName, 'grpc.use_local_subchannel_pool': 1 }
  const client = new Client(address, secure, options)
  t.after(() => client.close())
  return client
}

const node = { id: nodeId, cluster: '', metadata: {} }

/** How the stream ended. */
function deltaEnd(client: Client, requests: readonly object[]): Promise<ServiceError> {
  const { path, requestSerialize, responseDeserialize } = deltaMethod
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
  stream.on('data', () => undefined)
  const empty = { subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', node }
  for (const r of requests) stream.write({ typeUrl: typeUrls.endpoint, ...empty, ...r })
  return new Promise((resolve) => stream.on('error', (e) => resolve(e as ServiceError)))
}

function sotwEnd(client: Client, requests: readonly object[]): Promise<ServiceError> {
  const { path, requestSerialize, responseDeserialize } = sotwMethod
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
  stream.on('data', () => undefined)
  for (const r of requests) stream.write({ typeUrl: typeUrls.endpoint, names: [], nonce: '', node, ...r })
  return new Promise((resolve) => stream.on('error', (e) => resolve(e as ServiceError)))
}

test('a stream that asks for a million names, or types without end, ends; the log and a metric say so', async (t) => {
  const all = await started(t)
  const client = clientAt(t, all)
  const tenth = million.slice(0, 100_000)
  const types = Array.from({ length: 20 }, (_, i) => ({ typeUrl: `type.googleapis.com/x.T${i}` }))
  // In messages that are small enough to be taken, and all at once.
  const parts = Array.from({ length: 10 }, (_, i) => ({ subscribe: million.slice(i * 1000, i * 1000 + 1000) }))
  const versions = Object.fromEntries(tenth.map((n) => [n, '1']))
  const ends = [
    await deltaEnd(client, parts),
    await deltaEnd(client, [{ subscribe: tenth }]),
    await deltaEnd(client, [{ typeUrl: typeUrls.cluster, initialVersions: versions }]),
    await deltaEnd(client, types),
    await sotwEnd(client, [{ names: tenth }]),
    await sotwEnd(client, types),
  ]
  for (const end of ends) {
    assert.equal(end.code, status.RESOURCE_EXHAUSTED, end.details)
    assert.match(
      end.details,
      /asks for more than can exist: more than \d+ (names of ClusterLoadAssignment|names of Cluster|types)/,
    )
  }
  const said = all.lines.filter(
    (l) => l.message === 'proxy refused' && /more than can exist/.test(String(l.fields['reason'])),
  )
  assert.equal(said.length, ends.length)
  const metrics = await (await fetch(`http://127.0.0.1:${all.plane.statusPort}/metrics`)).text()
  assert.match(metrics, /pilot_xds_events_total\{event="excess"\} 6\n/)
  // A million names in one message are more than a message may hold: that ends it too.
  assert.equal((await deltaEnd(client, [{ subscribe: million }])).code, status.RESOURCE_EXHAUSTED)
  // One that asks for what there is goes on.
  const where = { address: all.address, serverName, roots: all.proof.roots }
  const sidecar = new SidecarClient(where, all.proof, nodeId)
  t.after(() => sidecar.close())
  await eventually(
    'served',
    () => sidecar.names(typeUrls.listener).length,
    (n) => n > 0,
  )
})

test('of the streams of one pod the newest stay', async (t) => {
  const all = await started(t)
  const where = { address: all.address, serverName, roots: all.proof.roots }
  const sidecars: SidecarClient[] = []
  t.after(() => sidecars.forEach((s) => s.close()))
  for (let i = 0; i < 10; i++) {
    const sidecar = new SidecarClient(where, all.proof, nodeId)
    sidecars.push(sidecar)
    await eventually(
      `stream ${i}`,
      () => sidecar.names(typeUrls.listener).length,
      (n) => n > 0,
    )
  }
  await eventually(
    'the oldest have ended',
    () => sidecars.filter((s) => s.ended !== undefined).length,
    (n) => n === 2,
  )
  assert.deepEqual(
    sidecars.map((s) => s.ended !== undefined),
    [true, true, ...Array<boolean>(8).fill(false)],
  )
  assert.equal((sidecars[0]?.ended as ServiceError | undefined)?.code, status.RESOURCE_EXHAUSTED)
})

test('a refused node id is logged shortly', async (t) => {
  const all = await started(t)
  const long = { node: { ...node, id: `sidecar~${'x'.repeat(1_000_000)}` } }
  assert.equal((await deltaEnd(clientAt(t, all), [long])).code, status.INVALID_ARGUMENT)
  assert.ok(all.lines.every((l) => JSON.stringify(l.fields).length < 4096))
})
