// Rules as written, from the mesh to sockets: a Sidecar's ingress leads to another port, ends its own TLS; a cookie is made where it is missing and leads back to the same pod.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { canonicalJson } from '#lib/canonical.ts'
import { buildMesh, type Mesh } from '#mesh'
import { startProxy, type Proxy } from '#proxy'
import { decodeObjects, parseYaml } from '#sources'
import { configOf } from '../golden/golden-case.ts'
import { createAuthority } from './authority.ts'
import { freePort } from '../fixtures/ports.ts'
import { identity, recordingLog } from './pair.ts'
import { exchange, httpApp, intercepted, whole } from './talk.ts'
import { startPod } from './address-pods.ts'

const ends: (() => void | Promise<void>)[] = []
after(async () => {
  for (const end of ends.toReversed()) await end()
})

const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } }
const pod = (name: string, address: string, sidecar: boolean) => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'foo', labels: { app: name.replace(/-\d$/, '') } },
  spec: { containers: [{ name: 'a', image: 'a' }, ...(sidecar ? [{ name: 'istio-proxy', image: 'p' }] : [])] }, status: { phase: 'Running', podIP: address },
})
const istio = (kind: string, spec: object) => ({ apiVersion: kind === 'PeerAuthentication' ? 'security.istio.io/v1' : 'networking.istio.io/v1', kind, metadata: { name: 'x', namespace: 'foo' }, spec })

function meshOf(objects: readonly object[]): Mesh {
  const { documents } = parseYaml([namespace, ...objects].map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml')
  return buildMesh(decodeObjects(documents).objects)
}

async function running(mesh: Mesh, name: string, dialMap: Parameters<typeof startProxy>[0]['interception'] & { mode: 'NONE' }): Promise<Proxy> {
  const proxy = await startProxy({ identity: identity(name, 'foo'), interception: dialMap, ports: { admin: null, prometheus: null }, log: recordingLog(), accessLog: () => {} })
  ends.push(() => proxy.stop())
  assert.deepEqual(proxy.update(configOf(mesh, `${name}.foo`).resources), { errors: [], unserved: [] })
  return proxy
}

test('a Sidecar’s ingress leads to the port that it names, in plaintext and behind its own TLS', async () => {
  const app = await httpApp((_req, res) => res.end('from the app'))
  ends.push(() => app.close())
  const folder = mkdtempSync(join(tmpdir(), 'kith-ingress-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const authority = await createAuthority()
  const own = await authority.issue([{ type: 'dns', value: 'app.foo' }])
  const [serverCertificate, privateKey] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(serverCertificate, own.chain)
  writeFileSync(privateKey, own.key, { mode: 0o600 })
  const mesh = meshOf([
    pod('app', '10.244.7.1', true),
    istio('PeerAuthentication', { mtls: { mode: 'DISABLE' } }),
    istio('Sidecar', { ingress: [
      { port: { number: 8000, protocol: 'HTTP', name: 'http' }, defaultEndpoint: `127.0.0.1:${app.port}` },
      { port: { number: 8443, protocol: 'HTTPS', name: 'https' }, defaultEndpoint: `127.0.0.1:${app.port}`, tls: { mode: 'SIMPLE', serverCertificate, privateKey } },
    ] }),
  ])
  const [plain, secure] = [await freePort(), await freePort()]
  await running(mesh, 'app', { mode: 'NONE', dialMap: { dial: {}, hosts: {}, inbound: [{ listen: `127.0.0.1:${plain}`, originalDestination: '10.244.7.1:8000' }, { listen: `127.0.0.1:${secure}`, originalDestination: '10.244.7.1:8443' }] } })
  const body = (from: ReturnType<typeof request>): Promise<string> => new Promise((resolve, reject) => {
    from.on('response', (answer) => {
      let text = ''
      answer.on('data', (part: Buffer) => (text += part.toString())).on('end', () => resolve(text))
    }).on('error', reject).end()
  })
  assert.equal(await body(request({ host: '127.0.0.1', port: plain, agent: false })), 'from the app')
  assert.equal(await body(secureRequest({ host: '127.0.0.1', port: secure, servername: 'app.foo', ca: authority.root, agent: false })), 'from the app')
})

test('a cookie is made for who has none, and whoever has one comes to the same pod', async () => {
  const port = await freePort()
  const pods = ['127.0.9.11', '127.0.9.12', '127.0.9.13']
  const started = await Promise.all(pods.map((address) => startPod(address, [port])))
  ends.push(() => started.forEach((p) => p.stop()))
  const mesh = meshOf([
    pod('client', '10.244.7.2', true), ...pods.map((address, i) => pod(`web-${i}`, address, false)),
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'foo' }, spec: { clusterIP: '10.96.7.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 8000, targetPort: port }] } },
    istio('DestinationRule', { host: 'web', trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: 'session', path: '/', ttl: '60s' } } } } }),
  ])
  const proxyPort = await freePort()
  await running(mesh, 'client', { mode: 'NONE', dialMap: { dial: {}, inbound: [], httpProxy: `127.0.0.1:${proxyPort}`, hosts: { 'web.foo': '10.96.7.1' } } })
  const call = async (cookie: string): Promise<string> => {
    const socket = await intercepted(proxyPort, 'web.foo:8000')
    const text = await exchange(socket, `GET / HTTP/1.1\r\nhost: web.foo:8000\r\n${cookie}connection: close\r\n\r\n`, whole)
    socket.destroy()
    return text
  }
  const calls = (): number[] => started.map((p) => p.seen.length)
  const made = /set-cookie: (session="[0-9a-f]{16}"); Max-Age=60; Path=\/; HttpOnly\r\n/i.exec(await call(''))?.[1]
  assert.ok(made !== undefined)
  const first = calls().findIndex((n) => n === 1)
  for (let i = 0; i < 5; i++) assert.doesNotMatch(await call(`cookie: ${made}\r\n`), /set-cookie/i)
  assert.equal(calls()[first], 6)
  for (let i = 0; i < 20; i++) await call('')
  assert.ok(calls().filter((n) => n > 0).length > 1, 'others go elsewhere')
})
