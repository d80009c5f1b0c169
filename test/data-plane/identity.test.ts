// The client's sidecar pins the server's SPIFFE id on every connection, resumed or not, and never falls back to plaintext.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '#lib/secret.ts'
import { createAuthority } from './authority.ts'
import { clientId, serverId, startPair } from './pair.ts'
import { exchange, httpApp, intercepted, rawApp, whole } from './talk.ts'

const get = 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'

test('a server with another identity is refused; the log says expected and presented', async () => {
  const names = ['spiffe://cluster.local/ns/bar/sa/other', `${serverId}x`, 'spiffe://CLUSTER.local/ns/bar/sa/httpbin', 'spiffe://cluster.local/ns/bar']
  const app = await httpApp((_req, res) => res.end('secret'))
  try {
    for (const value of names) {
      const pair = await startPair({ appPort: app.port, serverNames: [{ type: 'url', value }] })
      try {
        const answer = await exchange(await intercepted(pair.proxyPort), get, whole)
        assert.match(answer, /^HTTP\/1.1 503 /)
        assert.match(answer, new RegExp(`expected .*; presented ${value}`))
        assert.ok(pair.log.lines.some((l) => l.message === 'upstream tls failed' && String(l.fields['error']).includes(`presented ${value}`)))
      } finally {
        await pair.stop()
      }
    }
  } finally {
    app.close()
  }
})

test('two URI SANs are nobody’s', async () => {
  const app = await httpApp((_req, res) => res.end('secret'))
  const pair = await startPair({ appPort: app.port, serverNames: [{ type: 'url', value: serverId }, { type: 'url', value: 'spiffe://cluster.local/ns/bar/sa/other' }] })
  try {
    assert.match(await exchange(await intercepted(pair.proxyPort), get, whole), /^HTTP\/1.1 503 [\s\S]*no-identity/)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('an endpoint that answers in plaintext gets nothing', async () => {
  const app = await rawApp((socket) => socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno')))
  // Its sidecar passes TLS through to the application, which knows none.
  const pair = await startPair({ appPort: app.port, mode: 'DISABLE', inbound: [{ port: 80, kind: 'tcp', mode: 'DISABLE' }] })
  try {
    assert.match(await exchange(await intercepted(pair.proxyPort), get, whole), /^HTTP\/1.1 503 /)
    const bytes = Buffer.concat(app.received.flat()).toString('latin1')
    assert.ok(!bytes.includes('GET'))
  } finally {
    await pair.stop()
    app.close()
  }
})

test('resumed sessions carry the identity; after a change of roots nothing old is resumed', async () => {
  const app = await httpApp((req, res) => res.end(String(req.headers['x-forwarded-client-cert'])))
  const pair = await startPair({ appPort: app.port })
  try {
    // Three connections at once: the later ones resume.
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all([1, 2, 3, 4].map(async () => exchange(await intercepted(pair.proxyPort), get, whole)))
      for (const answer of answers) assert.match(answer, new RegExp(`URI=${clientId}`))
    }
    const other = await createAuthority('new root')
    const [server, client] = await Promise.all([other.issue([{ type: 'url', value: serverId }]), other.issue([{ type: 'url', value: clientId }])])
    for (const [proxy, cert] of [[pair.server, server], [pair.client, client]] as const) {
      proxy.setSecret('ROOTCA', { kind: 'trust', roots: other.root })
      proxy.setSecret('default', { kind: 'certificate', chain: cert.chain, key: new Secret(cert.key) })
    }
    const many = await Promise.all(Array.from({ length: 12 }, async () => exchange(await intercepted(pair.proxyPort), get, whole)))
    for (const answer of many) assert.match(answer, /^HTTP\/1.1 200 /)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('an expired certificate of the server is refused', async () => {
  const app = await httpApp((_req, res) => res.end('secret'))
  const pair = await startPair({ appPort: app.port, lifetimeMs: -1000 })
  try {
    assert.match(await exchange(await intercepted(pair.proxyPort), get, whole), /^HTTP\/1.1 503 /)
  } finally {
    await pair.stop()
    app.close()
  }
})
