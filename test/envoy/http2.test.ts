// gRPC between our own sidecar and a stock Envoy, each on either side, with what Kith generated for both: neither may notice whom it talks to.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { startProxy, type DialMap, type Proxy } from '#proxy'
import { canonicalJson } from '#lib/canonical.ts'
import { Secret } from '#lib/secret.ts'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { BytesClient, grpcApp, interceptor, status, type GrpcApp } from '../data-plane/grpc.ts'
import { identity, recordingLog } from '../data-plane/pair.ts'
import { configOf, type ProxyConfig } from '../golden/golden-case.ts'
import { testAuthority, type IssuedFiles, type TestAuthority } from './fixtures/certificates.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'
import { freePort } from '../fixtures/ports.ts'
import { loopbackInbound, loopbackOutbound } from './fixtures/loopback.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'
import { staticBootstrap } from './fixtures/static-bootstrap.ts'

const vip = '10.96.0.9'
const service = { grpc: 8001, misc: 7000 } as const
type Name = keyof typeof service

function meshObjects(targets: Readonly<Record<Name, number>>): object[] {
  const workload = (name: string, namespace: string) => ({
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { serviceAccountName: name, containers: [{ name, image: name }] } } },
  })
  const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'istio-injection': 'enabled' } } })
  return [
    namespace('foo'), namespace('bar'), workload('server', 'foo'), workload('client', 'bar'),
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'server', namespace: 'foo' }, spec: { clusterIP: vip, selector: { app: 'server' }, ports: (Object.keys(service) as Name[]).map((name) => ({ name, port: service[name], targetPort: targets[name] })) } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'foo' }, spec: { mtls: { mode: 'STRICT' } } },
  ]
}

const ends: (() => void | Promise<void>)[] = []
let authority: TestAuthority
let app: GrpcApp

before(async () => {
  if (!('path' in findEnvoy())) return
  authority = await testAuthority()
  app = await grpcApp()
})
after(async () => {
  for (const end of ends.toReversed()) await end()
  app?.close()
  if (authority !== undefined) rmSync(authority.folder, { recursive: true, force: true })
})

type Side = 'kith' | 'envoy'

/** Ports on which a client's calls to `grpc` and `misc` are caught. */
async function meshOf(client: Side, server: Side, binary: string): Promise<Readonly<Record<Name, number>>> {
  const targets = { grpc: await freePort(), misc: await freePort() }
  const { objects } = decodeObjects(parseYaml(meshObjects(targets).map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents)
  const mesh = buildMesh(objects, {})
  const configs = { server: configOf(mesh, 'server.foo'), client: configOf(mesh, 'client.bar') }
  const pod = configs.server.plan.proxy.addresses[0] as string
  const files = (side: 'server' | 'client') => authority.issue(`${client}-${server}-${side}`, [{ type: 'url', value: configs[side].plan.proxy.identity }])
  if (server === 'envoy') {
    const bootstrap = loopbackInbound(staticBootstrap(configs.server.resources, await files('server')), Object.values(targets), app.port)
    const running = await startEnvoy({ binary, folder: authority.folder, name: `${client}-${server}-server`, bootstrap })
    ends.push(() => running.stop())
  } else {
    const inbound = Object.values(targets).map((port) => ({ listen: `127.0.0.1:${port}`, originalDestination: `${pod}:${port}`, app: `127.0.0.1:${app.port}` }))
    await ours('server', configs.server, await files('server'), { dial: {}, inbound, hosts: {} })
  }
  if (client === 'envoy') {
    const listens = new Map([[service.grpc, await freePort()], [service.misc, await freePort()]])
    const bootstrap = loopbackOutbound(staticBootstrap(configs.client.resources, await files('client')), listens, configs.server.plan.proxy.addresses)
    const running = await startEnvoy({ binary, folder: authority.folder, name: `${client}-${server}-client`, bootstrap })
    ends.push(() => running.stop())
    return { grpc: listens.get(service.grpc) as number, misc: listens.get(service.misc) as number }
  }
  const proxyPort = await freePort()
  const dial = Object.fromEntries(Object.values(targets).map((port) => [`${pod}:${port}`, `127.0.0.1:${port}`]))
  await ours('client', configs.client, await files('client'), { dial, inbound: [], hosts: { 'server.foo': vip }, httpProxy: `127.0.0.1:${proxyPort}` })
  const caught = await Promise.all([interceptor(proxyPort, 'server.foo:8001'), interceptor(proxyPort, 'server.foo:7000')])
  for (const c of caught) ends.push(() => c.close())
  return { grpc: caught[0].port, misc: caught[1].port }
}

async function ours(name: string, config: ProxyConfig, files: IssuedFiles, dialMap: DialMap): Promise<Proxy> {
  const log = recordingLog()
  const proxy = await startProxy({ identity: identity(name, 'foo'), interception: { mode: 'NONE', dialMap }, ports: { admin: null, prometheus: null }, log, accessLog: () => {} })
  ends.push(() => proxy.stop())
  const { errors, unserved } = proxy.update(config.resources)
  assert.deepEqual([errors, unserved], [[], []])
  proxy.setSecret('default', { kind: 'certificate', chain: readFileSync(files.certificate, 'utf8'), key: new Secret(readFileSync(files.key, 'utf8')) })
  proxy.setSecret('ROOTCA', { kind: 'trust', roots: readFileSync(files.root, 'utf8') })
  return proxy
}

for (const [client, server] of [['kith', 'envoy'], ['envoy', 'kith'], ['kith', 'kith']] as const) {
  test(`${client} to ${server}: calls, streams, errors and cancelling over mutual TLS`, { timeout: 60_000 }, async (t) => {
    const binary = needsEnvoy(t)
    if (binary === undefined) return
    const ports = await meshOf(client, server, binary)
    for (const name of Object.keys(service) as Name[]) {
      const grpc = new BytesClient(ports[name], { 'grpc.default_authority': `server.foo:${service[name]}` })
      ends.push(() => grpc.close())
      const { body, trailers } = await grpc.unary('Echo', 'hello')
      assert.deepEqual([body.toString(), trailers.get('x-trailer')], ['hello', ['behind']], name)
      assert.match(String(app.seen.metadata.get('x-forwarded-client-cert')[0]), /^By=spiffe:\/\/cluster.local\/ns\/foo\/sa\/server;.*;URI=spiffe:\/\/cluster.local\/ns\/bar\/sa\/client$/)
      const chat = grpc.chat()
      for (const word of ['one', 'two']) {
        chat.write(Buffer.from(word))
        assert.equal(String((await once(chat, 'data'))[0]), word)
      }
      chat.end()
      assert.equal((await once(chat, 'status'))[0].code, status.OK)
      let got = 0
      const many = grpc.many(100, 50_000)
      many.on('data', (part: Buffer) => (got += part.length))
      assert.equal((await once(many, 'status'))[0].code, status.OK)
      assert.equal(got, 5_000_000)
      assert.equal(await grpc.count(Array.from({ length: 20 }, () => Buffer.alloc(100_000))), '2000000')
      assert.deepEqual(await grpc.unary('Fail', '5').catch((e) => [e.code, e.details, e.metadata.get('x-why')]), [5, 'as you wished: 100 %', ['asked']])
      const before = app.hanging.cancelled
      assert.equal(await grpc.unary('Hang', '', { deadlineMs: 200 }).catch((e) => e.code), status.DEADLINE_EXCEEDED)
      for (let i = 0; i < 300 && app.hanging.cancelled === before; i++) await new Promise((resolve) => setTimeout(resolve, 10))
      assert.equal(app.hanging.cancelled, before + 1)
      const calls = Array.from({ length: 100 }, (_, i) => grpc.unary('Echo', String(i)))
      assert.deepEqual((await Promise.all(calls)).map((a) => a.body.toString()), calls.map((_, i) => String(i)))
    }
  })
}
