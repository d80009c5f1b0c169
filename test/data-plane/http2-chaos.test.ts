// Clients that leave, servers that reset, connections that break, at any moment and by the thousand: the proxies live on, and forget all of it.
import assert from 'node:assert/strict'
import { connect as connectHttp2, constants, createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { test } from 'node:test'
import { grpcPair, interceptor } from './grpc.ts'
import { listenOn } from './pair.ts'
import { until } from './talk.ts'

const codes = [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_REFUSED_STREAM, constants.NGHTTP2_PROTOCOL_ERROR, constants.NGHTTP2_ENHANCE_YOUR_CALM]
/** The same draws in every run; when they are acted on, the machine decides. */
let state = 42
function draw(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}
const any = <T>(of: readonly T[]): T => of[Math.floor(draw() * of.length)] as T
const soon = (act: () => void): void => void setTimeout(act, any([0, 0, 1, 2, 5, 10, 30]))

test('whoever leaves, whenever: no bug, no exit, nothing left behind', { timeout: 30_000 }, async () => {
  const sessions = new Set<ServerHttp2Session>()
  const server = createHttp2Server()
  server.on('session', (s) => {
    sessions.add(s)
    s.on('error', () => {})
    s.on('close', () => sessions.delete(s))
  })
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.resume()
    const act = any(['answer', 'answer', 'answer', 'reset', 'half', 'flood', 'connection', 'goaway', 'early'])
    soon(() => {
      if (stream.closed || stream.destroyed) return
      if (act === 'reset') return setImmediate(() => stream.close(any(codes)))
      if (act === 'connection' && draw() < 0.1) return stream.session?.destroy()
      if (act === 'goaway' && draw() < 0.1) return stream.session?.close()
      stream.respond({ ':status': 200, ...(draw() < 0.3 ? { 'content-length': '10' } : {}) }, { waitForTrailers: draw() < 0.7 })
      stream.on('wantTrailers', () => stream.closed || stream.sendTrailers({ 'grpc-status': '0' }))
      stream.write(Buffer.alloc(act === 'flood' ? 300_000 : 10))
      soon(() => {
        if (stream.closed || stream.destroyed) return
        if (act === 'half') setImmediate(() => stream.close(any(codes)))
        else stream.end()
      })
    })
  })
  const port = await listenOn(server)
  const pair = await grpcPair(port)
  const caught = await interceptor(pair.proxyPort)
  try {
    let done = 0
    const client = async (): Promise<void> => {
      for (let round = 0; round < 5; round++) {
        const session = connectHttp2(`http://127.0.0.1:${caught.port}`)
        session.on('error', () => {})
        await new Promise((resolve) => session.once('connect', resolve).once('close', resolve))
        setTimeout(() => session.destroy(), 1500)
        await Promise.all(Array.from({ length: 25 }, () => new Promise<void>((resolve) => {
          if (session.closed || session.destroyed) return resolve()
          const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'httpbin.bar:8000' }, { endStream: draw() < 0.3, waitForTrailers: draw() < 0.5 })
          stream.on('error', () => {})
          stream.on('close', () => {
            done++
            resolve()
          })
          stream.on('wantTrailers', () => stream.closed || stream.sendTrailers({ 'x-t': '1' }))
          if (draw() < 0.8) stream.resume()
          else soon(() => stream.resume())
          if (!stream.writableEnded && draw() < 0.7) stream.write(Buffer.alloc(any([1, 1000, 100_000])))
          soon(() => {
            const act = any(['end', 'end', 'end', 'cancel', 'cancel', 'session', 'nothing'])
            if (stream.destroyed || stream.closed) return
            if (act === 'cancel') setImmediate(() => stream.close(any(codes)))
            else if (act === 'session' && draw() < 0.1) session.destroy()
            else if (!stream.writableEnded) stream.end()
          })
        })))
        session.destroy()
      }
    }
    await Promise.all(Array.from({ length: 6 }, client))
    assert.ok(done > 300)
    for (const s of sessions) s.destroy()
    await until(() => pair.client.connections().downstream === 0 && pair.server.connections().downstream + pair.server.connections().upstream <= 2, 'nothing left')
    for (const side of [pair.client, pair.server]) assert.doesNotMatch(side.metrics(), /kith_bugs_total/)
    assert.deepEqual(pair.log.lines.filter((l) => l.message.startsWith('bug')).map((l) => l.fields['error']), [])
  } finally {
    caught.close()
    await pair.stop()
    server.close()
    for (const s of sessions) s.destroy()
  }
})
