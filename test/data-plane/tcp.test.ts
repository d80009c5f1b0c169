// Opaque TCP both ways: half-closing, resets, big streams, destinations that the mesh doesn't know; and what never takes the sidecar down.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { startPair, vip } from './pair.ts'
import { exchange, httpApp, intercepted, rawApp, until, whole } from './talk.ts'

const tcpPair = (appPort: number, mode: 'STRICT' | 'PERMISSIVE' = 'STRICT') =>
  startPair({ appPort, inbound: [{ port: 9000, kind: 'tcp', mode }], outbound: (base) => [{ ...base, kind: 'tcp', port: 9000 }] })

function collect(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    socket.on('data', (c: Buffer) => parts.push(c))
    socket.on('end', () => resolve(Buffer.concat(parts)))
    socket.on('close', () => resolve(Buffer.concat(parts)))
    socket.resume()
  })
}

test('half-closing passes through both sidecars, over mTLS', async () => {
  const app = await rawApp((socket) => {
    let text = ''
    socket.on('data', (c: Buffer) => (text += c.toString()))
    // Speaks only when the client has said its last.
    socket.on('end', () => socket.end(`you said ${text}`))
  })
  const pair = await tcpPair(app.port)
  try {
    const socket = await intercepted(pair.proxyPort, `${vip}:9000`)
    const all = collect(socket)
    socket.end('hello')
    assert.equal((await all).toString(), 'you said hello')
    await until(() => pair.serverLog.length === 1, 'a log line')
    assert.match(pair.serverLog[0] ?? '', /"spiffe:\/\/cluster.local\/ns\/foo\/sa\/sleep" TLSv1.3$/)
    assert.match(pair.server.metrics(), /istio_tcp_received_bytes_total\{reporter="destination".*connection_security_policy="mutual_tls"\} 5/)
    assert.match(pair.client.metrics(), /istio_tcp_connections_closed_total\{reporter="source".*\} 1/)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('the server speaks first; big streams are equal; both at once', async () => {
  const big = randomBytes(8_000_000)
  const app = await rawApp((socket) => {
    socket.write('220 ready\r\n')
    socket.write(big)
    socket.on('end', () => socket.end())
  })
  const pair = await tcpPair(app.port)
  try {
    const socket = await intercepted(pair.proxyPort, `${vip}:9000`)
    const all = collect(socket)
    socket.end(big)
    const got = await all
    assert.equal(got.subarray(0, 11).toString(), '220 ready\r\n')
    const digest = (b: Buffer) => createHash('sha256').update(b).digest('hex')
    assert.equal(digest(got.subarray(11)), digest(big))
    await until(() => Buffer.concat(app.received.flat()).length === big.length, 'all bytes arrived')
    assert.equal(digest(Buffer.concat(app.received.flat())), digest(big))
  } finally {
    await pair.stop()
    app.close()
  }
})

test('resets: at once, in mid-response, by the upstream; the sidecars go on', async () => {
  let breakUp = false
  const app = await httpApp((req, res) => {
    if (req.url === '/break') {
      res.writeHead(200, { 'content-length': 1000 })
      res.write('half')
      setTimeout(() => res.socket?.resetAndDestroy(), 5)
    } else if (req.url === '/reset') req.socket.resetAndDestroy()
    else if (req.url === '/big') res.end(Buffer.alloc(5_000_000))
    else res.end(breakUp ? 'again' : 'fine')
  })
  const pair = await startPair({ appPort: app.port })
  try {
    for (let i = 0; i < 20; i++) {
      // Into the middle of everything: connect and reset, request and reset, mid-response reset, noise.
      const raw = connect(pair.inboundPort, '127.0.0.1')
      raw.on('error', () => {})
      raw.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]))
      raw.once('connect', () => raw.resetAndDestroy())
      const early = await intercepted(pair.proxyPort)
      early.write('GET /big HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n')
      if (i % 2 === 0) await new Promise((resolve) => early.once('data', resolve))
      early.resetAndDestroy()
    }
    assert.match(await exchange(await intercepted(pair.proxyPort), 'GET /break HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n', () => false), /^HTTP\/1.1 200 [\s\S]*half$/)
    assert.match(await exchange(await intercepted(pair.proxyPort), 'POST /reset HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: 0\r\n\r\n', whole), /^HTTP\/1.1 503 [\s\S]*connection termination/)
    breakUp = true
    assert.match(await exchange(await intercepted(pair.proxyPort), 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n', whole), /again$/)
    await until(() => pair.client.connections().downstream <= 4, 'connections let go')
  } finally {
    await pair.stop()
    app.close()
  }
})

test('destinations that the mesh does not know pass through; unreachable ones and empty clusters say so', async () => {
  const app = await httpApp((_req, res) => res.end('outside'))
  const pair = await startPair({ appPort: app.port, outbound: (base) => [base, { ...base, host: 'empty.bar.svc.cluster.local', vip: '10.96.0.8', endpoints: [] }] })
  try {
    const passed = await intercepted(pair.proxyPort, `outside:${app.port}`)
    assert.match(await exchange(passed, 'GET / HTTP/1.1\r\nhost: whoever\r\n\r\n', whole), /outside$/)
    await until(() => pair.client.connections().downstream > 0, 'open')
    passed.destroy()
    const closed = await intercepted(pair.proxyPort, 'outside:1')
    assert.equal(await exchange(closed, 'x', () => false), '')
    assert.match(await exchange(await intercepted(pair.proxyPort), 'GET / HTTP/1.1\r\nhost: empty.bar\r\n\r\n', whole), /^HTTP\/1.1 503 [\s\S]*no healthy upstream$/)
    await until(() => pair.clientLog.some((l) => l.includes(' UH ') && l.includes('empty.bar')), 'UH in the log')
  } finally {
    await pair.stop()
    app.close()
  }
})
