// What an HTTP/2 peer may do besides exchanging messages, at both ends: PINGs that answer nothing, floods of frames, heads that are few bytes
// on the wire and many in memory. Floods end their connection, honest talk of any kind goes on, and memory is bounded.
import assert from 'node:assert/strict'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { block, flag, frame, get, integer, RawClient, type } from './frames.ts'
import { listenOn, startPair, type Pair } from './pair.ts'
import { rawApp, until } from './talk.ts'

const u32 = (n: number): Buffer => {
  const b = Buffer.alloc(4)
  b.writeUInt32BE(n)
  return b
}
const times = (n: number, bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: n }, () => bytes))
const post = block([[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'a']])
const openPost = (stream: number): Buffer => frame(type.headers, flag.endHeaders, stream, post)
const wholeGet = (stream: number): Buffer => frame(type.headers, flag.endHeaders | flag.endStream, stream, block(get()))
const settingsAck = frame(type.settings, flag.ack, 0)
const ping = (flags: number): Buffer => frame(type.ping, flags, 0, Buffer.alloc(8))
/** A field of 3,500 bytes, kept in HPACK's table; then its number, over and over: each a byte on the wire. */
const bigField = Buffer.concat([Buffer.from([0x40]), integer(1, 7, 0), Buffer.from('x'), integer(3500, 7, 0), Buffer.alloc(3500, 'y')])
const manyTimes = Buffer.alloc(15, 0xbe)

/** Echoes what it is sent; `/hang` is never answered. */
const app = createHttp2Server()
app.on('stream', (stream: ServerHttp2Stream, headers) => {
  stream.on('error', () => {})
  if (headers[':path'] === '/hang') return void stream.resume()
  stream.respond({ ':status': 200 })
  stream.pipe(stream)
})
app.on('session', (session) => {
  session.on('error', () => {})
  sessions.add(session)
})
const sessions = new Set<{ destroy(): void }>()

let pair: Pair
before(async () => {
  pair = await startPair({ appPort: await listenOn(app), inbound: [{ port: 80, kind: 'http', mode: 'PERMISSIVE', http: 'http2' }] })
})
after(async () => {
  await pair.stop()
  app.close()
  for (const session of sessions) session.destroy()
})

/** A client of the server's sidecar, over mutual TLS. */
async function overTls(): Promise<RawClient> {
  const { chain, key } = pair.issued.client
  const socket: Socket = connectTls({ port: pair.inboundPort, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['istio-h2', 'istio', 'h2'], cert: chain, key })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  return new RawClient(0, undefined, socket)
}
const inClear = (): Promise<RawClient> => Promise.resolve(new RawClient(pair.inboundPort))

/** Answers 200 to whatever asks, frame by frame; `extra` goes before every answer. */
async function rawHttp2App(extra: Buffer, answer: (stream: number) => Buffer): Promise<Awaited<ReturnType<typeof rawApp>>> {
  return rawApp((socket) => {
    let held = Buffer.alloc(0)
    socket.write(Buffer.concat([frame(type.settings, 0, 0), settingsAck]))
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      if (held.toString('latin1', 0, 3) === 'PRI') held = held.subarray(24)
      while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
        const [kind, flags, stream, end] = [held[3], held[4] as number, held.readUInt32BE(5), 9 + held.readUIntBE(0, 3)]
        if (kind === type.headers) socket.write(Buffer.concat([extra, answer(stream)]))
        if (kind === type.ping && (flags & flag.ack) === 0) socket.write(frame(type.ping, flag.ack, 0, held.subarray(9, end)))
        held = held.subarray(end)
      }
    })
  })
}

test('a PING with ACK that answers nothing is ignored, by both ends, in clear and over TLS', async () => {
  for (const [what, open] of [['in clear', inClear], ['over TLS', overTls]] as const) {
    const client = await open()
    client.send(settingsAck, times(3, ping(flag.ack)), wholeGet(1))
    await until(() => client.has(type.headers, 1) || client.closed, `the answer ${what}`)
    client.send(ping(flag.ack))
    client.send(wholeGet(3))
    await until(() => client.has(type.headers, 3) || client.closed, `the second answer ${what}`)
    assert.deepEqual([client.goaway(), client.closed], [undefined, false], what)
    client.socket.destroy()
  }
  const odd = await rawHttp2App(times(3, ping(flag.ack)), (stream) => frame(type.headers, flag.endHeaders | flag.endStream, stream, Buffer.from([0x88])))
  const other = await startPair({ appPort: odd.port, inbound: [{ port: 80, kind: 'http', mode: 'PERMISSIVE', http: 'http2' }] })
  try {
    const client = new RawClient(other.inboundPort)
    for (const stream of [1, 3, 5]) {
      client.send(wholeGet(stream))
      await until(() => client.has(type.headers, stream), `the answer on stream ${stream}`)
      assert.equal(client.frames.find((f) => f.kind === type.headers && f.stream === stream)?.payload[0], 0x88)
    }
    assert.equal(odd.received.length, 1, 'connections to the application')
    client.socket.destroy()
  } finally {
    await other.stop()
    odd.close()
  }
})

test('frames that break the protocol still end their connection, with the code that is theirs', async () => {
  const broken: readonly (readonly [string, Buffer, number])[] = [
    ['a PING on a stream', frame(type.ping, 0, 1, Buffer.alloc(8)), 1],
    ['a PING with ACK on a stream', frame(type.ping, flag.ack, 1, Buffer.alloc(8)), 1],
    ['a PING of 7 bytes', frame(type.ping, 0, 0, Buffer.alloc(7)), 6],
    ['a SETTINGS with ACK that answers nothing', times(2, settingsAck), 1],
    ['a WINDOW_UPDATE of 0', frame(type.window, 0, 0, u32(0)), 1],
    ['DATA on stream 0', frame(type.data, 0, 0, Buffer.from('x')), 1],
    ['an even stream', wholeGet(2), 1],
    ['a block that HPACK cannot read', frame(type.headers, flag.endHeaders, 1, Buffer.alloc(6, 0xff)), 9],
    ['an unasked PING with ACK, then a WINDOW_UPDATE of 0', Buffer.concat([ping(flag.ack), frame(type.window, 0, 0, u32(0))]), 1],
  ]
  for (const [what, bytes, code] of broken) {
    for (const open of [inClear, overTls]) {
      const client = await open()
      client.send(settingsAck, bytes)
      await until(() => client.closed, `the end: ${what}`)
      assert.equal(client.goaway(), code, what)
    }
  }
})

/** Sends until its connection ends, and reads all that comes back; false: it may go on. */
async function flood(open: () => Promise<RawClient>, one: Buffer, most: number): Promise<boolean> {
  const client = await open()
  client.send(settingsAck, openPost(1))
  await until(() => client.has(type.headers, 1), 'the answer')
  const part = times(200, one)
  const end = Date.now() + 8000
  for (let sent = 0; sent < most && !client.closed && Date.now() < end; sent += part.length) {
    if (!client.socket.write(part)) await new Promise((resolve) => client.socket.once('drain', resolve).once('close', resolve))
    await new Promise((resolve) => setImmediate(resolve))
    client.frames.length = Math.min(client.frames.length, 10_000)
  }
  for (let i = 0; i < 300 && !client.closed; i++) await new Promise((resolve) => setTimeout(resolve, 10))
  client.socket.destroy()
  return client.closed
}

test('floods by a peer that reads end their connection; others are served', { timeout: 40_000 }, async () => {
  const megabyte = 1024 * 1024
  const kinds: readonly (readonly [string, Buffer, number])[] = [
    ['SETTINGS', frame(type.settings, 0, 0), megabyte / 20],
    ['PING', ping(0), megabyte / 10],
    ['PING with ACK', ping(flag.ack), 2 * megabyte],
    ['WINDOW_UPDATE of the connection', frame(type.window, 0, 0, u32(1)), 4 * megabyte],
    ['WINDOW_UPDATE of a stream', frame(type.window, 0, 1, u32(1)), 4 * megabyte],
    ['empty DATA', frame(type.data, 0, 1), 4 * megabyte],
    ['DATA of padding', frame(type.data, 8, 1, Buffer.concat([Buffer.from([255]), Buffer.alloc(255)])), 4 * megabyte],
    ['PRIORITY', frame(type.priority, 0, 1, Buffer.from([0, 0, 0, 0, 16])), 4 * megabyte],
    ['frames of an unknown type', frame(99, 0, 0, Buffer.alloc(8)), 4 * megabyte],
  ]
  const ended = await Promise.all(kinds.flatMap(([, one, most]) => [flood(inClear, one, most), flood(overTls, one, most)]))
  assert.deepEqual(kinds.flatMap(([what], i) => [0, 1].filter((k) => ended[2 * i + k] === false).map((k) => `${what}, ${k === 0 ? 'in clear' : 'over TLS'}`)), [])
  assert.match(pair.server.metrics(), /kith_downstream_protocol_errors_total\{direction="inbound",details="http2.flood"\} \d/)
  assert.ok(pair.log.lines.some((l) => l.level === 'warn' && l.message.startsWith('http/2 connection ended') && l.fields['what'] === 'PING'))
  const client = await overTls()
  client.send(wholeGet(1))
  await until(() => client.has(type.headers, 1), 'an answer for another caller')
  client.socket.destroy()
})

test('floods by a server end its connection, and the next request gets a new one', { timeout: 20_000 }, async () => {
  for (const one of [frame(type.settings, 0, 0), ping(0), frame(type.window, 0, 0, u32(1))]) {
    const flooding = await rawHttp2App(Buffer.alloc(0), (stream) => frame(type.headers, flag.endHeaders, stream, Buffer.from([0x88])))
    const sockets: Socket[] = []
    flooding.server.on('connection', (socket: Socket) => sockets.push(socket))
    const other = await startPair({ appPort: flooding.port, inbound: [{ port: 80, kind: 'http', mode: 'PERMISSIVE', http: 'http2' }] })
    try {
      const client = new RawClient(other.inboundPort)
      client.send(wholeGet(1))
      await until(() => client.has(type.headers, 1), 'the answer')
      const [socket] = sockets as [Socket]
      const part = times(500, one)
      for (let i = 0; i < 1000 && !socket.destroyed; i++) {
        socket.write(part)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      assert.ok(socket.destroyed || socket.readableEnded, 'the flooded connection stands')
      client.send(wholeGet(3))
      await until(() => client.has(type.headers, 3), 'the next answer')
      assert.equal(sockets.length, 2)
      client.socket.destroy()
    } finally {
      await other.stop()
      flooding.close()
    }
  }
})

test('honest talk is no flood: a PING and two WINDOW_UPDATEs for every byte, for a long time', { timeout: 30_000 }, async () => {
  for (const open of [inClear, overTls]) {
    const client = await open()
    client.send(settingsAck, openPost(1))
    const answers = [frame(type.window, 0, 0, u32(1)), frame(type.window, 0, 1, u32(1)), ping(0)]
    let echoed = 0
    // One byte at a time, the next when the last is back.
    for (let sent = 0; sent < 3000 && !client.closed; sent++) {
      client.send(frame(type.data, 0, 1, Buffer.from('x')), ...answers)
      await untilSoon(() => client.closed || client.frames.some((f) => f.kind === type.data))
      for (const f of client.frames.splice(0)) if (f.kind === type.data) echoed += f.payload.length
    }
    assert.deepEqual([client.closed, client.goaway(), echoed], [false, undefined, 3000])
    client.socket.destroy()
  }
})

async function untilSoon(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000_000 && !holds(); i++) await new Promise((resolve) => setImmediate(resolve))
}

const headBytes = (text: string): number => Number(/^kith_http2_head_bytes (\d+)/m.exec(text)?.[1])
const limit = { connection: 8 * 1024 * 1024, sidecar: 64 * 1024 * 1024 }

test('heads by HPACK reference: a budget for each connection and for the sidecar, and memory comes back', { timeout: 40_000 }, async () => {
  const hang = get().map(([name, value]) => [name, name === ':path' ? '/hang' : value] as const)
  const bomb = Buffer.concat([block(hang), manyTimes])
  const clients = Array.from({ length: 10 }, () => new RawClient(pair.inboundPort))
  let most = 0
  try {
    for (const client of clients) {
      client.send(settingsAck, frame(type.headers, flag.endHeaders | flag.endStream, 1, Buffer.concat([block(hang), bigField])))
      for (let stream = 3; stream < 400; stream += 2) client.send(frame(type.headers, flag.endHeaders | flag.endStream, stream, bomb))
    }
    const refused = (): number => clients.reduce((n, c) => n + c.frames.filter((f) => f.kind === type.headers).length, 0)
    await until(() => (most = Math.max(most, headBytes(pair.server.metrics()))) > 0 && refused() > 1000, 'refusals')
    assert.ok(most <= limit.sidecar / 2 + clients.length * 64 * 1024, `${most} bytes of heads`)
    // Others are served; one connection alone is bounded too.
    const client = await overTls()
    client.send(wholeGet(1))
    await until(() => client.has(type.headers, 1), 'an answer for another caller')
    client.socket.destroy()
    for (const c of clients.slice(1)) c.socket.destroy()
    await until(() => headBytes(pair.server.metrics()) <= limit.connection, 'what one connection holds')
    assert.ok(pair.serverLog.some((l) => l.includes(' 503 UO http2.too_many_heads ')), pair.serverLog.at(-1) ?? 'no line')
  } finally {
    for (const client of clients) client.socket.destroy()
  }
  await until(() => headBytes(pair.server.metrics()) === 0, 'nothing held any more')
})

test('heads of answers have the same budget', async () => {
  const big = Buffer.concat([Buffer.from([0x88]), manyTimes])
  let first = true
  const bombing = await rawHttp2App(Buffer.alloc(0), (stream) => {
    const head = first ? Buffer.concat([Buffer.from([0x88]), bigField]) : big
    first = false
    return frame(type.headers, flag.endHeaders, stream, head)
  })
  const other = await startPair({ appPort: bombing.port, inbound: [{ port: 80, kind: 'http', mode: 'PERMISSIVE', http: 'http2' }] })
  try {
    const client = new RawClient(other.inboundPort)
    for (let stream = 1; stream < 450; stream += 2) client.send(wholeGet(stream))
    await until(() => other.serverLog.some((l) => l.includes(' 502 UPE ')), 'answers that are too much')
    assert.ok(headBytes(other.server.metrics()) <= limit.connection)
    client.socket.destroy()
    await until(() => headBytes(other.server.metrics()) === 0, 'nothing held any more')
  } finally {
    await other.stop()
    bombing.close()
  }
})
