// HTTP/2 frames, drawn and garbled, into a sidecar: nothing malformed reaches the application, no bug is logged, and others are served.
import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { createServer } from 'node:http'
import fc from 'fast-check'
import { block, flag, frame, get, RawClient, type } from '../../data-plane/frames.ts'
import { listenOn, startPair } from '../../data-plane/pair.ts'
import { mutated } from './mutate.ts'
import type { Target } from './target.ts'

const fields = [['x-a', 'b'], ['content-length', '3'], ['content-length', '0'], ['te', 'trailers'], ['connection', 'close'], ['transfer-encoding', 'chunked'], ['cookie', 'a=b'], [':path', '/b'], ['x', 'a\r\nb: c'], ['x', 'a\0'], ['', 'x'], ['X', 'y'], ['host', 'b'], ['expect', '100-continue'], ['upgrade', 'h2c']] as const
const stream = fc.constantFrom(0, 1, 1, 1, 3, 3, 5, 2, 0x7fffffff)
const flags = fc.constantFrom(0, flag.endStream, flag.endHeaders, flag.endStream | flag.endHeaders, flag.endHeaders | 0x8, flag.endHeaders | 0x20, 0xff)
const head = fc.tuple(fc.constantFrom('GET', 'POST', 'CONNECT', 'HEAD'), fc.array(fc.constantFrom(...fields), { maxLength: 5 })).map(([method, more]) => block([[':method', method], ...get(more).slice(1)]))
const trailers = fc.array(fc.constantFrom(...fields), { maxLength: 3 }).map(block)
const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)), fc.constantFrom(Buffer.alloc(4), Buffer.alloc(8), Buffer.alloc(16_384), Buffer.from([0, 3, 0, 0, 0, 0]), Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff])))
const known = fc.constantFrom(...Object.values(type), 5, 10, 200)
const drawnFrame = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(flags, stream, head).map(([f, s, b]) => frame(type.headers, f, s, b)) },
  { weight: 1, arbitrary: fc.tuple(flags, stream, trailers).map(([f, s, b]) => frame(type.headers, f, s, b)) },
  { weight: 1, arbitrary: fc.tuple(flags, stream, trailers).map(([f, s, b]) => frame(type.continuation, f, s, b)) },
  { weight: 4, arbitrary: fc.tuple(known, flags, stream, payload).map(([k, f, s, b]) => frame(k, f, s, b)) },
)
const bytes = fc.oneof({ weight: 3, arbitrary: fc.array(drawnFrame, { minLength: 1, maxLength: 12 }).map((f) => Buffer.concat(f)) }, { weight: 1, arbitrary: mutated(drawnFrame, ['\0\0\0', '\0\0\x08', '\x40', '\xff\xff\xff\x7f', '\x82\x86\x84']) })

/** A token that node's server does not know is a method all the same (RFC 9110 section 9.1). */
const unknownMethod = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} \/\S* HTTP\/1\.1\r\n/

const mostGrownBytes = 300e6
const patienceMs = 20_000

export const frames: Target = {
  name: 'frames',
  async open() {
    const faults: string[] = []
    const app = createServer((request, response) => {
      request.on('error', () => undefined).on('end', () => response.end('ok')).resume()
    })
    // A request that ends in the middle is the caller's departure.
    app.on('clientError', (error: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }, socket) => {
      const packet = error.rawPacket?.toString('latin1') ?? ''
      const isFault = error.code?.startsWith('HPE_') === true && error.code !== 'HPE_INVALID_EOF_STATE' && !(error.code === 'HPE_INVALID_METHOD' && unknownMethod.test(packet))
      if (isFault) faults.push(`the application was sent what it can't read: ${error.code} ${JSON.stringify(packet)}`)
      socket.destroy()
    })
    const pair = await startPair({ appPort: await listenOn(app), mode: 'PERMISSIVE' })
    const before = process.memoryUsage().rss
    let runs = 0
    const property = fc.asyncProperty(bytes, async (drawn) => {
      await answered(pair.inboundPort, drawn)
      if (++runs % 50 === 0) assert.equal(await statusOf(pair.inboundPort), 200)
      faults.push(...pair.log.lines.filter((l) => l.level === 'error').map((l) => `${l.message} ${JSON.stringify(l.fields)}`))
      pair.log.lines.length = pair.clientLog.length = pair.serverLog.length = 0
      assert.deepEqual(faults.splice(0), [])
      assert.ok(process.memoryUsage().rss - before < mostGrownBytes, 'memory has grown')
    })
    return {
      property: property as fc.IAsyncProperty<unknown>,
      async close() {
        await pair.stop()
        app.closeAllConnections()
        app.close()
      },
    }
  },
}

/** Resolves when all has been taken in: the PING behind it is answered, or the connection ends. */
function answered(port: number, drawn: Buffer): Promise<void> {
  const client = new RawClient(port)
  const mark = Buffer.from('fuzzfuzz')
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(() => reject(new Error('neither answered nor closed'))), patienceMs)
    const finish = (how: () => void): void => {
      clearTimeout(timer)
      client.socket.destroy()
      how()
    }
    client.socket.on('close', () => finish(resolve))
    client.socket.on('data', () => {
      if (client.goaway() !== undefined || client.frames.some((f) => f.kind === type.ping && f.payload.equals(mark))) finish(resolve)
    })
    // A frame that was cut short takes the PING into itself: the end of the connection comes after it.
    client.socket.end(Buffer.concat([drawn, frame(type.ping, 0, 0, mark)]))
  })
}

function statusOf(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`)
    session.on('error', reject)
    const request = session.request({ ':path': '/', ':authority': 'a' })
    request.on('error', reject).on('response', (headers) => {
      session.close()
      resolve(headers[':status'] as number)
    }).end()
  })
}
