// Stock Envoy with what Kith generated, called for pods' own addresses (told by the PROXY protocol what a kernel's redirection would tell): it finds each pod's TLS context by its address, and pins its name.
import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { after, before, test, type TestContext } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { addressMesh, clientId, pods, startPod } from '../data-plane/address-pods.ts'
import { configOf } from '../golden/golden-case.ts'
import { say } from './fixtures/application.ts'
import { testAuthority } from './fixtures/certificates.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'
import { freePort } from '../fixtures/ports.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'
import { staticBootstrap } from './fixtures/static-bootstrap.ts'

const ends: (() => void | Promise<void>)[] = []
let port = 0
let listens = 0

before(async () => {
  const envoy = findEnvoy()
  if (!('path' in envoy)) return
  const authority = await testAuthority()
  ends.push(() => rmSync(authority.folder, { recursive: true, force: true }))
  const issue = async (account: string) => authority.issue(account, [{ type: 'url', value: `spiffe://cluster.local/ns/${account === 'client' ? 'foo' : 'bar'}/sa/${account}` }])
  const files = { honest: await issue('honest'), other: await issue('somebody-else'), client: await issue('client') }
  port = await freePort()
  for (const [address, own] of [[pods.honest, files.honest], [pods.plain, undefined], [pods.liar, files.other]] as const) {
    const pod = await startPod(address, [port, port + 1, port + 2], own === undefined ? undefined : { cert: readFileSync(own.certificate, 'utf8'), key: readFileSync(own.key, 'utf8'), ca: readFileSync(own.root, 'utf8') })
    ends.push(() => pod.stop())
  }
  listens = await freePort()
  const bootstrap = staticBootstrap(configOf(addressMesh(port), 'client.foo').resources, files.client)
  const running = await startEnvoy({ binary: envoy.path, folder: authority.folder, name: 'envoy', bootstrap: toldByProxyProtocol(bootstrap) })
  ends.push(() => running.stop())
})

after(async () => {
  for (const end of ends.toReversed()) await end()
})

/** virtualOutbound on a loopback port; the inbound side is left out. */
function toldByProxyProtocol(bootstrap: JsonObject): JsonObject {
  const { listeners, clusters } = bootstrap['staticResources'] as unknown as { listeners: JsonObject[]; clusters: JsonObject[] }
  const told = { name: 'envoy.filters.listener.proxy_protocol', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol' } }
  const outbound = listeners.filter((l) => l['name'] !== 'virtualInbound').map((l) => (l['name'] === 'virtualOutbound' ? { ...l, address: { socketAddress: { address: '127.0.0.1', portValue: listens } }, listenerFilters: [told] } : l))
  return { ...bootstrap, staticResources: { listeners: outbound, clusters } }
}

async function call(t: TestContext, address: string, to: number): Promise<string | undefined> {
  if (needsEnvoy(t) === undefined) return undefined
  const text = await say(listens, `PROXY TCP4 127.0.0.1 ${address} 40000 ${to}\r\nGET / HTTP/1.1\r\nhost: ${address}:${to}\r\nconnection: close\r\n\r\n`)
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}

test('mutual TLS with the pod that is meant: of a headless service, on a port with an HTTP listener, on one that nobody knows', async (t) => {
  for (const [to, alpn] of [[port, 'istio'], [port + 1, 'istio-http/1.1,istio'], [port + 2, 'istio']] as const) {
    const answer = await call(t, pods.honest, to)
    if (answer !== undefined) assert.deepEqual(JSON.parse(answer), { tls: true, client: clientId, alpn })
  }
})

test('plaintext to a pod without a sidecar', async (t) => {
  for (const to of [port, port + 1, port + 2]) {
    const answer = await call(t, pods.plain, to)
    if (answer !== undefined) assert.deepEqual(JSON.parse(answer), { tls: false, client: '', alpn: '' })
  }
})

test('nothing to a pod that shows another’s name', async (t) => {
  for (const to of [port, port + 1, port + 2]) {
    const answer = await call(t, pods.liar, to)
    if (answer !== undefined) assert.doesNotMatch(answer, /"client"/)
  }
})
