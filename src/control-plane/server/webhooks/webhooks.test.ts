import assert from 'node:assert/strict'
import { request } from 'node:https'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { applyPatch } from 'rfc6902'
import { Registry } from 'prom-client'
import { silentLogger } from '#lib/log.ts'
import { selfSignedAuthority } from '#ca'
import { createInjector, type AdmissionResponse } from '#inject'
import { ServingCertificate } from '../serving-certificate.ts'
import { startWebhooks } from './start-webhooks.ts'

interface Answer {
  readonly status: number
  readonly text: string
}
const name = 'istiod.istio-system.svc'
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'web-5d4f9-', labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'x' }] } }
const review = (object: object, more: object = {}): object => ({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u1', operation: 'CREATE', namespace: 'shop', object, ...more } })

async function served(t: TestContext) {
  let authority = await selfSignedAuthority('cluster.local', Date.now())
  const serving = new ServingCertificate(() => authority, [name], Date.now, silentLogger)
  await serving.renew()
  const registry = new Registry()
  const injector = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml: { parse: (text) => JSON.parse(text) as unknown, print: JSON.stringify } })
  const server = await startWebhooks({ host: '127.0.0.1', port: 0, serving, injector: () => injector, registry, log: silentLogger })
  t.after(() => {
    serving.close()
    return server.close()
  })
  const send = (method: string, path: string, body: string | Buffer, headers: Record<string, string> = { 'content-type': 'application/json' }, ca = authority.roots): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: server.port, servername: name, ca, method, path, headers, agent: false }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (c: Buffer) => chunks.push(c)).on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() })).on('error', reject)
      })
      call.on('error', reject)
      call.end(body)
    })
  const post = async (path: string, body: object): Promise<AdmissionResponse> => {
    const answer = await send('POST', path, JSON.stringify(body))
    assert.equal(answer.status, 200, answer.text)
    return (JSON.parse(answer.text) as { response: AdmissionResponse }).response
  }
  return {
    port: server.port, registry, send, post,
    async replaceRoot() {
      authority = await selfSignedAuthority('cluster.local', Date.now())
      await serving.renew()
    },
  }
}

test('a pod is patched over TLS that the mesh’s own root verifies; a new root serves at once', async (t) => {
  const { post, registry, replaceRoot, send } = await served(t)
  const response = await post('/inject', review(pod))
  assert.equal(response.allowed, true)
  assert.equal(response.uid, 'u1')
  const patched = structuredClone(pod) as typeof pod & { spec: { containers: { name: string }[]; volumes: unknown[] }; metadata: { annotations: Record<string, string> } }
  assert.deepEqual(applyPatch(patched, JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()) as never).filter((e) => e !== null), [])
  assert.deepEqual(patched.spec.containers.map((c) => c.name), ['web', 'istio-proxy'])
  await replaceRoot()
  assert.equal((await send('GET', '/ready', '')).status, 200)
  const metrics = await registry.metrics()
  assert.match(metrics, /sidecar_injection_requests_total 1\n/)
  assert.match(metrics, /sidecar_injection_success_total 1\n/)
})

test('the path says for which cluster', async (t) => {
  const { post } = await served(t)
  const patch = Buffer.from((await post('/inject/cluster/east--slash--1/net/n1', review(pod))).patch ?? '', 'base64').toString()
  assert.match(patch, /"name":"ISTIO_META_CLUSTER_ID","value":"east\/1"/)
  assert.match(patch, /"topology.istio.io\/network","value":"n1"|topology.istio.io~1network","value":"n1"|"topology.istio.io\/network":"n1"/)
})

test('what is no review is answered cheaply, and the server stays', async (t) => {
  const { send, port, post, registry } = await served(t)
  const json = { 'content-type': 'application/json' }
  const cases: readonly (readonly [string, string, string | Buffer, Record<string, string>, number])[] = [
    ['GET', '/inject', '', json, 405], ['POST', '/inject', '{}', { 'content-type': 'text/plain' }, 415], ['POST', '/inject', '', json, 400], ['POST', '/inject', '{', json, 400], ['POST', '/inject', Buffer.alloc(8 * 1024 * 1024, 0x20), json, 413],
    ['POST', '/', '{}', json, 404], ['POST', '/__proto__', '{}', json, 404], ['POST', '/constructor', '{}', json, 404], ['POST', '/inject', Buffer.from([0xff, 0xfe, 0x00]), json, 400],
  ]
  for (const [method, path, body, headers, status] of cases) assert.equal((await send(method, path, body, headers)).status, status, `${method} ${path}`)
  const bodies = ['null', '[]', '1', '"x"', '{}', '{"kind":"AdmissionReview"}', '{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"b"}}', JSON.stringify(review({ kind: 'Pod', spec: { containers: 7 } })), JSON.stringify(review({ kind: 'Pod', metadata: { annotations: 3 }, spec: { containers: [null, 1] } })), JSON.stringify(review({ kind: 'Secret' })), '['.repeat(200_000) + ']'.repeat(200_000)]
  for (const body of bodies) {
    for (const path of ['/inject', '/validate']) {
      const answer = await send('POST', path, body)
      assert.equal(answer.status, 200, `${path} ${body.slice(0, 60)}: ${answer.text}`)
      const { response } = JSON.parse(answer.text) as { response: AdmissionResponse }
      if (path === '/inject') assert.equal(response.allowed, false, body.slice(0, 60))
    }
  }
  const plain = connect(port, '127.0.0.1')
  await new Promise((resolve) => plain.on('close', resolve).on('error', () => undefined).end('GET / HTTP/1.1\r\n\r\n'))
  assert.equal((await post('/inject', review(pod))).allowed, true)
  assert.match(await registry.metrics(), /sidecar_injection_failure_total 1\d\n|sidecar_injection_failure_total 2\d\n/)
})

test('of the mesh’s kinds, what kith validate refuses is refused, its warnings are the API server’s; what stood before may go', async (t) => {
  const { post } = await served(t)
  const policy = (mode: string, more: object = {}): object => ({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'shop', ...more }, spec: { mtls: { mode } } })
  assert.deepEqual(await post('/validate', review(policy('STRICT'))), { uid: 'u1', allowed: true })
  const refused = await post('/validate', review(policy('STRICTT')))
  assert.equal(refused.allowed, false)
  assert.match(refused.status?.message ?? '', /spec\.mtls\.mode.*did you mean/)
  const stood = await post('/validate', review(policy('STRICTT', { finalizers: [] }), { operation: 'UPDATE', oldObject: policy('STRICTT') }))
  assert.equal(stood.allowed, true)
  assert.match(stood.warnings?.join() ?? '', /not in effect/)
  assert.equal((await post('/validate', review(policy('STRICTT'), { operation: 'UPDATE', oldObject: policy('STRICT') }))).allowed, false)
  assert.equal((await post('/validate', review(policy('STRICT', { name: undefined, generateName: 'p-' })))).allowed, true)
})
