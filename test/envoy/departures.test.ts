// Who leaves, and when: a client or an application that closes, half-closes or resets, at every stage of an exchange.
// What the log says and whether the other end hears of it is the same through our sidecar and through a stock Envoy in the same configuration.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { rmSync } from 'node:fs'
import { after, test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { interceptor } from '../data-plane/grpc.ts'
import { baseService, startPair, vip } from '../data-plane/pair.ts'
import { outboundResources } from '../data-plane/resources.ts'
import { intercepted, rawApp, until, type App } from '../data-plane/talk.ts'
import { freePort } from '../fixtures/ports.ts'
import { testAuthority, type TestAuthority } from './fixtures/certificates.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { loopbackOutbound } from './fixtures/loopback.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'
import { staticBootstrap } from './fixtures/static-bootstrap.ts'

/** Through one kind of sidecar: the ports that lead to the application, and its log so far. */
interface Side {
  /** For an HTTP/2 client. */
  readonly http: number
  connect(kind: 'http' | 'tcp'): Promise<Socket>
  log(): string[]
}

/** What an application does with a connection, once its first bytes are there. */
type Act = (socket: Socket) => void

interface Departure {
  readonly name: string
  readonly kind: 'http' | 'http2' | 'tcp'
  readonly request: string
  /** When the request has come. */
  readonly app?: Act
  /** When the client has the first bytes of an answer. */
  readonly later?: Act
  /** When the request has come, and the first bytes of an answer where there is one. */
  readonly client?: Act
  /** What is seen through our sidecar, where it differs on purpose. */
  readonly kith?: string
}

const get = 'GET /stuck HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'
const half = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'
const halfChunk = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf'
const fin: Act = (socket) => void socket.end()
const rst: Act = (socket) => void socket.resetAndDestroy()
const say = (text: string, then?: Act): Act => (socket) => void socket.write(text, () => then?.(socket))

const departures: readonly Departure[] = [
  { name: 'client closes while it waits', kind: 'http', request: get, client: fin },
  { name: 'client resets while it waits', kind: 'http', request: get, client: rst },
  { name: 'client closes in its body', kind: 'http', request: get.replace('GET', 'POST').replace('\r\n\r\n', '\r\ncontent-length: 9\r\n\r\nhalf'), client: fin },
  { name: 'client closes in the response', kind: 'http', request: get, app: say(half), client: fin },
  { name: 'client resets in the response', kind: 'http', request: get, app: say(half), client: rst },
  { name: 'application closes before its response', kind: 'http', request: get, app: fin },
  { name: 'application resets before its response', kind: 'http', request: get, app: rst },
  { name: 'application closes in its head', kind: 'http', request: get, app: say(half.slice(0, 20), fin) },
  { name: 'application closes within its length', kind: 'http', request: get, app: say(half, fin) },
  { name: 'application resets within its length', kind: 'http', request: get, app: say(half, rst) },
  { name: 'application closes within a chunk', kind: 'http', request: get, app: say(halfChunk, fin) },
  { name: 'application closes a body without length', kind: 'http', request: get, app: say('HTTP/1.1 200 OK\r\n\r\nwhole', fin) },
  {
    name: 'application resets a body without length', kind: 'http', request: get, app: say('HTTP/1.1 200 OK\r\n\r\nhalf'), later: rst,
    // Envoy takes the reset for the body's end.
    kith: '200 UPE upstream_reset_after_response_started{protocol_error} | client: 200 | application: ',
  },
  { name: 'HTTP/2 client resets its stream', kind: 'http2', request: 'reset' },
  { name: 'HTTP/2 client closes its connection', kind: 'http2', request: 'close' },
  { name: 'HTTP/2 client has said END_STREAM', kind: 'http2', request: 'wait', app: say('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok') },
  { name: 'TCP client resets', kind: 'tcp', request: 'hello', client: rst },
  { name: 'TCP application resets', kind: 'tcp', request: 'hello', app: rst },
  { name: 'TCP client closes, then the application', kind: 'tcp', request: 'hello', app: (s) => void s.once('end', () => s.end('bye')), client: fin },
  { name: 'TCP application closes, then the client', kind: 'tcp', request: 'hello', app: fin, client: (s) => void s.once('end', () => s.end()) },
]

const ends: (() => void | Promise<void>)[] = []
after(async () => {
  for (const end of ends.toReversed()) await end()
})

/** What becomes of one departure: the log's status, flags and details, and what the application and the client hear. */
async function seen(departure: Departure, side: Side, app: App & { onData: (socket: Socket) => void }): Promise<string> {
  const before = side.log().length
  let application = ''
  const arrived = new Promise<Socket>((resolve) => {
    app.onData = (socket) => {
      socket.on('end', () => {
        application += 'fin'
        if (departure.kind !== 'tcp') socket.end()
      })
      socket.on('error', (error: NodeJS.ErrnoException) => (application += error.code === 'ECONNRESET' ? 'rst' : ''))
      resolve(socket)
    }
  })
  let client = ''
  if (departure.kind === 'http2') {
    const session = connectHttp2(`http://127.0.0.1:${side.http}`)
    session.on('error', () => {})
    const stream = session.request({ ':path': '/stuck', ':authority': 'httpbin.bar:8000' })
    stream.on('error', () => {})
    stream.on('response', (h) => (client += h[':status']))
    stream.resume()
    const socket = await arrived
    if (departure.request === 'reset') stream.close(constants.NGHTTP2_CANCEL)
    else if (departure.request === 'close') session.destroy()
    departure.app?.(socket)
    await until(() => side.log().length > before, `a log line of: ${departure.name}`)
    session.destroy()
  } else {
    const socket = await side.connect(departure.kind)
    socket.on('error', () => {})
    const answered = new Promise<void>((resolve) => socket.once('data', () => resolve()).once('close', () => resolve()))
    socket.on('data', (chunk: Buffer) => (client += /^HTTP\/1.1 (\d+)/.exec(chunk.toString())?.[1] ?? ''))
    socket.write(departure.request)
    const far = await arrived
    departure.app?.(far)
    if (departure.kind === 'http' && departure.app !== undefined) await answered
    departure.later?.(far)
    departure.client?.(socket)
    await until(() => side.log().length > before, `a log line of: ${departure.name}`)
    socket.destroy()
  }
  if (departure.app === undefined) await until(() => application !== '', `the application to hear of: ${departure.name}`)
  const line = side.log()[before] ?? ''
  const fields = /" (\d+) (\S+) (\S+)/.exec(line) ?? []
  return `${fields.slice(1).join(' ')} | client: ${client} | application: ${departure.app === undefined ? 'told' : ''}`
}

test('departures are noticed and logged as by a stock Envoy', { timeout: 120_000 }, async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const authority: TestAuthority = await testAuthority()
  ends.push(() => rmSync(authority.folder, { recursive: true, force: true }))
  const app = Object.assign(await rawApp((socket) => socket.once('data', () => app.onData(socket))), { onData: (_socket: Socket): void => {} })
  ends.push(() => app.close())
  const base = baseService([{ port: 80, kind: 'http', mode: 'STRICT' }])
  const plain = [{ ip: '127.0.0.1', port: app.port, mtls: false }]
  const services = [{ ...base, endpoints: plain }, { ...base, kind: 'tcp' as const, port: 9000, endpoints: plain }]

  const pair = await startPair({ appPort: app.port, outbound: () => services })
  ends.push(() => pair.stop())
  const caught = await interceptor(pair.proxyPort)
  ends.push(() => caught.close())
  const ours: Side = { http: caught.port, connect: (kind) => intercepted(pair.proxyPort, kind === 'tcp' ? `${vip}:9000` : 'httpbin.bar:8000'), log: () => pair.clientLog }

  const listens = new Map([[8000, await freePort()], [9000, await freePort()]])
  const files = await authority.issue('client', [{ type: 'url', value: 'spiffe://cluster.local/ns/foo/sa/sleep' }])
  const resources = outboundResources(services).map((r) => ({ ...r, version: '' }))
  const logged = ',"logFormat":{"textFormatSource":{"inlineString":"[%START_TIME%] \\"\\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n"}}'
  const bootstrap = JSON.parse(JSON.stringify(loopbackOutbound(staticBootstrap(resources, files), listens, [])).replaceAll('"path":"/dev/stdout"', `"path":"/dev/stdout"${logged}`)) as JsonObject
  const running = await startEnvoy({ binary, folder: authority.folder, name: 'departures', bootstrap })
  ends.push(() => running.stop())
  const envoys: Side = {
    http: listens.get(8000) as number,
    async connect(kind) {
      const socket = connect({ port: listens.get(kind === 'tcp' ? 9000 : 8000) as number, host: '127.0.0.1', allowHalfOpen: true })
      await once(socket, 'connect')
      return socket
    },
    log: () => running.log().split('\n').filter((l) => /^\[\d{4}-.*Z\] "/.test(l)),
  }

  const unequal: string[] = []
  for (const departure of departures) {
    const envoy = await seen(departure, envoys, app)
    const kith = await seen(departure, ours, app)
    if (kith !== (departure.kith ?? envoy)) unequal.push(`${departure.name}: Envoy ${envoy}; Kith ${kith}`)
    if (departure.kith === envoy) unequal.push(`${departure.name}: no difference any more`)
  }
  assert.deepEqual(unequal, [])
})
