// Two stock Envoys with what Kith generated for a client and for a server, on loopback: calls of every protocol reach the application over mTLS,
// by the chain that Istio means for them, and the application is told who called. A server outside hears nothing of the mesh's names.
import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { after, before, test, type TestContext } from 'node:test'
import { join } from 'node:path'
import { createServer as createTls } from 'node:tls'
import { canonicalJson } from '#lib/canonical.ts'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { configOf } from '../golden/golden-case.ts'
import { getHttp1, getHttp2, say, startApplication } from './fixtures/application.ts'
import { testAuthority, type TestAuthority } from './fixtures/certificates.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'
import { freePort } from '../fixtures/ports.ts'
import { loopbackInbound, loopbackOutbound } from './fixtures/loopback.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'
import { staticBootstrap } from './fixtures/static-bootstrap.ts'

const service = { http: 8000, grpc: 8001, misc: 7000, tcp: 9000 }
type Name = keyof typeof service
const names = Object.keys(service) as Name[]
const external = 'outside.example.com'
const serverId = 'spiffe://cluster.local/ns/foo/sa/default'

function meshObjects(targets: ReadonlyMap<Name, number>, outsidePort: number, accessLogFile: string): object[] {
  const workload = (name: string, namespace: string) => ({
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { ...(name === 'client' ? { serviceAccountName: 'client' } : {}), containers: [{ name, image: name }] } } },
  })
  const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'istio-injection': 'enabled' } } })
  return [
    namespace('foo'), namespace('bar'), workload('server', 'foo'), workload('client', 'bar'),
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'server', namespace: 'foo' }, spec: { selector: { app: 'server' }, ports: names.map((name) => ({ name, port: service[name], targetPort: targets.get(name) })) } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'foo' }, spec: { mtls: { mode: 'STRICT' } } },
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'outside', namespace: 'bar' }, spec: { hosts: [external], location: 'MESH_EXTERNAL', resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: outsidePort }], endpoints: [{ address: '127.0.0.1' }] } },
    { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'outside', namespace: 'bar' }, spec: { host: external, trafficPolicy: { tls: { mode: 'SIMPLE' } } } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio', namespace: 'istio-system' }, data: { mesh: `accessLogFile: ${accessLogFile}` } },
  ]
}

const ends: (() => void | Promise<void>)[] = []
const listens = new Map<number, number>()
const targets = new Map<Name, number>()
const outside: { alpn: readonly string[]; serverName: string }[] = []
let authority: TestAuthority

before(async () => {
  const envoy = findEnvoy()
  if (!('path' in envoy)) return
  authority = await testAuthority()
  ends.push(() => rmSync(authority.folder, { recursive: true, force: true }))
  for (const name of names) targets.set(name, await freePort())
  for (const port of [...Object.values(service), 80]) listens.set(port, await freePort())
  const application = await startApplication(await freePort())
  ends.push(() => application.stop())
  const outsidePort = await startOutside()
  const text = meshObjects(targets, outsidePort, join(authority.folder, 'access.log')).map((o) => canonicalJson(o)).join('\n---\n')
  const { objects } = decodeObjects(parseYaml(text, 'in.yaml').documents)
  const mesh = buildMesh(objects, { meshConfig: { accessLogFile: join(authority.folder, 'access.log') } })
  const server = configOf(mesh, 'server.foo')
  const client = configOf(mesh, 'client.bar')
  const files = async (name: string, uri: string) => authority.issue(name, [{ type: 'url', value: uri }])
  const serverBootstrap = loopbackInbound(staticBootstrap(server.resources, await files('server', server.plan.proxy.identity)), [...targets.values()], application.port)
  const clientBootstrap = loopbackOutbound(staticBootstrap(client.resources, await files('client', client.plan.proxy.identity)), listens, server.plan.proxy.addresses)
  for (const [name, bootstrap] of [['server', serverBootstrap], ['client', clientBootstrap]] as const) {
    const running = await startEnvoy({ binary: envoy.path, folder: authority.folder, name: `envoy-${name}`, bootstrap })
    ends.push(() => running.stop())
  }
})

after(async () => {
  for (const end of ends.toReversed()) await end()
})

async function startOutside(): Promise<number> {
  const { certificate, key } = await authority.issue('outside', [{ type: 'dns', value: external }])
  const port = await freePort()
  const server = createTls({
    cert: readFileSync(certificate), key: readFileSync(key),
    ALPNCallback: ({ protocols, servername }) => {
      outside.push({ alpn: protocols, serverName: servername })
      return protocols.includes('http/1.1') ? 'http/1.1' : undefined
    },
  }, (socket) => {
    if (outside.length === 0) outside.push({ alpn: [], serverName: socket.servername === false ? '' : String(socket.servername) })
    socket.on('error', () => {}).once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\noutside'))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  ends.push(() => { server.close() })
  return port
}

const via = (port: number): number => listens.get(port) as number
const told = `By=${serverId};`

/** Skips where Envoy can't be had. */
function ready(t: TestContext): boolean {
  return needsEnvoy(t) !== undefined
}

for (const [what, name, get] of [
  ['HTTP/1.1 to a port declared http', 'http', getHttp1], ['HTTP/1.1 to a port that declares nothing', 'misc', getHttp1], ['HTTP/2 to a port that declares nothing', 'misc', getHttp2], ['HTTP/2 to a port declared grpc', 'grpc', getHttp2],
] as const) {
  test(`${what}: the application learns both ends`, async (t) => {
    if (!ready(t)) return
    const answer = await get(via(service[name]), `server.foo:${service[name]}`)
    assert.equal(answer.status, 200, answer.body)
    const { version, clientCert } = JSON.parse(answer.body) as { version: string; clientCert: string }
    assert.equal(version, get === getHttp2 ? '2' : '1.1')
    assert.ok(clientCert.startsWith(told), clientCert)
    assert.match(clientCert, /;URI=spiffe:\/\/cluster\.local\/ns\/bar\/sa\/client$/)
  })
}

test('bytes to a TCP port, and to one that declares nothing', async (t) => {
  if (!ready(t)) return
  for (const port of [service.tcp, service.misc]) assert.equal(await say(via(port), 'ping over tcp, long enough for any inspector\n'), 'pong', String(port))
})

test('plaintext to any port of a STRICT server is closed', async (t) => {
  if (!ready(t)) return
  for (const port of targets.values()) assert.equal(await say(port, 'GET / HTTP/1.1\r\nhost: server\r\n\r\n'), '')
})

test('a server outside is asked for by the request’s host, verified, and hears no name of the mesh', async (t) => {
  if (!ready(t)) return
  assert.deepEqual(await getHttp1(via(80), external), { status: 200, body: 'outside' })
  const [hello] = outside
  assert.equal(hello?.serverName, external)
  assert.deepEqual(hello?.alpn.filter((p) => p.startsWith('istio')), [])
})

test('the access log names the peer and the TLS version', async (t) => {
  if (!ready(t)) return
  await getHttp1(via(service.http), 'server.foo:8000')
  const lines = readFileSync(join(authority.folder, 'access.log'), 'utf8').split('\n')
  assert.ok(lines.some((l) => l.includes('peer="spiffe://cluster.local/ns/bar/sa/client" tls=TLSv1.3')), lines.join('\n'))
  assert.ok(lines.some((l) => l.includes(`upstream_peer="${serverId}" upstream_tls=TLSv1.3`)), lines.join('\n'))
})
