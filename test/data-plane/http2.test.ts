// HTTP/2 through two sidecars: what each end speaks is its own affair; streams, resets, limits and goodbyes pass as they were meant.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, constants, createServer as createHttp2Server, type ClientHttp2Session, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { test } from 'node:test'
import { interceptor } from './grpc.ts'
import { listenOn, startPair, type Pair, type PairOptions } from './pair.ts'
import { httpOptions, istioDownstreamAlpn, istioH2Alpn, rawBuffer, type HttpKind, type OutboundSpec } from './resources.ts'
import { exchange, httpApp, intercepted, rawApp, until, whole } from './talk.ts'

type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[]) => void

async function h2App(handler: Handler, settings = {}): Promise<{ readonly port: number; readonly sessions: Set<ServerHttp2Session>; readonly opened: () => number; close(): void }> {
  const sessions = new Set<ServerHttp2Session>()
  let opened = 0
  const server = createHttp2Server({ settings })
  server.on('session', (s) => {
    opened++
    sessions.add(s)
    s.on('error', () => {})
    s.on('close', () => sessions.delete(s))
  })
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: readonly string[]) => {
    stream.on('error', () => {})
    handler(stream, headers, raw)
  })
  const port = await listenOn(server)
  return {
    port,
    sessions,
    opened: () => opened,
    close() {
      server.close()
      for (const s of sessions) s.destroy()
    },
  }
}

const alpn = { http1: undefined, http2: istioH2Alpn, downstream: istioDownstreamAlpn } as const

/** `client`: what the client's sidecar speaks upstream; `server`: what the server's sidecar does to its application. */
async function pairOf(appPort: number, client: HttpKind, server: HttpKind, more: { readonly service?: Partial<OutboundSpec>; readonly route?: object; readonly pair?: Partial<PairOptions>; readonly http2?: object; readonly common?: object } = {}): Promise<Pair & { session(): Promise<ClientHttp2Session>; stop(): Promise<void> }> {
  const routes = [{ name: 'default', match: { prefix: '/' }, route: { cluster: 'outbound|8000||httpbin.bar.svc.cluster.local', timeout: '0s', ...more.route }, ...(alpn[client] === undefined ? {} : { typedPerFilterConfig: alpn[client] }) }]
  const pair = await startPair({
    appPort,
    inbound: [{ port: 80, kind: 'auto', mode: 'STRICT', http: server }],
    outbound: (base) => [{ ...base, ...(client === 'http1' ? {} : { routes }), cluster: httpOptions(client, more.http2 as never, more.common as never), ...more.service }],
    ...more.pair,
  })
  const closers: (() => void)[] = []
  return {
    ...pair,
    async session() {
      const caught = await interceptor(pair.proxyPort)
      const session = connectHttp2(`http://127.0.0.1:${caught.port}`)
      session.on('error', () => {})
      closers.push(() => {
        session.destroy()
        caught.close()
      })
      await once(session, 'connect')
      return session
    },
    async stop() {
      for (const close of closers) close()
      await pair.stop()
    },
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly body: string
  /** 0 = a whole answer. */
  readonly reset: number
}

function ask(session: ClientHttp2Session, headers: Record<string, string>, body?: string | Buffer, trailers?: Record<string, string>): Promise<Answer> {
  return new Promise((resolve) => {
    const stream = session.request({ ':authority': 'httpbin.bar:8000', ':path': '/', ...headers }, { endStream: body === undefined, waitForTrailers: trailers !== undefined })
    let got: IncomingHttpHeaders = {}
    let behind: IncomingHttpHeaders = {}
    let text = ''
    stream.setEncoding('latin1')
    stream.on('response', (h) => (got = h))
    stream.on('trailers', (h) => (behind = h))
    stream.on('data', (part: string) => (text += part))
    stream.on('error', () => {})
    if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    stream.on('close', () => resolve({ status: Number(got[':status'] ?? 0), headers: got, trailers: behind, body: text, reset: stream.rstCode ?? 0 }))
    if (body !== undefined) stream.end(body)
  })
}

const echo: Handler = (stream, headers, raw) => {
  const parts: Buffer[] = []
  let trailers: IncomingHttpHeaders = {}
  stream.on('trailers', (t) => (trailers = t))
  stream.on('data', (part: Buffer) => parts.push(part))
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'x-version': '2', 'set-cookie': ['a=1', 'b=2'] }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-behind': 'yes' }))
    stream.end(headers['x-big'] === undefined ? JSON.stringify({ ...headers, raw: raw.length, trailers, body: Buffer.concat(parts).length }) : Buffer.alloc(Number(headers['x-big']), 'b'))
  })
}

for (const [client, server] of [['http2', 'http2'], ['downstream', 'downstream']] as const) {
  test(`HTTP/2 end to end: ${client} to ${server}`, async () => {
    const app = await h2App(echo)
    const pair = await pairOf(app.port, client, server)
    try {
      const session = await pair.session()
      const answer = await ask(session, { ':method': 'POST', cookie: 'c=3', te: 'trailers', 'x-a': '1' }, 'hello', { 'x-checksum': '5' })
      assert.equal(answer.status, 200)
      const seen = JSON.parse(answer.body) as Record<string, unknown>
      assert.deepEqual([seen[':method'], seen[':path'], seen[':authority'], seen['cookie'], seen['te'], seen['x-a'], seen['body']], ['POST', '/', 'httpbin.bar:8000', 'c=3', 'trailers', '1', 5])
      assert.deepEqual(seen['trailers'], { 'x-checksum': '5' })
      assert.deepEqual([answer.headers['set-cookie'], answer.trailers['x-behind'], answer.headers.server], [['a=1', 'b=2'], 'yes', 'envoy'])
      const big = await ask(session, { ':method': 'POST', 'x-big': '3000000' }, Buffer.alloc(2_000_000))
      assert.equal(big.body.length, 3_000_000)
      const head = await ask(session, { ':method': 'HEAD' })
      assert.deepEqual([head.status, head.body], [200, ''])
      assert.equal(app.opened(), 1)
      await until(() => pair.serverLog.some((l) => l.includes('"POST / HTTP/2" 200 - via_upstream')), 'the log line')
    } finally {
      await pair.stop()
      app.close()
    }
  })
}

test('an HTTP/1.1 client of an HTTP/2 service', async () => {
  const app = await h2App(echo)
  const pair = await pairOf(app.port, 'http2', 'http2')
  try {
    const socket = await intercepted(pair.proxyPort)
    const plain = await exchange(socket, 'GET /a HTTP/1.1\r\nhost: httpbin.bar:8000\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\n\r\n', whole)
    assert.match(plain, /^HTTP\/1.1 200 OK\r\n[\s\S]*transfer-encoding: chunked\r\n/)
    assert.doesNotMatch(plain, /x-hop|x-behind/)
    assert.match(plain, /set-cookie: a=1\r\nset-cookie: b=2\r\n/)
    const framed = await exchange(socket, 'POST /b HTTP/1.1\r\nhost: httpbin.bar:8000\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4;x\r\ndefg\r\n0\r\nx-checksum: 7\r\n\r\n', (text) => text.endsWith('\r\n\r\n') && text.includes('x-behind'))
    assert.match(framed, /"body":7/)
    assert.match(framed, /"trailers":\{"x-checksum":"7"\}/)
    assert.match(framed, /0\r\nx-behind: yes\r\n\r\n$/)
    const sized = await exchange(socket, 'POST /c HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: 3\r\nx-big: 1000000\r\n\r\nabc', whole)
    assert.ok(sized.length > 1_000_000)
    const upgrade = await exchange(socket, 'GET /ws HTTP/1.1\r\nhost: httpbin.bar:8000\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n', whole)
    assert.match(upgrade, /^HTTP\/1.1 403 /)
    socket.destroy()
  } finally {
    await pair.stop()
    app.close()
  }
})

test('an HTTP/2 client of an HTTP/1.1 service', async () => {
  const app = await httpApp((req, res) => {
    let n = 0
    req.on('data', (part: Buffer) => (n += part.length))
    req.on('end', () => {
      if (req.url === '/early') res.writeEarlyHints({ link: '</a.css>; rel=preload' })
      res.setHeader('trailer', 'x-behind')
      res.setHeader('x-host', req.headers.host ?? '')
      res.writeHead(200, { 'x-sent': `${req.headers['transfer-encoding'] ?? ''}|${req.headers['content-length'] ?? ''}|${req.headers.cookie ?? ''}` })
      res.write(String(n))
      res.addTrailers({ 'x-behind': 'yes' })
      res.end()
    })
  })
  const pair = await pairOf(app.port, 'http1', 'http1')
  try {
    const session = await pair.session()
    const unknown = await ask(session, { ':method': 'POST' }, Buffer.alloc(500_000), { 'x-checksum': '1' })
    assert.deepEqual([unknown.status, unknown.body, unknown.headers['x-sent'], unknown.headers['x-host'], unknown.trailers['x-behind']], [200, '500000', 'chunked||', 'httpbin.bar:8000', 'yes'])
    assert.equal(unknown.headers.connection, undefined)
    const sized = await ask(session, { ':method': 'PUT', 'content-length': '3' }, 'abc')
    assert.deepEqual([sized.body, sized.headers['x-sent']], ['3', '|3|'])
    const crumbs = session.request([':method', 'GET', ':path', '/early', ':scheme', 'http', ':authority', 'httpbin.bar', 'cookie', 'a=1', 'cookie', 'b=2'] as never)
    let interim: IncomingHttpHeaders = {}
    crumbs.on('headers', (h) => (interim = h))
    const [headers] = await once(crumbs, 'response')
    crumbs.resume()
    assert.equal(headers['x-sent'], '||a=1; b=2')
    assert.deepEqual([interim[':status'], interim['link']], [103, '</a.css>; rel=preload'])
  } finally {
    await pair.stop()
    app.close()
  }
})

test('resets pass both ways', async () => {
  const gone: number[] = []
  const app = await h2App((stream, headers) => {
    if (headers[':path'] === '/half') {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.write('half')
      setTimeout(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR), 50)
    } else if (headers[':path'] === '/never') stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    else if (headers[':path'] === '/refused') stream.close(constants.NGHTTP2_REFUSED_STREAM)
    else {
      stream.respond({ ':status': 200 })
      stream.write('more')
      stream.on('close', () => gone.push(stream.rstCode ?? -1))
    }
  })
  const pair = await pairOf(app.port, 'http2', 'http2')
  try {
    const session = await pair.session()
    const half = await ask(session, { ':path': '/half' })
    assert.deepEqual([half.status, half.body, half.reset], [200, 'half', constants.NGHTTP2_INTERNAL_ERROR])
    const never = await ask(session, { ':path': '/never' })
    assert.deepEqual([never.status, never.body], [503, 'upstream connect error or disconnect/reset before headers. reset reason: remote reset'])
    const refused = await ask(session, { ':path': '/refused' })
    assert.match(refused.body, /remote refused stream reset$/)
    await until(() => pair.serverLog.some((l) => / 503 UR upstream_reset_before_response_started\{remote_reset\}/.test(l)), 'the log line')
    const stream = session.request({ ':path': '/endless', ':authority': 'httpbin.bar' })
    stream.on('error', () => {})
    await once(stream, 'data')
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => gone.length === 1, 'the reset’s arrival')
    assert.deepEqual(gone, [constants.NGHTTP2_CANCEL])
  } finally {
    await pair.stop()
    app.close()
  }
})

test('what a server refused unheard is tried again', async () => {
  let tries = 0
  const app = await h2App((stream) => {
    if (++tries < 3) return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    stream.respond({ ':status': 200 })
    stream.end(String(tries))
  })
  const pair = await pairOf(app.port, 'http2', 'http2', { route: { retryPolicy: { retryOn: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes', numRetries: 2, retriableStatusCodes: [503], retryBackOff: { baseInterval: '0.001s' } } } })
  try {
    const answer = await ask(await pair.session(), { ':method': 'POST' }, 'again')
    assert.deepEqual([answer.status, answer.body], [200, '3'])
  } finally {
    await pair.stop()
    app.close()
  }
})

test('streams beyond the peer’s limit go on another connection; a connection serves no more requests than it may', async () => {
  const waiting: ServerHttp2Stream[] = []
  const app = await h2App((stream) => void waiting.push(stream), { maxConcurrentStreams: 4 })
  const pair = await pairOf(app.port, 'http2', 'http2')
  try {
    const session = await pair.session()
    const first = ask(session, {})
    await until(() => waiting.length === 1, 'the first')
    const others = Array.from({ length: 7 }, () => ask(session, {}))
    await until(() => waiting.length === 8, 'all eight')
    assert.equal(app.opened(), 2)
    for (const stream of waiting) {
      stream.respond({ ':status': 204 }, { endStream: true })
    }
    for (const answer of await Promise.all([first, ...others])) assert.equal(answer.status, 204)
  } finally {
    await pair.stop()
    app.close()
  }
  const counted = await h2App(echo)
  const limited = await pairOf(counted.port, 'http2', 'http2', { common: { maxRequestsPerConnection: 2 } })
  try {
    const session = await limited.session()
    for (let i = 0; i < 5; i++) assert.equal((await ask(session, {})).status, 200)
    assert.match(limited.server.metrics(), /istio_requests_total\{[^}]*response_code="200"[^}]*\} 5/)
    await until(() => limited.server.connections().downstream === 1, 'goodbye to the full connections')
  } finally {
    await limited.stop()
    counted.close()
  }
})

test('draining: the client is told, what is under way ends whole, and nothing is refused', async () => {
  const waiting: ServerHttp2Stream[] = []
  const app = await h2App((stream) => void waiting.push(stream))
  const pair = await pairOf(app.port, 'http2', 'http2')
  try {
    const session = await pair.session()
    const under = ask(session, {})
    await until(() => waiting.length === 1, 'the request')
    const told = once(session, 'goaway')
    const drained = pair.client.drain(5000)
    const [code] = await told
    assert.equal(code, constants.NGHTTP2_NO_ERROR)
    waiting[0]?.respond({ ':status': 200 })
    waiting[0]?.end('whole')
    assert.deepEqual(await under.then((a) => [a.status, a.body, a.reset]), [200, 'whole', 0])
    await drained
    assert.equal(pair.client.connections().downstream, 0)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('a dead server is found out by its silence, a slow one is not', async () => {
  const silent = await rawApp(() => {})
  const slow = await h2App((stream) => void setTimeout(() => stream.closed || stream.respond({ ':status': 200 }, { endStream: true }), 3500))
  for (const [app, status] of [[silent, 503], [slow, 200]] as const) {
    const pair = await pairOf(app.port, 'http2', 'http2', { http2: { connectionKeepalive: { interval: '0.5s', timeout: '1s' } }, service: { socket: rawBuffer, endpoints: [{ ip: '127.0.0.1', port: app.port, mtls: false }] } })
    try {
      assert.equal((await ask(await pair.session(), {})).status, status)
    } finally {
      await pair.stop()
      app.close()
    }
  }
})

test('an answer that breaks off is never taken for a whole one', async () => {
  const app = await httpApp((req, res) => {
    res.writeHead(200, req.url === '/sized' ? { 'content-length': '10' } : {})
    res.write('half')
    setTimeout(() => res.destroy(), 50)
  })
  const pair = await pairOf(app.port, 'http2', 'http1')
  try {
    const session = await pair.session()
    for (const path of ['/sized', '/chunked']) {
      const answer = await ask(session, { ':path': path })
      assert.deepEqual([answer.status, answer.body, answer.reset !== 0], [200, 'half', true], path)
    }
    await until(() => pair.clientLog.some((l) => / 200 UR upstream_reset_after_response_started\{remote_reset\}/.test(l)), 'the log line')
  } finally {
    await pair.stop()
    app.close()
  }
})

test('a pool that is full says so; a server that is not there too', async () => {
  let streams = 0
  const app = await h2App(() => void streams++)
  const limits = { thresholds: [{ maxConnections: 1, maxPendingRequests: 1, maxRequests: 2, maxRetries: 1 }] }
  const pair = await pairOf(app.port, 'http2', 'http2', { service: { cluster: { ...httpOptions('http2'), circuitBreakers: limits } } })
  try {
    const session = await pair.session()
    const held = [ask(session, {})]
    // The first waits for the connection: as one pending, it would be in the second's way.
    await until(() => streams === 1, 'the first')
    held.push(ask(session, {}))
    await until(() => streams === 2, 'the first two')
    const third = await ask(session, {})
    assert.deepEqual([third.status, third.body], [503, 'upstream connect error or disconnect/reset before headers. reset reason: overflow'])
    app.close()
    assert.deepEqual((await Promise.all(held)).map((a) => a.status), [503, 503])
  } finally {
    await pair.stop()
    app.close()
  }
})

test('a mirror gets the whole request over HTTP/2, and its silence harms nobody', async () => {
  const copies: (readonly [string, number])[] = []
  const shadow = await h2App((stream, headers) => {
    let n = 0
    stream.on('data', (part: Buffer) => (n += part.length))
    stream.on('end', () => {
      copies.push([String(headers[':authority']), n])
      if (n > 10) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      else stream.respond({ ':status': 200 }, { endStream: true })
    })
  })
  const app = await h2App(echo)
  const mirror = 'outbound|8000||shadow.bar.svc.cluster.local'
  const route = { requestMirrorPolicies: [{ cluster: mirror, runtimeFraction: { defaultValue: { numerator: 100 } } }] }
  const pair = await pairOf(app.port, 'http2', 'http2', {
    route,
    pair: {
      outbound: (base) => [
        { ...base, cluster: httpOptions('http2'), routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: 'outbound|8000||httpbin.bar.svc.cluster.local', timeout: '0s', ...route }, typedPerFilterConfig: istioH2Alpn }] },
        { ...base, host: 'shadow.bar.svc.cluster.local', vip: '10.96.0.8', cluster: httpOptions('http2'), socket: rawBuffer, endpoints: [{ ip: '127.0.0.1', port: shadow.port, mtls: false }] },
      ],
    },
  })
  try {
    const session = await pair.session()
    for (const size of [0, 5, 200_000]) assert.equal((await ask(session, { ':method': 'POST' }, Buffer.alloc(size))).status, 200)
    // An HTTP/1.1 client's framing is taken off for the copy too.
    const answer = await exchange(await intercepted(pair.proxyPort), 'POST / HTTP/1.1\r\nhost: httpbin.bar:8000\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', whole)
    assert.match(answer, /"body":3/)
    await until(() => copies.length === 4, 'four copies')
    assert.deepEqual(copies, [0, 5, 200_000, 3].map((n) => ['httpbin.bar-shadow:8000', n]))
  } finally {
    await pair.stop()
    app.close()
    shadow.close()
  }
})
