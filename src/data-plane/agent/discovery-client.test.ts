import 'reflect-metadata'
import assert from 'node:assert/strict'
import { KeyObject } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { X509CertificateGenerator } from '@peculiar/x509'
import { silentLogger } from '#lib/log.ts'
import { Secret } from '#lib/secret.ts'
import { DiscoveryClient } from './discovery-client.ts'

test('a connection that is taken and never answered is given up, and another is tried', async (t) => {
  const sockets: Socket[] = []
  let second: () => void
  const again = new Promise<void>((resolve) => (second = resolve))
  // What a dying control plane leaves behind: the connection stands, nobody speaks.
  const mute = createServer((socket) => {
    socket.on('error', () => undefined)
    if (sockets.push(socket) === 2) second()
  })
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = (await X509CertificateGenerator.createSelfSigned({ name: 'CN=sleep', keys, signingAlgorithm: algorithm, notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 60_000) })).toString('pem')
  const reasons: string[] = []
  const client = new DiscoveryClient({
    address: `127.0.0.1:${(mute.address() as AddressInfo).port}`, serverName: 'istiod', node: { id: 'sidecar~1~a.b~b', cluster: 'a.b', metadata: {} }, proxy: { update: () => ({ errors: [], unserved: [] }) }, onConfigured: () => undefined, pick: () => 0.5, connectMs: 200,
    certificate: () => ({ chain: certificate, key: new Secret(KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string), roots: certificate, notBeforeMs: 0, notAfterMs: 1 }), log: { ...silentLogger, warn: (fields: object) => void reasons.push((fields as { reason: string }).reason) },
  })
  t.after(() => {
    client.stop()
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
  client.start()
  await again
  assert.match(reasons[0] ?? '', /^no connection within 0\.2 s/)
})
