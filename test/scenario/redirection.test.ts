// What pods keep from their own sidecars, on the real wire: what explain says of each call is what the
// application at the other end saw.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { explain, observedIn } from '#insight'
import { buildMesh, type Mesh } from '#mesh'
import { startMesh, type MeshHandle } from '#local'
import { createAuthority } from '../data-plane/authority.ts'
import { hasNamespaces, namespacesRefused } from './fixtures/lane.ts'

const top = mkdtempSync(join(tmpdir(), 'kith-test-'))
const dir = join(top, 'mesh')
let mesh: MeshHandle | undefined

const p = 'traffic.sidecar.istio.io/'
const clients: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain: {},
  'by-range': { [`${p}excludeOutboundIPRanges`]: '0.0.0.0/0' },
  'by-services': { [`${p}excludeOutboundIPRanges`]: '10.96.0.0/16' },
  'by-include': { [`${p}includeOutboundIPRanges`]: '192.168.0.0/16', [`${p}includeOutboundPorts`]: '8001' },
  'by-port': { [`${p}excludeOutboundPorts`]: '8000' },
  'by-mode': { 'sidecar.istio.io/interceptionMode': 'NONE' },
}
const container = (port: number): object => ({
  name: `echo-${port}`,
  image: 'example/echo:1',
  env: [{ name: 'PORT', value: String(port) }],
  ports: [{ containerPort: port }],
  readinessProbe: { httpGet: { path: '/', port }, periodSeconds: 1 },
})
const pod = (name: string, annotations: object, spec: object, labels: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'foo', labels, annotations },
  spec: { serviceAccountName: name, ...spec },
})
const service = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'foo' },
  spec,
})
const net = (kind: string, name: string, spec: object): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name, namespace: 'foo' },
  spec,
})
const secure = 'secure.example.com'
const objects: readonly object[] = [
  // A server outside the mesh that speaks TLS, and a rule that makes TLS on both of its ports.
  net('ServiceEntry', 'secure', {
    hosts: [secure],
    location: 'MESH_EXTERNAL',
    resolution: 'DNS',
    ports: [
      { number: 443, name: 'https', protocol: 'HTTPS' },
      { number: 80, name: 'http', protocol: 'HTTP', targetPort: 443 },
    ],
  }),
  net('DestinationRule', 'secure', {
    host: secure,
    trafficPolicy: { tls: { mode: 'SIMPLE', sni: secure, insecureSkipVerify: true } },
  }),
  // The server speaks first; the port’s protocol is declared nowhere, or is TCP.
  pod(
    'greeter',
    {},
    { containers: [{ name: 'greeter', image: 'example/greeter:1', ports: [{ containerPort: 7000 }] }] },
    { app: 'greeter' },
  ),
  service('greeter-any', { selector: { app: 'greeter' }, ports: [{ name: 'any', port: 7000 }] }),
  service('greeter-tcp', {
    selector: { app: 'greeter' },
    ports: [{ name: 'tcp-greeting', port: 7001, targetPort: 7000 }],
  }),
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } },
  },
  pod(
    'server',
    { [`${p}excludeInboundPorts`]: '81' },
    { containers: [container(80), container(81)] },
    { app: 'echo' },
  ),
  pod('bare-server', { [`${p}includeInboundPorts`]: '' }, { containers: [container(80)] }, { app: 'bare' }),
  service('echo', {
    selector: { app: 'echo' },
    ports: [
      { name: 'http', port: 8000, targetPort: 80 },
      { name: 'http-b', port: 8001, targetPort: 81 },
    ],
  }),
  service('echo-pods', {
    clusterIP: 'None',
    selector: { app: 'echo' },
    ports: [
      { name: 'http', port: 80 },
      { name: 'http-b', port: 81 },
    ],
  }),
  // A pod's own hostname stands for its own address, whatever Service has the name.
  service('server', { selector: { app: 'bare' }, ports: [{ name: 'http', port: 80 }] }),
  service('bare', { selector: { app: 'bare' }, ports: [{ name: 'http', port: 8000, targetPort: 80 }] }),
  ...Object.entries(clients).map(([name, annotations]) =>
    pod(name, annotations, { containers: [{ name: 'c', image: 'example/client:1' }] }),
  ),
]

before(async () => {
  if (namespacesRefused() !== undefined) return
  mkdirSync(dir)
  copyFileSync('test/scenario/fixtures/small-mesh/echo.ts', join(dir, 'echo.ts'))
  for (const file of ['tls-server.ts', 'greeter.ts'])
    copyFileSync(`test/scenario/fixtures/first-bytes/${file}`, join(dir, file))
  const { chain, key } = await (await createAuthority()).issue([{ type: 'dns', value: secure }])
  writeFileSync(join(dir, 'cert.pem'), chain)
  writeFileSync(join(dir, 'key.pem'), key, { mode: 0o644 })
  writeFileSync(
    join(dir, 'kith.yaml'),
    JSON.stringify({
      apiVersion: 'kith.dev/v1alpha1',
      kind: 'LocalMesh',
      metadata: { name: 'kept' },
      spec: {
        resources: ['mesh.yaml'],
        images: {
          'example/echo': { command: ['node', './echo.ts'] },
          'example/greeter:1': { command: ['node', './greeter.ts'] },
          'example/client:1': { command: ['sleep', 'infinity'] },
        },
        external: [{ name: 'secure', hosts: [secure], command: ['node', './tls-server.ts'], ports: [443] }],
      },
    }),
  )
  writeFileSync(join(dir, 'mesh.yaml'), objects.map((o) => JSON.stringify(o)).join('\n---\n'))
  mesh = await startMesh({ dir })
  await mesh.waitReady()
})
after(async () => {
  await mesh?.down()
  rmSync(top, { recursive: true, force: true })
})

const up = (t: TestContext): MeshHandle | undefined => (hasNamespaces(t) ? mesh : undefined)

/**
 * `mtls`: the server's sidecar saw the caller's certificate; `plaintext`: nobody did; `blocked`: no answer.
 */
async function onTheWire(m: MeshHandle, from: string, url: string): Promise<string> {
  const { code, stdout } = await m.exec(`pod/${from}.foo`, ['curl', '-sS', '--max-time', '5', url])
  if (code !== 0 || !stdout.startsWith('{')) return 'blocked'
  const { xfcc } = JSON.parse(stdout) as { xfcc: string | null }
  return xfcc !== null && xfcc.includes(`URI=spiffe://cluster.local/ns/foo/sa/${from}`) ? 'mtls' : 'plaintext'
}

const strictMode =
  '{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: foo}, spec: {mtls: {mode: STRICT}}}\n'
const urls = [
  'http://echo:8000/',
  'http://server:80/',
  'http://echo:8001/',
  'http://echo-pods:80/',
  'http://echo-pods:81/',
  'http://bare:8000/',
]

async function compare(m: MeshHandle): Promise<Record<string, string>> {
  const known = buildMesh(await m.objects())
  const said: Record<string, string> = {}
  for (const from of [...Object.keys(clients), 'server']) {
    for (const url of urls) {
      const answer = explain(known, { from: `${from}.foo`, to: url })
      assert.equal(
        await onTheWire(m, from, url),
        answer.outcome,
        `${from} ${url}: ${answer.blocked?.why ?? ''}`,
      )
      said[`${from} ${url}`] = answer.outcome
    }
  }
  return said
}

const handshakesOf = async (m: MeshHandle, known: Mesh, url: string): Promise<string | undefined> =>
  observedIn(
    known,
    explain(known, { from: 'server.foo', to: url }),
    (await m.handshakes('pod/server.foo')) ?? [],
  )?.server

test('each way to keep traffic from a sidecar: explain says what the wire does, PERMISSIVE and STRICT', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const open = await compare(m)
  assert.deepEqual(
    urls.map((u) => open[`plain ${u}`]),
    ['mtls', 'plaintext', 'plaintext', 'mtls', 'plaintext', 'plaintext'],
  )
  assert.ok(urls.every((u) => open[`by-range ${u}`] === 'plaintext'))
  assert.deepEqual(
    urls.map((u) => open[`by-services ${u}`]),
    ['plaintext', 'plaintext', 'plaintext', 'mtls', 'plaintext', 'plaintext'],
  )
  await m.apply(strictMode, 'strict.yaml')
  const strict = await compare(m)
  assert.deepEqual(
    urls.map((u) => strict[`by-mode ${u}`]),
    ['blocked', 'plaintext', 'plaintext', 'blocked', 'plaintext', 'plaintext'],
  )
  await m.delete(strictMode)
})

test('TLS in TLS fails, and TLS that the sidecar makes does not: as explain says', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const known = buildMesh(await m.objects())
  const get = async (url: string): Promise<number> =>
    (await m.exec('pod/plain.foo', ['curl', '-sk', '--max-time', '5', url])).code
  const nested = explain(known, { from: 'plain.foo', to: `https://${secure}/` })
  assert.equal(nested.blocked?.end, 'tls-in-tls')
  assert.equal(await get(`https://${secure}/`), 35, 'curl: the TLS handshake failed')
  assert.equal(explain(known, { from: 'plain.foo', to: `http://${secure}/` }).outcome, 'tls')
  assert.equal(await get(`http://${secure}/`), 0)
  // Past its own sidecar, the application's TLS is the only one.
  assert.equal(explain(known, { from: 'by-range.foo', to: `https://${secure}/` }).outcome, 'plaintext')
  assert.equal(
    (await m.exec('pod/by-range.foo', ['curl', '-sk', '--max-time', '5', `https://${secure}/`])).code,
    0,
  )
})

test('where a sidecar waits for the client’s first bytes, a server that speaks first is not heard: as explain says', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const known = buildMesh(await m.objects())
  const rows = [
    ['plain', 'greeter-any:7000', /^the caller’s sidecar waits .* for ever/],
    ['plain', 'greeter-tcp:7001', undefined],
    ['by-range', 'greeter-any:7000', /^the server’s sidecar waits .* for ever/],
  ] as const
  for (const [from, at, hint] of rows) {
    const { hints } = explain(known, { from: `${from}.foo`, to: `tcp://${at}` })
    const { stdout } = await m.exec(`pod/${from}.foo`, [
      'curl',
      '-s',
      '--max-time',
      hint === undefined ? '20' : '3',
      `telnet://${at}`,
    ])
    assert.equal(stdout, hint === undefined ? 'welcome\n' : '', `${from} ${at}`)
    if (hint === undefined) assert.deepEqual(hints, [])
    else assert.match(hints[0] ?? '', hint)
  }
})

test('a pod that calls itself: by its Service through its sidecar, by its headless name past it; a handshake is shown of the call that made it', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const known = buildMesh(await m.objects())
  assert.equal(await onTheWire(m, 'server', 'http://echo:8000/'), 'mtls')
  assert.equal(await handshakesOf(m, known, 'http://echo:8000/'), 'spiffe://cluster.local/ns/foo/sa/server')
  assert.equal(await handshakesOf(m, known, 'http://echo-pods:80/'), undefined)
})
