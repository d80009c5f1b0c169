// A client that calls pods by their addresses, through our proxy: mutual TLS with the pod that is meant, plaintext to one without a sidecar, and nothing at all to one that shows another's name.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startProxy, type Proxy } from '#proxy'
import { Secret } from '#lib/secret.ts'
import { configOf } from '../golden/golden-case.ts'
import { addressMesh, clientId, pods, startPod } from './address-pods.ts'
import { createAuthority } from './authority.ts'
import { freePort } from '../fixtures/ports.ts'
import { identity, recordingLog } from './pair.ts'
import { exchange, intercepted, whole } from './talk.ts'

const ends: (() => void | Promise<void>)[] = []
let proxy: Proxy
let proxyPort = 0
let port = 0

before(async () => {
  const authority = await createAuthority()
  const issue = async (account: string) => authority.issue([{ type: 'url', value: `spiffe://cluster.local/ns/${account === 'client' ? 'foo' : 'bar'}/sa/${account}` }])
  const [honest, other, client] = await Promise.all([issue('honest'), issue('somebody-else'), issue('client')])
  port = await freePort()
  const ports = [port, port + 1, port + 2]
  for (const [address, cert] of [[pods.honest, honest], [pods.plain, undefined], [pods.liar, other]] as const) {
    const pod = await startPod(address, ports, cert === undefined ? undefined : { cert: cert.chain, key: cert.key, ca: authority.root })
    ends.push(() => pod.stop())
  }
  proxyPort = await freePort()
  proxy = await startProxy({
    identity: identity('client', 'foo'), interception: { mode: 'NONE', dialMap: { dial: {}, inbound: [], httpProxy: `127.0.0.1:${proxyPort}`, hosts: {} } }, ports: { admin: null, prometheus: null }, log: recordingLog(), accessLog: () => {},
  })
  ends.push(() => proxy.stop())
  assert.deepEqual(proxy.update(configOf(addressMesh(port), 'client.foo').resources), { errors: [], unserved: [] })
  proxy.setSecret('default', { kind: 'certificate', chain: client.chain, key: new Secret(client.key) })
  proxy.setSecret('ROOTCA', { kind: 'trust', roots: authority.root })
})

after(async () => {
  for (const end of ends.toReversed()) await end()
})

async function call(address: string, to: number): Promise<string> {
  const socket = await intercepted(proxyPort, `${address}:${to}`)
  const text = await exchange(socket, `GET / HTTP/1.1\r\nhost: ${address}:${to}\r\nconnection: close\r\n\r\n`, whole)
  socket.destroy()
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}

test('mutual TLS with the pod that is meant: of a headless service, on a port with an HTTP listener, on one that nobody knows', async () => {
  for (const [to, alpn] of [[port, 'istio'], [port + 1, 'istio-http/1.1,istio'], [port + 2, 'istio']] as const) assert.deepEqual(JSON.parse(await call(pods.honest, to)), { tls: true, client: clientId, alpn })
})

test('plaintext to a pod without a sidecar', async () => {
  for (const to of [port, port + 1, port + 2]) assert.deepEqual(JSON.parse(await call(pods.plain, to)), { tls: false, client: '', alpn: '' })
})

test('nothing to a pod that shows another’s name', async () => {
  for (const to of [port, port + 1, port + 2]) assert.doesNotMatch(await call(pods.liar, to), /client/)
})

test('an address of no pod gets what the application wrote', async () => {
  const stranger = await startPod('127.0.9.9', [port + 2])
  try {
    assert.deepEqual(JSON.parse(await call('127.0.9.9', port + 2)), { tls: false, client: '', alpn: '' })
    assert.equal(stranger.seen.length, 1)
  } finally {
    stranger.stop()
  }
})

test('a connection to nobody ends', async () => {
  assert.equal(await call('127.0.9.8', port), '')
})
