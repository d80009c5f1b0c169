// A stock Envoy beside a pod: it gets everything from the control plane's own discovery, by delta ADS over mTLS, snapshot after snapshot.
// After each it holds exactly what was generated, by name and version, and refused nothing.
import assert from 'node:assert/strict'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { readFileSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fromJson, toJson, type JsonObject } from '@bufbuild/protobuf'
import { canonicalHash } from '#lib/canonical.ts'
import { silentLogger } from '#lib/log.ts'
import { message, registry } from '#proto'
import { Discovery } from '#server'
import { deltaMethod, typeUrls, type Resource } from '#xds'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { fileCredentials } from '../../src/control-plane/server/file-credentials.ts'
import { createAuthority } from '../data-plane/authority.ts'
import { configOf, goldenFolders, readCase } from '../golden/golden-case.ts'
import { resourceJson } from '../golden/render.ts'
import { namespacesRefused } from '../scenario/fixtures/lane.ts'
import { testAuthority, type IssuedFiles } from './fixtures/certificates.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { startEnvoy, until, type RunningEnvoy } from './fixtures/running-envoy.ts'
import { startSecretServer } from './fixtures/secret-server.ts'
import { complaintsOf } from './fixtures/validate.ts'
import type { Listener } from '../../generated/types/envoy/config/listener/v3/listener_pb.ts'

function bootstrap(id: string, sockets: { readonly xds: string; readonly sds: string }, files: IssuedFiles): JsonObject {
  const http2 = { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', explicitHttpConfig: { http2ProtocolOptions: {} } } }
  const cluster = (name: string, path: string): JsonObject => ({
    name, type: 'STATIC', connectTimeout: '5s', typedExtensionProtocolOptions: http2, loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint: { address: { pipe: { path } } } }] }] },
  })
  const tls = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', sni: 'istiod.istio-system.svc',
    commonTlsContext: { alpnProtocols: ['h2'], tlsCertificates: [{ certificateChain: { filename: files.certificate }, privateKey: { filename: files.key } }], validationContext: { trustedCa: { filename: files.root } } },
  }
  const ads = { ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: '0s' }
  return {
    node: { id, cluster: 'test' },
    dynamicResources: { adsConfig: { apiType: 'DELTA_GRPC', transportApiVersion: 'V3', setNodeOnFirstMessageOnly: true, grpcServices: [{ envoyGrpc: { clusterName: 'xds-grpc' } }] }, cdsConfig: ads, ldsConfig: ads },
    staticResources: { clusters: [{ ...cluster('xds-grpc', sockets.xds), transportSocket: { name: 'envoy.transport_sockets.tls', typedConfig: tls } }, cluster('sds-grpc', sockets.sds)] },
  }
}

/**
 * `type name` → version, of what serves now. Listeners by their content: one that Envoy updated in place is dumped with its first version
 * (source/common/listener_manager/listener_impl.cc, newListenerWithFilterChain).
 */
async function held(envoy: RunningEnvoy): Promise<Record<string, string>> {
  const dump = JSON.parse(await envoy.admin('/config_dump')) as { readonly configs: readonly Dump[] }
  return Object.fromEntries(dump.configs.flatMap((config) => [
    ...(config.dynamic_listeners ?? []).flatMap((l) => (l.active_state === undefined ? [] : [[`${typeUrls.listener} ${l.name}`, contentOf(l.active_state.listener)]])),
    ...(config.dynamic_active_clusters ?? []).map((c) => [`${typeUrls.cluster} ${c.cluster.name}`, c.version_info]),
    ...(config.dynamic_route_configs ?? []).map((r) => [`${typeUrls.route} ${r.route_config.name}`, r.version_info]),
  ]))
}

/** What is read of envoy.admin.v3.ConfigDump. */
interface Dump {
  readonly dynamic_listeners?: readonly { readonly name: string; readonly active_state?: { readonly listener: JsonObject } }[]
  readonly dynamic_active_clusters?: readonly { readonly version_info: string; readonly cluster: { readonly name: string } }[]
  readonly dynamic_route_configs?: readonly { readonly version_info: string; readonly route_config: { readonly name: string } }[]
}

const listenerSchema = message<Listener>('envoy.config.listener.v3.Listener')

/** A hash of a listener as JSON, ours or Envoy's. */
function contentOf(json: JsonObject): string {
  const { '@type': _, ...listener } = json
  return canonicalHash(toJson(listenerSchema, fromJson(listenerSchema, listener, { registry }), { registry }))
}

function expected(resources: readonly Resource[]): Record<string, string> {
  return Object.fromEntries(resources.filter((r) => r.type !== typeUrls.endpoint).map((r) => [`${r.type} ${r.name}`, r.type === typeUrls.listener ? contentOf(resourceJson(r)) : r.version]))
}

const sorted = (record: Readonly<Record<string, string>>): Record<string, string> => Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

async function serveAds(discovery: Discovery, socketPath: string, files: IssuedFiles): Promise<Server> {
  const server = new Server()
  server.addService({ delta: deltaMethod }, { delta: discovery.handle })
  const credentials = ServerCredentials.createSsl(readFileSync(files.root), [{ cert_chain: readFileSync(files.certificate), private_key: readFileSync(files.key) }], true)
  await new Promise<void>((resolve, reject) => server.bindAsync(`unix:${socketPath}`, credentials, (error) => (error === null ? resolve() : reject(error))))
  return server
}

/** One proxy through several meshes in turn. */
async function live(t: TestContext, proxy: string, meshes: readonly (readonly [string, Mesh])[], then: (envoy: RunningEnvoy) => Promise<void> = () => Promise.resolve()): Promise<void> {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const refused = namespacesRefused()
  if (refused !== undefined) return t.skip(`skipped: needs namespaces (${refused})`)
  const [, mesh] = meshes[0] as (typeof meshes)[0]
  const { trustDomain } = mesh.options
  const authority = await testAuthority(trustDomain)
  const first = configOf(mesh, proxy).plan
  const events: Record<string, number> = {}
  let current = mesh
  const discovery = new Discovery({ credentials: fileCredentials(() => current.objects, silentLogger), trustDomains: () => [trustDomain], now: Date.now, log: silentLogger, count: (event) => (events[event] = (events[event] ?? 0) + 1) })
  const publish = (mesh: Mesh, number: number): void => {
    current = mesh
    discovery.publish({ number, mesh, workloadById: new Map(mesh.workloads.map((w) => [w.id, w])), changed: [] })
    discovery.publishSecrets()
  }
  const ends: (() => void | Promise<void>)[] = [() => rmSync(authority.folder, { recursive: true, force: true })]
  try {
    const sidecar = await authority.issue('sidecar', [{ type: 'url', value: first.proxy.identity }])
    const istiod = await authority.issue('istiod', [{ type: 'dns', value: 'istiod.istio-system.svc' }])
    const sockets = { xds: join(authority.folder, 'xds'), sds: join(authority.folder, 'sds') }
    const secrets = await startSecretServer(sockets.sds, sidecar)
    ends.push(() => secrets.stop())
    const ads = await serveAds(discovery, sockets.xds, istiod)
    ends.push(() => ads.forceShutdown())
    publish(mesh, 1)
    const id = `sidecar~${first.proxy.addresses[0] ?? '10.0.0.1'}~${first.proxy.id}~${first.proxy.namespace}.svc.cluster.local`
    const envoy = await startEnvoy({ binary, folder: authority.folder, name: 'sidecar', bootstrap: bootstrap(id, sockets, sidecar), ownNetwork: true })
    ends.push(() => envoy.stop())
    for (const [index, [name, mesh]] of meshes.entries()) {
      if (index > 0) publish(mesh, index + 1)
      const want = sorted(expected(configOf(mesh, proxy).resources))
      let have: Record<string, string> = {}
      // A listener that is gone drains, and keeps its route table so long.
      const serving = async (): Promise<Record<string, string>> => Object.fromEntries(Object.entries(await held(envoy)).filter(([key]) => key in want || !key.startsWith(typeUrls.route)))
      const same = async (): Promise<boolean> => JSON.stringify((have = sorted(await serving()))) === JSON.stringify(want) && discovery.status().every((s) => s.settled)
      await until(same, name, 5000).catch(() => assert.deepEqual(have, want, `${name}: ${discovery.status()[0]?.lastError ?? 'not connected'}\n${envoy.log()}`))
    }
    await then(envoy)
    assert.deepEqual(discovery.status().map((s) => s.lastError), [''])
    assert.equal(events['nack'] ?? 0, 0)
    assert.deepEqual(complaintsOf(envoy.log()), [])
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

const cases = goldenFolders()
const named = (folder: string): readonly [string, Mesh] => [`${basename(dirname(folder))}/${basename(folder)}`, readCase(folder).mesh]

for (const folder of cases) {
  test(`a proxy that comes to ${named(folder)[0]}`, (t) => live(t, readCase(folder).proxy, [named(folder)]))
}

const walkthrough = (...wanted: readonly string[]): (readonly [string, Mesh])[] => wanted.flatMap((w) => cases.filter((f) => basename(dirname(f)) === 'walkthrough' && basename(f).startsWith(w)).map(named))
for (const proxy of ['sleep.foo', 'httpbin.foo']) {
  test(`${proxy} while policies change`, (t) => live(t, proxy, walkthrough('1', '2', '9', '1')))
}

// Envoy warms a changed cluster anew and waits for its endpoints, which it has subscribed to already: the server has to send them again, changed or not.
test('sleep.foo through the whole walkthrough', (t) => live(t, 'sleep.foo', walkthrough('')))

test('a Secret that a DestinationRule names comes over the same stream, and its renewal too; no key in a dump', async (t) => {
  const clients = await createAuthority('clients')
  const issued = await Promise.all([clients.issue([{ type: 'dns', value: 'first' }]), clients.issue([{ type: 'dns', value: 'second' }])])
  const meshes = issued.map(({ chain, key, serial }): readonly [string, Mesh] => {
    const objects = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } },
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'client', namespace: 'foo' }, spec: { template: { metadata: { labels: { app: 'client' } }, spec: { containers: [{ name: 'client', image: 'client' }] } } } },
      { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'files', namespace: 'foo' }, spec: { hosts: ['files.example.com'], location: 'MESH_EXTERNAL', resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], endpoints: [{ address: '192.0.2.10' }] } },
      { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'files', namespace: 'foo' }, spec: { host: 'files.example.com', workloadSelector: { matchLabels: { app: 'client' } }, trafficPolicy: { tls: { mode: 'MUTUAL', credentialName: 'files' } } } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'files', namespace: 'foo' }, stringData: { 'tls.crt': chain, 'tls.key': key, 'ca.crt': clients.root } },
    ]
    return [`serial ${serial}`, buildMesh(decodeObjects(parseYaml(objects.map((o) => JSON.stringify(o)).join('\n---\n'), 'in.yaml').documents).objects)]
  })
  await live(t, 'client.foo', meshes, async (envoy) => {
    const serials = async (): Promise<string[]> => [...(await envoy.admin('/certs')).matchAll(/"serial_number": "([0-9a-f]+)"/g)].map((m) => m[1] as string)
    const second = issued[1]?.serial.replace(/^0+/, '') ?? ''
    await until(async () => (await serials()).some((s) => s.replace(/^0+/, '') === second), 'the second certificate')
    const dump = await envoy.admin('/config_dump?include_eds')
    for (const name of ['kubernetes://files', 'kubernetes://files-cacert']) assert.ok(dump.includes(`"name": "${name}"`), name)
    assert.doesNotMatch(dump, /PRIVATE KEY/)
    for (const { key } of issued) assert.ok(!dump.includes(Buffer.from(key).toString('base64').slice(0, 80)))
  })
})
