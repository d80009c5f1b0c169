// The client's sidecar pins the server's SPIFFE id on every connection, resumed or not, and never falls back to plaintext.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, createServer } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { Secret } from '#lib/secret.ts'
import { createAuthority } from './authority.ts'
import { clientId, listenOn, serverId, startPair } from './pair.ts'
import { exchange, httpApp, intercepted, rawApp, until, whole } from './talk.ts'

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

/** A connection to the server's sidecar, over mutual TLS. */
function meshTls(port: number, cert: { readonly chain: string; readonly key: string }): TLSSocket {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2', ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'], cert: cert.chain, key: cert.key })
  socket.on('error', () => {})
  return socket
}

test('a certificate that may sign others names no workload, at both ends', async () => {
  const app = await httpApp((_req, res) => res.end('served'))
  const authority = await createAuthority()
  const pair = await startPair({ appPort: app.port, authority })
  try {
    const caller = await authority.issue([{ type: 'url', value: clientId }], undefined, true)
    const socket = meshTls(pair.inboundPort, caller)
    assert.equal(await exchange(socket, get, whole), '')
    await until(() => pair.log.lines.some((l) => l.message === 'tls handshake failed' && String(l.fields['error']).includes('authority’s own')), 'the log line')
    const server = await authority.issue([{ type: 'url', value: serverId }], undefined, true)
    pair.server.setSecret('default', { kind: 'certificate', chain: server.chain, key: new Secret(server.key) })
    assert.match(await exchange(await intercepted(pair.proxyPort), get, whole), /^HTTP\/1.1 503 [\s\S]*authority/)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('renegotiation in TLS 1.2 is refused', async () => {
  const app = await httpApp((_req, res) => res.end('served'))
  const pair = await startPair({ appPort: app.port })
  try {
    // What the server's sidecar sends, record by record: 21 is an alert, 22 a handshake.
    const sent: number[] = []
    const relay = createServer((near) => {
      const far = connect(pair.inboundPort, '127.0.0.1')
      far.on('data', (chunk: Buffer) => {
        sent.push(chunk[0] as number)
        near.write(chunk)
      })
      for (const end of [near, far]) end.on('error', () => {}).on('close', () => (near.destroy(), far.destroy()))
      near.pipe(far)
    })
    const socket = meshTls(await listenOn(relay), pair.issued.client)
    assert.match(await exchange(socket, get, whole), /^HTTP\/1.1 200 /)
    assert.equal(socket.getProtocol(), 'TLSv1.2')
    sent.length = 0
    socket.renegotiate({}, () => {})
    await until(() => sent.length > 0, 'the answer to the renegotiation')
    socket.destroy()
    relay.close()
    assert.equal(sent[0], 21)
  } finally {
    await pair.stop()
    app.close()
  }
})
