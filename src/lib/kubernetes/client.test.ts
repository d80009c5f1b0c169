import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { clientOver, kubernetesClient } from './client.ts'
import { credentialSource } from './credentials.ts'
import { transport } from './http.ts'
import { jsonLines } from './json-lines.ts'
import { clusterAccess } from './kubeconfig.ts'
import { knownResource, resourcePath } from './kinds.ts'

async function served(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse, n: number) => void, user: object = {}) {
  let n = 0
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response, n++)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const client = clientOver(transport({ server: url, namespace: 'foo', cluster: { server: url }, user }), url, 'foo')
  t.after(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return { client, asked, server, url }
}
const status = (response: ServerResponse, code: number, message = ''): void => void response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', code, message }))
const json = (response: ServerResponse, value: unknown): void => void response.writeHead(200).end(JSON.stringify(value))

test('lines come out whole wherever the network cut them, also within a character, also long ones', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.record({ a: fc.string({ unit: 'grapheme', maxLength: 300 }), b: fc.integer() }, { noNullPrototype: true }), { maxLength: 8 }), fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 30 }), async (values, cuts) => {
    const all = Buffer.from(values.map((v) => JSON.stringify(v) + '\n').join('\r\n'), 'utf8')
    const chunks: Buffer[] = []
    for (let at = 0, i = 0; at < all.length; i++) {
      const length = 1 + (cuts[i % cuts.length] as number)
      chunks.push(all.subarray(at, at + length))
      at += length
    }
    const got: unknown[] = []
    for await (const v of jsonLines(Readable.from(chunks))) got.push(v)
    assert.deepEqual(got, values)
  }), { numRuns: 200 })
  const long = Buffer.from(JSON.stringify({ x: 'y'.repeat(5_000_000) }) + '\n{"cut":')
  const chunks = Array.from({ length: Math.ceil(long.length / 1000) }, (_, i) => long.subarray(i * 1000, i * 1000 + 1000))
  const got: unknown[] = []
  for await (const v of jsonLines(Readable.from(chunks))) got.push(v)
  assert.equal(got.length, 1, 'what has no end was never said')
})

test('where each kind lies', () => {
  const rows: readonly (readonly [string, string, string | undefined, string | undefined, string])[] = [
    ['v1', 'Pod', 'foo', 'a', '/api/v1/namespaces/foo/pods/a'], ['v1', 'Pod', undefined, undefined, '/api/v1/pods'], ['v1', 'Namespace', 'foo', 'a', '/api/v1/namespaces/a'],
    ['security.istio.io/v1', 'PeerAuthentication', 'foo', 'a', '/apis/security.istio.io/v1/namespaces/foo/peerauthentications/a'], ['rbac.authorization.k8s.io/v1', 'ClusterRole', 'foo', 'x:y', '/apis/rbac.authorization.k8s.io/v1/clusterroles/x%3Ay'],
    ['networking.istio.io/v1', 'ServiceEntry', undefined, undefined, '/apis/networking.istio.io/v1/serviceentries'], ['networking.k8s.io/v1', 'Ingress', 'foo', undefined, '/apis/networking.k8s.io/v1/namespaces/foo/ingresses'],
  ]
  for (const [apiVersion, kind, namespace, name, path] of rows) {
    const resource = knownResource(apiVersion, kind)
    assert.ok(resource !== undefined, kind)
    assert.equal(resourcePath(resource, apiVersion, namespace, name), path)
  }
  assert.equal(knownResource('example.com/v1', 'Pod'), undefined)
  assert.equal(knownResource('v1', 'constructor'), undefined)
})

test('each refusal has its code and the API server’s own sentence', async (t) => {
  const rows: readonly (readonly [number, string])[] = [[400, 'K8S_INVALID'], [403, 'K8S_FORBIDDEN'], [409, 'K8S_CONFLICT'], [410, 'K8S_GONE'], [422, 'K8S_INVALID'], [500, 'K8S_FAILED'], [401, 'K8S_UNAUTHORIZED']]
  const { client, server } = await served(t, (_request, response, n) => status(response, (rows[n] as [number, string])[0], `no ${n}`))
  for (const [i, [, code]] of rows.entries()) await assert.rejects(client.request('GET', '/version'), { code, message: `GET /version: no ${i}` })
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await assert.rejects(client.request('GET', '/version'), { code: 'K8S_UNREACHABLE', message: /can't be reached: .*ECONNREFUSED/ })
})

test('what is not there is undefined, or false; who comes too often waits as told', async (t) => {
  const { client, asked } = await served(t, (request, response, n) => {
    if (request.url === '/api/v1/namespaces/foo/pods/busy' && n < 4) return void response.writeHead(429, { 'retry-after': '0.02' }).end('{}')
    if (request.url?.endsWith('busy')) return json(response, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'busy' } })
    status(response, 404, 'not found')
  })
  assert.equal(await client.get({ apiVersion: 'v1', kind: 'Pod', name: 'a' }), undefined)
  assert.equal(await client.delete({ apiVersion: 'v1', kind: 'Pod', name: 'a' }), false)
  assert.equal((await client.get({ apiVersion: 'v1', kind: 'Pod', name: 'busy' }))?.metadata.name, 'busy')
  assert.equal(asked.filter((a) => a.endsWith('busy')).length, 3)
})

test('a kind that stands in no table is looked up, once; one that is not there yet, again', async (t) => {
  let there = false
  const { client, asked } = await served(t, (request, response) => {
    if (request.url === '/apis/example.com/v1') return json(response, { kind: 'APIResourceList', resources: there ? [{ name: 'widgets', kind: 'Widget', namespaced: true }, { name: 'widgets/status', kind: 'Widget', namespaced: true }] : [] })
    json(response, { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' } })
  })
  const key = { apiVersion: 'example.com/v1', kind: 'Widget', name: 'w' }
  assert.equal(await client.get(key), undefined)
  there = true
  await client.get(key)
  await client.get(key)
  assert.deepEqual(asked.filter((a) => a === 'GET /apis/example.com/v1').length, 2)
  assert.equal(asked.at(-1), 'GET /apis/example.com/v1/namespaces/foo/widgets/w')
})

test('kubeconfig: several files, the first that names a thing has it; relative paths, contexts, and what is missing', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kith-kubeconfig-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const a = join(dir, 'a')
  const b = join(dir, 'b')
  writeFileSync(a, 'current-context: one\ncontexts: [{name: one, context: {cluster: c, user: u, namespace: foo}}]\nclusters: [{name: c, cluster: {server: "https://a:6443/", certificate-authority: ca.pem}}]\nusers:\n')
  writeFileSync(b, 'current-context: two\ncontexts: [{name: two, context: {cluster: c, user: nobody}}]\nclusters: [{name: c, cluster: {server: "https://b"}}]\nusers: [{name: u, user: {client-certificate: c.pem, client-key: /k.pem}}]\n')
  const access = clusterAccess({}, { KUBECONFIG: `${a}:${join(dir, 'none')}:${b}` })
  assert.deepEqual(access, { server: 'https://a:6443', namespace: 'foo', cluster: { server: 'https://a:6443/', 'certificate-authority': join(dir, 'ca.pem') }, user: { 'client-certificate': join(dir, 'c.pem'), 'client-key': '/k.pem' } })
  assert.throws(() => clusterAccess({ context: 'two' }, { KUBECONFIG: `${a}:${b}` }), { code: 'KUBECONFIG_INVALID', message: /names the user nobody/ })
  assert.throws(() => clusterAccess({ context: 'three' }, { KUBECONFIG: a }), { code: 'KUBECONFIG_INVALID', message: /no context three/ })
  assert.throws(() => clusterAccess({ kubeconfig: join(dir, 'none') }, {}), { code: 'KUBECONFIG_MISSING' })
  writeFileSync(a, 'a: [')
  assert.throws(() => clusterAccess({ kubeconfig: a }, {}), { code: 'KUBECONFIG_INVALID' })
})

test('a credential plugin is asked with KUBERNETES_EXEC_INFO, its answer kept until it runs out or is refused', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kith-plugin-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const plugin = join(dir, 'plugin')
  writeFileSync(plugin, `#!${process.execPath}\nconst { appendFileSync, readFileSync } = require('node:fs')\nappendFileSync('${dir}/calls', 'x')\nconst info = JSON.parse(process.env.KUBERNETES_EXEC_INFO)\nconst token = [info.kind, info.apiVersion, process.env.MINE, process.argv[2], readFileSync('${dir}/calls', 'utf8').length].join(' ')\nconsole.log(JSON.stringify({ status: { token, expirationTimestamp: '2030-01-01T00:00:00Z' } }))\n`)
  chmodSync(plugin, 0o755)
  let nowMs = Date.parse('2029-01-01T00:00:00Z')
  const access = { server: 'https://a', namespace: '', cluster: { server: 'https://a' }, user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, args: ['get'], env: [{ name: 'MINE', value: 'm' }] } } }
  const source = credentialSource(access, () => nowMs)
  const [one, two] = await Promise.all([source.get(), source.get()])
  assert.equal(one.headers['authorization'], 'Bearer ExecCredential client.authentication.k8s.io/v1 m get 1')
  assert.equal(two, one)
  nowMs = Date.parse('2031-01-01T00:00:00Z')
  assert.match(String((await source.get()).headers['authorization']), / 2$/)
  source.forget()
  assert.match(String((await source.get()).headers['authorization']), / 3$/)
  const broken = credentialSource({ ...access, user: { exec: { command: join(dir, 'none'), installHint: 'get it' } } })
  await assert.rejects(broken.get(), { code: 'K8S_UNAUTHORIZED', message: /can't be run[^]*get it/ })
})

test('a token file is read anew, a refused token once more; impersonation is asked for', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kith-token-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'token')
  writeFileSync(file, 'one\n')
  const { client, asked } = await served(t, (request, response) => {
    if (request.headers.authorization === 'Bearer two') return json(response, { as: request.headers['impersonate-user'], groups: request.headers['impersonate-group'] })
    writeFileSync(file, 'two')
    status(response, 401, 'Unauthorized')
  }, { tokenFile: file, as: 'eve', 'as-groups': ['g'] })
  assert.deepEqual(await client.request('GET', '/x'), { as: 'eve', groups: 'g' })
  assert.equal(asked.length, 2)
})

test('a watch ends with its signal, and says when it was cut off', async (t) => {
  const { client, server } = await served(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{"type":"ADDED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","resourceVersion":"2"}}}\n')
  })
  const ending = new AbortController()
  const got: string[] = []
  for await (const event of client.watch({ apiVersion: 'v1', kind: 'Pod' }, { resourceVersion: '1', signal: ending.signal })) {
    got.push(String(event.object.metadata.name))
    ending.abort()
  }
  assert.deepEqual(got, ['a'])
  await assert.rejects(async () => {
    for await (const _event of client.watch({ apiVersion: 'v1', kind: 'Pod' }, { resourceVersion: '1', signal: new AbortController().signal })) server.closeAllConnections()
  }, { code: 'K8S_UNREACHABLE', message: /cut off/ })
})

test('without a cluster there is a code, not a stack', async () => {
  await assert.rejects(kubernetesClient({ kubeconfig: '/nowhere/config' }), { code: 'KUBECONFIG_MISSING' })
})

test('proxy-url stands between: a tunnel for https, the whole address for http; others are refused by name', async (t) => {
  const asked: string[] = []
  const proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    json(response, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' } })
  })
  proxy.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`)
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  const over = (server: string, url: string) => clientOver(transport({ server, namespace: 'foo', cluster: { server, 'proxy-url': url }, user: {} }), server, 'foo')
  const url = `http://127.0.0.1:${(proxy.address() as { port: number }).port}`
  const [plain, secure] = [over('http://api.example', url), over('https://api.example:6443', url)]
  t.after(() => [plain, secure].forEach((c) => c.close()))
  const key = { apiVersion: 'v1', kind: 'Pod', namespace: 'foo', name: 'x' }
  assert.equal((await plain.get(key))?.metadata.name, 'x')
  await assert.rejects(secure.get(key), { code: 'K8S_UNREACHABLE' })
  assert.deepEqual(asked, ['GET http://api.example/api/v1/namespaces/foo/pods/x', 'CONNECT api.example:6443'])
  assert.throws(() => over('https://api.example', 'socks5://127.0.0.1:1080'), { code: 'KUBECONFIG_INVALID', message: /http:\/\/ or https:\/\// })
})
