// What an application has certainly not processed is sent again once, whatever its method and without a retry policy; anything else is not.
import assert from 'node:assert/strict'
import { constants, createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { Body } from '../../src/data-plane/proxy/http1/body.ts'
import * as out from '../../src/data-plane/proxy/http1/writer.ts'
import { HttpUpstream } from '../../src/data-plane/proxy/http-upstream.ts'
import { SocketTransport } from '../../src/data-plane/proxy/transport.ts'
import type { Gone } from '../../src/data-plane/proxy/upstream-stream.ts'
import { listenOn, startPair } from './pair.ts'
import { httpOptions } from './resources.ts'
import { exchange, intercepted, rawApp, until, whole } from './talk.ts'

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
const request = (method: string): string => `${method} / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n${method === 'POST' ? 'content-length: 4\r\n\r\nbody' : '\r\n'}`

for (const method of ['GET', 'POST'])
  test(`HTTP/1.1: a ${method} meets a connection that its application closes at that moment`, { timeout: 20_000 }, async () => {
    let newest: Socket | undefined
    const app = await rawApp((socket) => {
      newest = socket
      socket.on('data', () => socket.write(ok))
    })
    const pair = await startPair({ appPort: app.port })
    try {
      const caller = await intercepted(pair.proxyPort)
      for (let i = 0; i < 20; i++) {
        assert.match(await exchange(caller, request(method), whole), /^HTTP\/1.1 200 [\s\S]*ok$/, `request ${i}`)
        const closing = newest as Socket
        // The request is on its way when the application closes, and reaches the sidecar first.
        setImmediate(() => setImmediate(() => closing.destroy()))
      }
    } finally {
      await pair.stop()
      app.close()
    }
  })

for (const method of ['GET', 'POST'])
  test(`HTTP/1.1: a ${method} that the application has read before it resets is not sent again`, { timeout: 20_000 }, async () => {
    let requests = 0
    const app = await rawApp((socket) => {
      socket.on('data', () => {
        if (++requests === 2) socket.resetAndDestroy()
        else socket.write(ok)
      })
    })
    const pair = await startPair({ appPort: app.port })
    try {
      const caller = await intercepted(pair.proxyPort)
      assert.match(await exchange(caller, request(method), whole), /ok$/)
      assert.match(await exchange(caller, request(method), whole), /^HTTP\/1.1 503 [\s\S]*connection termination$/)
      assert.equal(requests, 2)
    } finally {
      await pair.stop()
      app.close()
    }
  })

/** A kept connection of the sidecar whose application does `act` at the moment of the second request; how the sidecar takes its end. */
async function secondRequest(act: (socket: Socket) => void, then?: (socket: Socket) => void): Promise<Gone> {
  let far: Socket | undefined
  let bytes = 0
  const app = await rawApp((socket) => {
    far = socket
    socket.on('data', (chunk: Buffer) => {
      if (bytes === 0) socket.write(ok)
      bytes += chunk.length
      if (bytes > chunk.length) then?.(socket)
    })
  })
  const socket = connect({ port: app.port, host: '127.0.0.1', allowHalfOpen: true })
  try {
    await new Promise((resolve) => socket.once('connect', resolve))
    const upstream = new HttpUpstream(new SocketTransport(socket, (error) => assert.fail(String(error))), 0, () => {})
    const source = new Body()
    return await new Promise<Gone>((resolve, reject) => {
      const send = (): void => {
        upstream.begin({ onInterim() {}, onHead() {}, onBody() {}, onUpstreamDrain() {}, onResponseDone: () => (bytes > 20 ? reject(new Error('answered')) : second()), onUpstreamGone: resolve }, 'GET', false)
        out.begin()
        out.text('GET / HTTP/1.1\r\n\r\n')
        upstream.sendHead([], source, false)
      }
      const second = (): void => {
        assert.equal(upstream.probe(), true)
        act(far as Socket)
        send()
      }
      send()
    })
  } finally {
    socket.destroy()
    app.close()
  }
}

test('closed before the request came: not processed', async () => {
  assert.deepEqual(await secondRequest((socket) => socket.destroy()), { unprocessed: true, why: 'closed', error: undefined })
})

test('closed in one direction, with the request read: perhaps processed', async () => {
  const gone = await secondRequest((socket) => socket.end())
  assert.deepEqual(gone, { unprocessed: false, why: 'closed', error: undefined })
})

test('read, then closed, or reset: perhaps processed', async () => {
  for (const act of [(s: Socket) => s.destroy(), (s: Socket) => s.resetAndDestroy()]) assert.equal((await secondRequest(() => {}, act)).unprocessed, false)
})

/** An HTTP/2 application: `act` is given each stream with its number; true: it has been dealt with. */
async function h2App(act: (stream: ServerHttp2Stream, n: number) => boolean, onSocket: (socket: Socket) => void = () => {}) {
  const sessions = new Set<ServerHttp2Session>()
  const methods: string[] = []
  const server = createHttp2Server()
  server.on('connection', onSocket)
  server.on('session', (s) => {
    sessions.add(s)
    s.on('error', () => {})
  })
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {})
    stream.resume()
    methods.push(String(headers[':method']))
    if (act(stream, methods.length)) return
    stream.respond({ ':status': 200 })
    stream.end('ok')
  })
  const port = await listenOn(server)
  return {
    port,
    methods,
    sessions,
    close() {
      server.close()
      for (const s of sessions) s.destroy()
    },
  }
}

async function http2Pair(port: number) {
  return startPair({ appPort: port, outbound: (base) => [{ ...base, endpoints: [{ ip: '127.0.0.1', port, mtls: false }], cluster: httpOptions('http2') }] })
}

const kinds = ['HTTP/1.1', 'HTTP/2'] as const

for (const kind of kinds)
  test(`${kind}: a connection that was closed while it idled is not used, though its end has not been read yet`, { timeout: 20_000 }, async () => {
    let newest: { destroy(): void } | undefined
    const http2 = kind === 'HTTP/2' ? await h2App(() => false, (socket) => (newest = socket)) : undefined
    const http1 = kind === 'HTTP/2' ? undefined : await rawApp((socket) => {
      newest = socket
      socket.on('data', () => socket.write(ok))
    })
    const port = (http2 ?? http1)?.port as number
    const pair = await (http2 === undefined ? startPair({ appPort: port }) : http2Pair(port))
    try {
      const caller = await intercepted(pair.proxyPort)
      for (let i = 0; i < 10; i++) {
        // The request first, then the end: the sidecar meets them in this order.
        const answer = exchange(caller, request('POST'), (text) => /\r\n\r\n[\s\S]*(?:ok|0\r\n\r\n|termination)$/.test(text))
        newest?.destroy()
        assert.match(await answer, /^HTTP\/1.1 200 /, `request ${i}`)
      }
    } finally {
      await pair.stop()
      http1?.close()
      http2?.close()
    }
  })

const isAnswer = (text: string): boolean => /\r\n\r\n[\s\S]*(?:0\r\n\r\n|reset)$/.test(text)

test('HTTP/2: REFUSED_STREAM is sent again once, and no more', { timeout: 20_000 }, async () => {
  let refusals = 1
  const app = await h2App((stream) => {
    if (refusals-- <= 0) return false
    stream.close(constants.NGHTTP2_REFUSED_STREAM)
    return true
  })
  const pair = await http2Pair(app.port)
  try {
    const caller = await intercepted(pair.proxyPort)
    assert.match(await exchange(caller, request('POST'), isAnswer), /^HTTP\/1.1 200 /)
    assert.deepEqual(app.methods, ['POST', 'POST'])
    refusals = 2
    assert.match(await exchange(caller, request('POST'), isAnswer), /^HTTP\/1.1 503 [\s\S]*remote refused stream reset$/)
    assert.equal(app.methods.length, 4)
  } finally {
    await pair.stop()
    app.close()
  }
})

for (const [name, code] of [['NO_ERROR', constants.NGHTTP2_NO_ERROR], ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR]] as const)
  test(`HTTP/2: a stream above the last one of a GOAWAY with ${name} is sent again`, { timeout: 20_000 }, async () => {
    const app = await h2App((stream, n) => {
      if (n !== 2) return false
      stream.session?.goaway(code, (stream.id as number) - 2)
      return true
    })
    const pair = await http2Pair(app.port)
    try {
      const caller = await intercepted(pair.proxyPort)
      assert.match(await exchange(caller, request('POST'), isAnswer), /^HTTP\/1.1 200 /)
      assert.match(await exchange(caller, request('POST'), isAnswer), /^HTTP\/1.1 200 /)
      assert.equal(app.sessions.size, 2)
    } finally {
      await pair.stop()
      app.close()
    }
  })

test('HTTP/2: a stream that GOAWAY counts among the processed is not sent again', { timeout: 20_000 }, async () => {
  const app = await h2App((stream, n) => {
    if (n !== 2) return false
    stream.session?.goaway(constants.NGHTTP2_INTERNAL_ERROR, stream.id as number)
    stream.session?.destroy()
    return true
  })
  const pair = await http2Pair(app.port)
  try {
    const caller = await intercepted(pair.proxyPort)
    assert.match(await exchange(caller, request('POST'), isAnswer), /^HTTP\/1.1 200 /)
    const answer = await exchange(caller, request('POST'), (text) => /\r\n\r\n[\s\S]+/.test(text))
    assert.match(answer, /^HTTP\/1.1 50[23] /)
    await until(() => app.methods.length === 2, 'two streams')
  } finally {
    await pair.stop()
    app.close()
  }
})
