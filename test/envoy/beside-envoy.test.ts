// The same odd input to a stock Envoy and to Kith's proxy, with one configuration, in one run: where redirects lead, what an overflow says,
// answers that announce a body which they cannot have, and headers that are too large. Status, flags, details and what the caller reads must agree.
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { after, before, test, type TestContext } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { block, flag, frame, type } from '../data-plane/frames.ts'
import { httpOptions } from '../data-plane/resources.ts'
import { rawApp, talk, until, whole, type App } from '../data-plane/talk.ts'
import { loopbackCluster, startBeside, type Beside, type Side } from './fixtures/beside.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'

type Fields = readonly (readonly [string, string])[]

const redirects: Readonly<Record<string, JsonObject>> = {
  host: { hostRedirect: 'x.example' }, 'host-port': { hostRedirect: 'x.example:9000' }, port: { portRedirect: 8443 }, port80: { portRedirect: 80 },
  https: { httpsRedirect: true }, 'https-port': { httpsRedirect: true, portRedirect: 8443 }, 'https-443': { httpsRedirect: true, portRedirect: 443 },
  'https-host': { httpsRedirect: true, hostRedirect: 'x.example' }, scheme: { schemeRedirect: 'https' }, http: { schemeRedirect: 'http' },
  path: { pathRedirect: '/new' }, 'path-query': { pathRedirect: '/new?a=1' }, 'host-path': { hostRedirect: 'x.example', pathRedirect: '/new' },
  strip: { pathRedirect: '/new', stripQuery: true }, prefix: { prefixRewrite: '/p' }, 'host-and-port': { hostRedirect: 'x.example', portRedirect: 8443 },
}
const authorities = ['a.example', 'a.example:80', 'a.example:443', 'a.example:8000', '[::1]', '[::1]:8000']

const line = 'HTTP/1.1 '
const ok = `${line}200 OK\r\ncontent-length: 2\r\n\r\nok`
/** By path: what the application answers over HTTP/1.1. */
const answers: Readonly<Record<string, string>> = {
  '/204': `${line}204 No Content\r\nx: y\r\n\r\n`,
  '/204-zero': `${line}204 No Content\r\ncontent-length: 0\r\nx: y\r\n\r\n`,
  '/204-two-zeros': `${line}204 No Content\r\ncontent-length: 00\r\n\r\n`,
  '/204-five': `${line}204 No Content\r\ncontent-length: 5\r\n\r\nhello`,
  '/204-chunked': `${line}204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  '/204-identity': `${line}204 No Content\r\ntransfer-encoding: identity\r\n\r\n`,
  '/103': `${line}103 Early Hints\r\nlink: a\r\n\r\n${ok}`,
  '/103-zero': `${line}103 Early Hints\r\ncontent-length: 0\r\nlink: a\r\n\r\n${ok}`,
  '/103-five': `${line}103 Early Hints\r\ncontent-length: 5\r\n\r\n${ok}`,
  '/103-chunked': `${line}103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n${ok}`,
  '/100-chunked': `${line}100 Continue\r\ntransfer-encoding: chunked\r\n\r\n${ok}`,
  '/ws-five': `${line}101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 5\r\n\r\nbytes`,
  '/ws-chunked': `${line}101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\ntransfer-encoding: chunked\r\n\r\n`,
  '/304-five': `${line}304 Not Modified\r\ncontent-length: 5\r\n\r\n`,
  '/304-chunked': `${line}304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n`,
  '/205-zero': `${line}205 Reset Content\r\ncontent-length: 0\r\n\r\n`,
  '/two-lengths': `${line}200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok`,
  '/length-and-chunks': `${line}200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
}

/** Frames of a head or of trailers, CONTINUATION where one frame is too small. */
function head(stream: number, end: boolean, fields: Fields): Buffer {
  const bytes = block(fields)
  const n = Math.max(1, Math.ceil(bytes.length / 16_000))
  const flags = (i: number): number => (i === 0 && end ? flag.endStream : 0) | (i === n - 1 ? flag.endHeaders : 0)
  return Buffer.concat(Array.from({ length: n }, (_, i) => frame(i === 0 ? type.headers : type.continuation, flags(i), stream, bytes.subarray(i * 16_000, (i + 1) * 16_000))))
}
const big = (bytes: number): Fields => [['x-big', 'y'.repeat(bytes)]]
const several = (n: number): Fields => Array.from({ length: n }, (_, i) => [`x-${i}`, 'v'] as const)
const grpcOk: Fields = [[':status', '200'], ['content-type', 'application/grpc']]
const done: Fields = [['grpc-status', '0']]
const limit = 60 * 1024
/** `x-big` and the other fields that Envoy counts: so many bytes make exactly the limit. */
const fill = (fields: Fields): number => limit - fields.reduce((n, [name, value]) => n + name.length + value.length, 'x-big'.length)

/** By path: what the application answers over HTTP/2. */
const streams: Readonly<Record<string, (stream: number) => Buffer>> = {
  '/ok': (s) => Buffer.concat([head(s, false, grpcOk), head(s, true, done)]),
  ...Object.fromEntries([-1, 0, 1, 5000, 40_000].map((over) => [`/head${over}`, (s: number) => Buffer.concat([head(s, false, [...grpcOk, ...big(fill(grpcOk) + over)]), head(s, true, done)])])),
  ...Object.fromEntries([-1, 0, 1, 5000, 40_000].map((over) => [`/trailers${over}`, (s: number) => Buffer.concat([head(s, false, grpcOk), head(s, true, [...done, ...big(fill(done) + over)])])])),
  ...Object.fromEntries([98, 99, 150].map((n) => [`/fields${n}`, (s: number) => Buffer.concat([head(s, false, [...grpcOk, ...several(n)]), head(s, true, done)])])),
  ...Object.fromEntries([99, 100, 150].map((n) => [`/trailer-fields${n}`, (s: number) => Buffer.concat([head(s, false, grpcOk), head(s, true, [...done, ...several(n)])])])),
  '/204-five': (s) => head(s, true, [[':status', '204'], ['content-length', '5']]),
  '/204-te': (s) => head(s, true, [[':status', '204'], ['transfer-encoding', 'chunked']]),
  '/200-te': (s) => head(s, true, [[':status', '200'], ['transfer-encoding', 'chunked']]),
  '/103-zero': (s) => Buffer.concat([head(s, false, [[':status', '103'], ['content-length', '0']]), head(s, true, grpcOk)]),
  '/103-five': (s) => Buffer.concat([head(s, false, [[':status', '103'], ['content-length', '5']]), head(s, true, grpcOk)]),
  '/103-te': (s) => Buffer.concat([head(s, false, [[':status', '103'], ['transfer-encoding', 'chunked']]), head(s, true, grpcOk)]),
  '/103-end': (s) => head(s, true, [[':status', '103']]),
}

let http1: App
let http2: App
let beside: Beside | undefined
/** The path of the one request that is under way: the application over HTTP/2 reads no HPACK. */
let asked = ''

before(async () => {
  const envoy = findEnvoy()
  if (!('path' in envoy)) return
  http1 = await rawApp((socket) => socket.on('data', (chunk: Buffer) => void socket.write(answers[/^\w+ (\S+)/.exec(chunk.toString('latin1'))?.[1] ?? ''] ?? ok)))
  http2 = await rawApp((socket) => {
    let held = Buffer.alloc(0)
    socket.write(Buffer.concat([frame(type.settings, 0, 0), frame(type.settings, flag.ack, 0)]))
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      if (held.toString('latin1', 0, 3) === 'PRI') held = held.subarray(24)
      while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
        const [kind, flags, end] = [held[3], held[4] as number, 9 + held.readUIntBE(0, 3)]
        if ((kind === type.headers || kind === type.continuation) && (flags & flag.endHeaders) !== 0) socket.write((streams[asked] ?? (streams['/ok'] as (s: number) => Buffer))(held.readUInt32BE(5)))
        if (kind === type.ping && (flags & flag.ack) === 0) socket.write(frame(type.ping, flag.ack, 0, held.subarray(9, end)))
        held = held.subarray(end)
      }
    })
  })
  const routes: JsonObject[] = [
    ...Object.entries(redirects).map(([name, redirect]) => ({ match: { pathSeparatedPrefix: `/redirect-${name}` }, redirect })),
    { match: { prefix: '/full' }, route: { cluster: 'full' } },
    { match: { prefix: '/2/' }, route: { cluster: 'http2', prefixRewrite: '/', timeout: '5s' } },
    { match: { prefix: '/' }, route: { cluster: 'http1', timeout: '5s' } },
  ]
  const full = { circuitBreakers: { thresholds: [{ maxRequests: 0 }] } }
  beside = await startBeside(envoy.path, { routes, clusters: [loopbackCluster('http1', http1.port), loopbackCluster('full', http1.port, full), loopbackCluster('http2', http2.port, httpOptions('http2'))] })
})
after(async () => {
  await beside?.stop()
  http1?.close()
  http2?.close()
})

function sides(t: TestContext): readonly [Side, Side] {
  return needsEnvoy(t) === undefined || beside === undefined ? ([] as never) : beside.sides
}

/** What was said, and the log line of it. */
async function noted(side: Side, act: () => Promise<string>): Promise<string> {
  const before = side.log().length
  const text = await act()
  await until(() => side.log().length > before, `a log line of ${side.name} for ${text.slice(0, 200)}`)
  return `${text}\n${side.log().at(-1)}`
}

/** Heads in the order of their names; dates and the like left out. Reason phrases of 1xx are not Envoy's to know. */
function comparable(text: string): string {
  const heads = text.split('\r\n\r\n').map((part) => {
    const [first, ...fields] = part.split('\r\n')
    const kept = fields.filter((f) => !/^(?:date|server|connection|x-envoy-upstream-service-time|x-request-id):/i.test(f)).sort()
    return [(first as string).replace(/^(HTTP\/1\.1 1\d\d) .*/, '$1'), ...kept].join('\n')
  })
  return heads.join('\n\n')
}

async function compare(t: TestContext, asks: readonly (readonly [string, string])[]): Promise<string[]> {
  const differences: string[] = []
  for (const [what, bytes] of asks) {
    const [envoy, kith] = await Promise.all(sides(t).map((side) => noted(side, () => talk(side.port, bytes, (text) => /^HTTP\/1\.1 [2-5]/m.test(text) && whole(text.slice(text.search(/^HTTP\/1\.1 [2-5]/m)))))))
    if (envoy !== undefined && comparable(envoy) !== comparable(kith ?? '')) differences.push(`${what}\n  envoy: ${JSON.stringify(comparable(envoy))}\n  kith:  ${JSON.stringify(comparable(kith ?? ''))}`)
  }
  return differences
}

const get = (path: string, host = 'a', more = 'connection: close\r\n'): string => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${more}\r\n`

test('redirects lead where Envoy’s lead, whatever the request’s authority', { timeout: 60_000 }, async (t) => {
  const asks = Object.keys(redirects).flatMap((name) => authorities.map((host) => get(`/redirect-${name}/x?q=1`, host)))
  const [envoy, kith] = await Promise.all(sides(t).map(async (side) => {
    const answers = await Promise.all(asks.map((bytes) => talk(side.port, bytes)))
    await until(() => side.log().length >= asks.length, `the log lines of ${side.name}`)
    return asks.map((bytes, i) => `${bytes.split('\r\n', 2).join(' ')} → ${comparable(answers[i] as string)}`)
  }))
  assert.deepEqual(kith, envoy)
})

test('an overflow says that it is one', { timeout: 30_000 }, async (t) => {
  const grpc = 'POST /full HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'
  assert.deepEqual(await compare(t, [['HTTP', get('/full')], ['gRPC', grpc]]), [])
  for (const side of sides(t)) assert.match(await noted(side, () => talk(side.port, get('/full'))), /\r\nx-envoy-overloaded: true\r\n/, side.name)
})

test('a 1xx or 204 that announces a body is a protocol error of the upstream; content-length 0 is left out', { timeout: 30_000 }, async (t) => {
  const asks = Object.keys(answers).map((path) => [path, get(path, 'a', path.startsWith('/ws') ? 'upgrade: websocket\r\nconnection: upgrade\r\n' : undefined)] as const)
  assert.deepEqual(await compare(t, asks), [])
  for (const side of sides(t)) assert.doesNotMatch(await noted(side, () => talk(side.port, get('/204-zero'))), /content-length/, side.name)
})

/** One gRPC request over HTTP/2: answer, trailers, interim answers, how the stream ended. */
function askHttp2(port: number, path: string, more: Fields, trailers: Fields = []): Promise<string> {
  asked = path
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`, { maxSendHeaderBlockLength: 2 ** 22, maxHeaderListPairs: 2000, settings: { maxHeaderListSize: 2 ** 22 } } as never)
    session.on('error', () => {})
    const said: string[] = []
    const fields = { ':method': 'POST', ':path': `/2${path}`, ':authority': 'a', 'content-type': 'application/grpc', te: 'trailers', ...Object.fromEntries(more) }
    const stream = session.request(fields, { endStream: trailers.length === 0, waitForTrailers: trailers.length > 0 })
    const seen = (headers: object): string => JSON.stringify(Object.entries(headers).filter(([name]) => /^:status|^grpc|^content-length|^x-big|^x-\d/.test(name)).map(([name, value]) => [name, name === 'x-big' ? String(value).length : value]))
    stream.on('headers', (headers) => said.push(`interim ${seen(headers)}`))
    stream.on('response', (headers) => said.push(`answer ${seen(headers)}`))
    stream.on('trailers', (headers) => said.push(`trailers ${seen(headers)}`))
    stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(trailers)))
    stream.on('error', () => {})
    stream.on('close', () => {
      session.destroy()
      resolve([...said, `closed ${stream.rstCode}`].join(' '))
    })
    stream.resume()
    if (trailers.length > 0) stream.end()
  })
}

async function compareHttp2(t: TestContext, asks: readonly (readonly [string, string, Fields, Fields?])[]): Promise<string[]> {
  const differences: string[] = []
  for (const [what, path, more, trailers] of asks) {
    const got: string[] = []
    for (const side of sides(t)) got.push(await noted(side, () => askHttp2(side.port, path, more, trailers)))
    const [envoy, kith] = got.map((text) => text.replace(/codec_error:\S+/, 'codec_error'))
    if (envoy !== kith) differences.push(`${what}\n  envoy: ${envoy}\n  kith:  ${kith}`)
  }
  return differences
}

test('answers over HTTP/2 that announce what they cannot have, or whose headers are too large', { timeout: 60_000 }, async (t) => {
  assert.deepEqual(await compareHttp2(t, Object.keys(streams).map((path) => [path, path, []] as const)), [])
})

test('requests over HTTP/2 whose headers are too large: the status and flag of Envoy, and the log names the limit', { timeout: 60_000 }, async (t) => {
  const own: Fields = [[':method', 'POST'], [':scheme', 'http'], [':path', '/2/ok'], [':authority', 'a'], ['content-type', 'application/grpc'], ['te', 'trailers']]
  const asks = [
    ...[-1, 0, 1, 3000, 40_000].map((over) => [`${over} bytes beyond the limit`, '/ok', big(fill(own) + over)] as const),
    ...[94, 95, 150].map((n) => [`${n} fields more`, '/ok', several(n)] as const),
  ]
  assert.deepEqual(await compareHttp2(t, asks), [])
  const said = beside?.kithLog.lines.filter((l) => /^request refused: its headers|^http\/2 connection broken/.test(l.message)).map((l) => l.fields['limitBytes'] ?? l.fields['limitFields'])
  if (said !== undefined) assert.deepEqual(new Set(said), new Set([limit, 64 * 1024, 100]))
})

test('requests over HTTP/1.1 whose headers are too large', { timeout: 30_000 }, async (t) => {
  const asks = [1000, 62_000, 70_000].map((n) => [`${n} bytes`, get('/205-zero', 'a', `connection: close\r\nx-big: ${'y'.repeat(n)}\r\n`)] as const)
  const fields = [90, 110].map((n) => [`${n} fields`, get('/205-zero', 'a', `connection: close\r\n${several(n).map(([name, value]) => `${name}: ${value}\r\n`).join('')}`)] as const)
  assert.deepEqual(await compare(t, [...asks, ...fields]), [])
})
