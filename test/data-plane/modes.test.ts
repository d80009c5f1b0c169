// STRICT, PERMISSIVE and DISABLE over real sockets: plaintext, mesh mTLS, foreign TLS, strangers' certificates; what the log and the counters say of it.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { test } from 'node:test'
import { createAuthority } from './authority.ts'
import { clientId, serverId, startPair, type Pair } from './pair.ts'
import { inboundResources, type Mode } from './resources.ts'
import { exchange, httpApp, talk, until, whole } from './talk.ts'

const echo = () => httpApp((req, res) => res.end(JSON.stringify(req.headers)))
const plain = 'GET / HTTP/1.1\r\nhost: httpbin\r\nconnection: close\r\n\r\n'

interface Tls {
  readonly cert?: { readonly chain: string; readonly key: string }
  readonly alpn: readonly string[]
}

/** What comes back over TLS; '' where the handshake or the connection fails. */
function overTls(pair: Pair, options: Tls): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = tlsConnect({ port: pair.inboundPort, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: [...options.alpn], ...(options.cert === undefined ? {} : { cert: options.cert.chain, key: options.cert.key }) })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('secureConnect', () => socket.write(plain))
  })
}

const mesh = ['istio-http/1.1', 'istio', 'http/1.1']

test('who gets in, by mode', async () => {
  const app = await echo()
  const stranger = await (await createAuthority('stranger')).issue([{ type: 'url', value: clientId }])
  try {
    for (const [mode, want] of [
      ['STRICT', { plaintext: false, mesh: true, foreign: false, stranger: false, otherDomain: false }],
      ['PERMISSIVE', { plaintext: true, mesh: true, foreign: false, stranger: false, otherDomain: false }],
      ['DISABLE', { plaintext: true, mesh: false, foreign: false, stranger: false, otherDomain: false }],
    ] as const satisfies readonly (readonly [Mode, object])[]) {
      const pair = await startPair({ appPort: app.port, mode })
      try {
        const otherDomain = await pair.authority.issue([{ type: 'url', value: 'spiffe://elsewhere/ns/foo/sa/sleep' }])
        const got = {
          plaintext: (await talk(pair.inboundPort, plain, whole)).startsWith('HTTP/1.1 200'),
          mesh: (await overTls(pair, { cert: pair.issued.client, alpn: mesh })).startsWith('HTTP/1.1 200'),
          foreign: (await overTls(pair, { alpn: ['http/1.1'] })).startsWith('HTTP/1.1 200'),
          stranger: (await overTls(pair, { cert: stranger, alpn: mesh })).startsWith('HTTP/1.1 200'),
          otherDomain: (await overTls(pair, { cert: otherDomain, alpn: mesh })).startsWith('HTTP/1.1 200'),
        }
        assert.deepEqual(got, want, mode)
      } finally {
        await pair.stop()
      }
    }
  } finally {
    app.close()
  }
})

test('STRICT closes plaintext before a byte comes back, and says which policy', async () => {
  const app = await echo()
  const pair = await startPair({ appPort: app.port })
  try {
    assert.equal(await talk(pair.inboundPort, plain), '')
    const line = pair.log.lines.find((l) => l.message === 'plaintext rejected')
    assert.equal(line?.fields['source'], 'PeerAuthentication foo/default (STRICT)')
    assert.equal(line?.fields['rule'], 'mtls.namespace')
    assert.match(pair.server.metrics(), /kith_connections_refused_total\{reason="plaintext",port="80"\} 1/)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('PERMISSIVE: the application can tell mTLS from plaintext; the metric too', async () => {
  const app = await echo()
  const pair = await startPair({ appPort: app.port, mode: 'PERMISSIVE' })
  try {
    const clear = await talk(pair.inboundPort, `GET / HTTP/1.1\r\nhost: httpbin\r\nx-forwarded-client-cert: By=forged;URI=spiffe://cluster.local/ns/kube-system/sa/admin\r\nX_Forwarded_Client_Cert: forged\r\nx-forwarded_client-cert: forged\r\nx-forwarded-client-cert2: kept\r\nconnection: close\r\n\r\n`, whole)
    assert.doesNotMatch(clear, /forged/)
    assert.match(clear, /"x-forwarded-client-cert2":"kept"/)
    const secured = await overTls(pair, { cert: pair.issued.client, alpn: mesh })
    assert.match(secured, new RegExp(`"x-forwarded-client-cert":"By=${serverId};Hash=[0-9a-f]{64};Subject=\\\\"\\\\";URI=${clientId}"`))
    await until(() => pair.serverLog.length === 2, 'two log lines')
    pair.server.metrics()
    assert.match(pair.server.metrics(), /connection_security_policy="none"\} 1/)
    assert.match(pair.server.metrics(), /source_principal="spiffe:\/\/cluster.local\/ns\/foo\/sa\/sleep".*connection_security_policy="mutual_tls"\} 1/)
    assert.match(pair.serverLog[0] ?? '', /"-" -$/)
    assert.match(pair.serverLog[1] ?? '', new RegExp(`"${clientId}" TLSv1.3$`))
  } finally {
    await pair.stop()
    app.close()
  }
})

test('never negotiates one of Istio’s own ALPN names', async () => {
  const app = await echo()
  const pair = await startPair({ appPort: app.port })
  try {
    for (const [offered, chosen] of [[mesh, 'http/1.1'], [['istio'], false], [['istio-http/1.1'], false]] as const) {
      const got = await new Promise((resolve) => {
        const socket = tlsConnect({ port: pair.inboundPort, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: [...offered], cert: pair.issued.client.chain, key: pair.issued.client.key }, () => {
          resolve(socket.alpnProtocol)
          socket.destroy()
        })
        socket.on('error', resolve)
      })
      assert.equal(got, chosen, offered.join())
    }
  } finally {
    await pair.stop()
    app.close()
  }
})

test('a change of mode ends the connections that it no longer allows, and only those', async () => {
  const app = await echo()
  const pair = await startPair({ appPort: app.port, inbound: [{ port: 80, kind: 'http', mode: 'PERMISSIVE' }, { port: 81, kind: 'http', mode: 'PERMISSIVE' }] })
  try {
    const keepAlive = 'GET / HTTP/1.1\r\nhost: httpbin\r\n\r\n'
    const plaintext = connect(pair.inboundPort, '127.0.0.1')
    assert.match(await exchange(plaintext, keepAlive, whole), /^HTTP\/1.1 200 /)
    const other = connect(pair.inboundPorts[1] as number, '127.0.0.1')
    assert.match(await exchange(other, keepAlive, whole), /^HTTP\/1.1 200 /)
    const gone = new Promise((resolve) => plaintext.on('close', resolve))
    pair.server.update(inboundResources([{ port: 80, kind: 'http', mode: 'STRICT' }, { port: 81, kind: 'http', mode: 'PERMISSIVE' }], 'STRICT'))
    await gone
    assert.match(await exchange(other, keepAlive, whole), /^HTTP\/1.1 200 /)
    other.destroy()
    assert.equal(await talk(pair.inboundPort, plain), '')
  } finally {
    await pair.stop()
    app.close()
  }
})
