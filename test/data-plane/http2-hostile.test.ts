// What HTTP/2 lets an attacker say: messages that another parser would read otherwise, and frames by the thousand. Nothing of it reaches the application; the proxy goes on for others.
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { after, before, test } from 'node:test'
import { block, flag, frame, get, integer, RawClient, type } from './frames.ts'
import { startPair, type Pair } from './pair.ts'
import { rawApp, until, type App } from './talk.ts'

let app: App & { readonly received: Buffer[][] }
let pair: Pair
before(async () => {
  app = await rawApp((socket) => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')))
  pair = await startPair({ appPort: app.port, mode: 'PERMISSIVE' })
})
after(async () => {
  await pair.stop()
  app.close()
})

const post = (more: readonly (readonly [string, string])[], authority = 'a') => [[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', authority], ...more] as const

/** Fields that are none: nghttp2 leaves them out of the request, for policy and application alike. */
const leftOut: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['a line break in a value', get([['x', 'a\r\nsmuggled: 1']])],
  ['a bare LF in a value', get([['x', 'a\nsmuggled: 1']])],
  ['a NUL in a value', get([['x', 'a\0b']])],
  ['a line break in a name', get([['x\r\ny', 'a']])],
  ['a colon in a name', get([['x: y', 'a']])],
  ['a space in a name', get([['x y', 'a']])],
  ['an empty name', get([['', 'a']])],
]

const malformed: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['an upper-case name', get([['X-A', 'a']])],
  ['transfer-encoding', post([['transfer-encoding', 'chunked']])],
  ['connection', get([['connection', 'close']])],
  ['keep-alive', get([['keep-alive', '1']])],
  ['upgrade', get([['upgrade', 'h2c']])],
  ['te beyond trailers', get([['te', 'gzip']])],
  ['two lengths', post([['content-length', '1'], ['content-length', '2']])],
  ['two equal lengths', post([['content-length', '0'], ['content-length', '0']])],
  ['a length that is none', post([['content-length', '+1']])],
  ['a length without a body', post([['content-length', '5']])],
  ['two paths', [...get(), [':path', '/b']]],
  ['two methods', [...get(), [':method', 'PUT']]],
  ['a pseudo-header behind a header', [[':method', 'GET'], [':scheme', 'http'], ['x', 'a'], [':path', '/'], [':authority', 'a']]],
  ['an unknown pseudo-header', get([[':evil', 'a']])],
  ['a response’s pseudo-header', get([[':status', '200']])],
  ['extended CONNECT, which nobody offered', [[':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', 'http'], [':path', '/'], [':authority', 'a']]],
  ['no method', [[':scheme', 'http'], [':path', '/'], [':authority', 'a']]],
  ['no path', [[':method', 'GET'], [':scheme', 'http'], [':authority', 'a']]],
  ['an empty path', [[':method', 'GET'], [':scheme', 'http'], [':path', ''], [':authority', 'a']]],
  ['no scheme', [[':method', 'GET'], [':path', '/'], [':authority', 'a']]],
  ['a path that is a whole URL', [[':method', 'GET'], [':scheme', 'http'], [':path', 'http://evil/admin'], [':authority', 'a']]],
  ['a path with a space', [[':method', 'GET'], [':scheme', 'http'], [':path', '/ HTTP/1.1\r\nhost: b'], [':authority', 'a']]],
  ['a path with a fragment', [[':method', 'GET'], [':scheme', 'http'], [':path', '/a#b'], [':authority', 'a']]],
  ['a method with a space', [[':method', 'GET / HTTP/1.1'], [':scheme', 'http'], [':path', '/'], [':authority', 'a']]],
  ['no authority', [[':method', 'GET'], [':scheme', 'http'], [':path', '/']]],
  ['a host that differs', get([['host', 'b']])],
  ['two hosts', [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], ['host', 'a'], ['host', 'a']]],
  ['an authority with userinfo', post([], 'a@b')],
  ['an authority with a path', post([], 'a/b')],
  ['a head too large', get([['x', 'a'.repeat(70_000)]])],
  ['too many headers', get(Array.from({ length: 150 }, (_, i) => [`x-${i}`, '1'] as const))],
]

test('malformed and ambiguous requests: refused, never forwarded', async () => {
  for (const [what, fields] of malformed) {
    const before = app.received.flat().length
    const client = new RawClient(pair.inboundPort)
    const whole = block(fields)
    const pieces = Array.from({ length: Math.ceil(whole.length / 16_000) }, (_, i) => whole.subarray(i * 16_000, (i + 1) * 16_000))
    client.send(...pieces.map((p, i) => frame(i === 0 ? type.headers : type.continuation, (i === 0 ? flag.endStream : 0) | (i === pieces.length - 1 ? flag.endHeaders : 0), 1, p)))
    await until(() => client.closed || client.resetOf(1) !== undefined || client.has(type.headers, 1), `an answer to ${what}`)
    // An answer of 200 would be `88` (indexed), or start with a literal that says so.
    const answer = client.frames.find((f) => f.kind === type.headers)?.payload
    assert.ok(answer === undefined || answer[0] !== 0x88, `${what}: served`)
    assert.equal(app.received.flat().length, before, `${what}: reached the application`)
    client.socket.destroy()
  }
})

const arrived = (): string => app.received.map((c) => Buffer.concat(c).toString('latin1')).join('')

test('fields that are none reach nobody', async () => {
  for (const [what, fields] of leftOut) {
    const before = arrived().length
    const client = new RawClient(pair.inboundPort)
    client.send(frame(type.headers, flag.endHeaders | flag.endStream, 1, block(fields)))
    await until(() => client.closed || client.resetOf(1) !== undefined || client.has(type.headers, 1), `an answer to ${what}`)
    assert.match(arrived().slice(before), /^(?:GET \/ HTTP\/1.1\r\nhost: a\r\nx-forwarded-proto: http\r\nx-request-id: [0-9a-f-]+\r\n\r\n)?$/, what)
    client.socket.destroy()
  }
})

async function ends(what: string, attack: (client: RawClient) => void | Promise<void>): Promise<RawClient> {
  const client = new RawClient(pair.inboundPort)
  await attack(client)
  await until(() => client.closed || client.goaway() !== undefined, `the end of the connection: ${what}`)
  client.socket.destroy()
  return client
}

/** Made once, sent often: the attacker is in this process too. */
const often = (client: RawClient, times: number, bytes: Buffer): void => {
  for (let i = 0; i < times; i++) client.socket.write(bytes)
}
const many = (n: number, make: (i: number) => Buffer): Buffer => Buffer.concat(Array.from({ length: n }, (_, i) => make(i)))

test('floods end their connection, and memory stays flat', async () => {
  const settings = many(10_000, () => frame(type.settings, 0, 0))
  const pings = many(10_000, () => frame(type.ping, 0, 0, Buffer.alloc(8)))
  const heap = (): number => process.memoryUsage().rss
  const before = heap()
  await ends('rapid reset', (c) => c.send(many(5000, (i) => Buffer.concat([frame(type.headers, flag.endHeaders, 2 * i + 1, block(get())), frame(type.reset, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8]))]))))
  await ends('CONTINUATION without end', (c) => c.send(frame(type.headers, 0, 1, block(get())), many(2000, () => frame(type.continuation, 0, 1, block([['x', 'y'.repeat(100)]])))))
  await ends('empty CONTINUATION without end', (c) => c.send(frame(type.headers, 0, 1, block(get())), many(20_000, () => frame(type.continuation, 0, 1))))
  // Who floods and doesn't read: acknowledgements pile up.
  await ends('SETTINGS', (c) => {
    c.socket.pause()
    often(c, 40, settings)
    setTimeout(() => c.socket.resume(), 1000)
  })
  await ends('PING', (c) => {
    c.socket.pause()
    often(c, 40, pings)
    setTimeout(() => c.socket.resume(), 1000)
  })
  await ends('empty DATA', (c) => c.send(frame(type.headers, flag.endHeaders, 1, block(post([]))), many(5000, () => frame(type.data, 0, 1))))
  await ends('frames on streams that never were', (c) => c.send(many(2000, (i) => frame(type.data, 0, 2 * i + 101, Buffer.from('x')))))
  // One entry of 4 KB, then blocks that name it over and over: 16 GB from 4 MB.
  const bomb = new RawClient(pair.inboundPort)
  bomb.send(frame(type.headers, flag.endHeaders | flag.endStream, 1, Buffer.concat([block(get()), Buffer.from([0x40]), integer(1, 7, 0), Buffer.from('x'), integer(4000, 7, 0), Buffer.alloc(4000, 'y')])))
  bomb.send(many(500, (i) => frame(type.headers, flag.endHeaders | flag.endStream, 2 * i + 3, Buffer.concat([block(get()), Buffer.alloc(8000, 0xbe)]))))
  await until(() => bomb.closed || bomb.resetOf(3) !== undefined, 'the end of the first block that is too large')
  bomb.socket.destroy()
  assert.ok(heap() - before < 200e6, `${((heap() - before) / 1e6).toFixed(0)} MB more`)
  // Others are served as before.
  assert.equal(await ask(), 200)
})

function ask(): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${pair.inboundPort}`)
    session.on('error', reject)
    const request = session.request({ ':path': '/', ':authority': 'a' })
    request.on('response', (headers) => {
      resolve(headers[':status'] as number)
      session.close()
    })
    request.on('error', reject)
    request.resume()
  })
}

test('noise instead of a preface, and half of one, end the connection', async () => {
  for (const bytes of [Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n')]) {
    const client = new RawClient(pair.inboundPort, bytes)
    await until(() => client.closed || client.goaway() !== undefined, 'the end')
    client.socket.destroy()
  }
  assert.equal(await ask(), 200)
})
