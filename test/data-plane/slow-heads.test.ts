// Heads, ClientHellos and prefaces that dribble: whole ones are served however small their pieces are; those that do not end within their
// time are ended, though bytes keep coming. Silence before the first byte is no such thing.
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { block, flag, frame, get, preface, RawClient, type } from './frames.ts'
import { startPair, type Pair, type PairOptions } from './pair.ts'
import { exchange, httpApp, intercepted, until, whole } from './talk.ts'

const limitMs = 1500

async function withPair(options: Partial<PairOptions>, act: (pair: Pair) => Promise<void>): Promise<void> {
  const app = await httpApp((req, res) => res.end(`${req.url} ${JSON.stringify(req.headers).length}`))
  const pair = await startPair({ appPort: app.port, mode: 'PERMISSIVE', ...options })
  try {
    await act(pair)
  } finally {
    await pair.stop()
    app.close()
  }
}

const raw = (port: number): Socket => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  socket.resume()
  return socket
}

/** Writes a byte every 200 ms, and waits for the end; undefined: it never came. What came back, else. */
async function dribble(socket: Socket, bytes: Buffer, patienceMs = 8000): Promise<string | undefined> {
  let text = ''
  let ended = false
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  for (const event of ['end', 'close']) socket.once(event, () => (ended = true))
  let i = 0
  const timer = setInterval(() => void (i < bytes.length && socket.writable && socket.write(bytes.subarray(i, ++i))), 200)
  const end = Date.now() + patienceMs
  while (!ended && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50))
  clearInterval(timer)
  socket.destroy()
  return ended ? text : undefined
}

/** The bytes of a TLS client's first flight. */
async function clientHello(): Promise<Buffer> {
  const { createServer } = await import('node:net')
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (chunk: Buffer) => {
        socket.destroy()
        server.close()
        resolve(chunk)
      })
    }).listen(0, '127.0.0.1', () => connectTls({ port: (server.address() as { port: number }).port, host: '127.0.0.1', ALPNProtocols: ['istio'] }).on('error', () => {}))
  })
}

/** A client of HTTP/2 over mutual TLS that has said nothing yet. */
async function overTls(pair: Pair): Promise<Socket> {
  const { chain, key } = pair.issued.client
  const socket = connectTls({ port: pair.inboundPort, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['istio-h2', 'istio', 'h2'], cert: chain, key })
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  return socket
}

const endless = Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(500)}`)

test('what does not end within its time is ended, though bytes keep coming', { timeout: 30_000 }, async () => {
  await withPair({ headTimeoutMs: limitMs, inbound: [{ port: 80, kind: 'auto', mode: 'PERMISSIVE' }, { port: 81, kind: 'http', mode: 'PERMISSIVE' }] }, async (pair) => {
    const [auto, http] = pair.inboundPorts as [number, number]
    const hello = await clientHello()
    const kept = raw(http)
    const first = exchange(kept, 'GET /first HTTP/1.1\r\nhost: a\r\n\r\n', whole)
    assert.match(await first, /\/first/)
    const silent = [raw(auto), raw(http), await overTls(pair)]
    const slowHead = new RawClient(http)
    slowHead.send(frame(type.settings, flag.ack, 0))
    const [head, second, afterPort, clientHelloEnd, magic, tlsMagic, frameEnd, proxyHead] = await Promise.all([
      dribble(raw(http), endless),
      dribble(kept, endless),
      dribble(await intercepted(pair.proxyPort), endless),
      dribble(raw(auto), hello),
      dribble(raw(auto), preface),
      dribble(await overTls(pair), preface),
      dribble(slowHead.socket, frame(type.headers, flag.endHeaders | flag.endStream, 1, block(get([['x', 'y'.repeat(200)]])))),
      dribble(raw(pair.proxyPort), endless),
    ])
    for (const [what, answer] of [['a head', head], ['the second head of a connection', second], ['a head, on its way out', afterPort], ['a head of the explicit proxy', proxyHead]] as const) {
      assert.match(answer ?? 'never ended', /^HTTP\/1\.1 408 /, what)
    }
    assert.deepEqual([clientHelloEnd, magic], ['', ''], 'a ClientHello and a preface')
    assert.notEqual(tlsMagic, undefined, 'a preface over TLS never ended')
    assert.notEqual(frameEnd, undefined, 'a HEADERS frame never ended')
    await until(() => pair.serverLog.some((l) => l.includes(' 408 - request_header_timeout ')), 'the log line')
    assert.match(pair.server.metrics(), /kith_connections_refused_total\{reason="slow_head"\} 2/)
    assert.deepEqual(silent.map((s) => s.destroyed || s.readableEnded), [false, false, false], 'silence was taken for slowness')
    for (const socket of silent) socket.destroy()
  })
})

test('0 switches the limit off', { timeout: 30_000 }, async () => {
  await withPair({ headTimeoutMs: 0 }, async (pair) => {
    const ended = await Promise.all([dribble(raw(pair.inboundPort), endless, 2500), dribble(await overTls(pair), preface, 2500)])
    assert.deepEqual(ended, [undefined, undefined])
  })
})

/** One byte a segment, as far as the kernel lets it. */
async function byteByByte(socket: Socket, bytes: Buffer): Promise<void> {
  for (let i = 0; i < bytes.length; i++) {
    socket.write(bytes.subarray(i, i + 1))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('a large head in single bytes is served, and so is a ClientHello', { timeout: 60_000 }, async () => {
  const head = Buffer.from(`GET /small-pieces HTTP/1.1\r\nhost: httpbin.bar:8000\r\nx: ${'y'.repeat(12_000)}\r\n\r\n`)
  await withPair({}, async (pair) => {
    const out = await intercepted(pair.proxyPort)
    const answer = exchange(out, '', whole)
    await byteByByte(out, head)
    assert.match(await answer, /\/small-pieces 12\d\d\d/)
    out.destroy()
    const server = raw(pair.inboundPort)
    const hello = await clientHello()
    const reply = new Promise<Buffer>((resolve) => server.once('data', resolve))
    await byteByByte(server, hello)
    // The server's side of a handshake, not the end of the connection.
    assert.equal((await reply)[0], 0x16)
    server.destroy()
  })
})
