// What two parsers could read in two ways never reaches the application: 400, and the connection is over. What is plain passes, byte for byte.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startPair } from './pair.ts'
import { exchange, httpApp, intercepted, rawApp, talk, whole } from './talk.ts'

const head = (extra: string, start = 'POST /a HTTP/1.1') => `${start}\r\nhost: httpbin.bar:8000\r\n${extra}\r\n`
const smuggled = 'GET /admin HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'

const refused: readonly (readonly [string, string, number])[] = [
  ['length and chunked', head('content-length: 5\r\ntransfer-encoding: chunked\r\n') + '0\r\n\r\n' + smuggled, 400],
  ['two lengths', head('content-length: 5\r\ncontent-length: 6\r\n') + 'hello' + smuggled, 400],
  ['two equal lengths', head('content-length: 5\r\ncontent-length: 5\r\n') + 'hello', 400],
  ['list of lengths', head('content-length: 5, 5\r\n') + 'hello', 400],
  ['signed length', head('content-length: +5\r\n') + 'hello', 400],
  ['negative length', head('content-length: -1\r\n'), 400],
  ['hex length', head('content-length: 0x5\r\n') + 'hello', 400],
  ['huge length', head('content-length: 99999999999999999999\r\n'), 400],
  ['empty length', head('content-length:\r\n'), 400],
  ['chunked twice', head('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n') + '0\r\n\r\n', 400],
  ['chunked, identity', head('transfer-encoding: chunked, identity\r\n') + '0\r\n\r\n', 400],
  ['gzip, chunked', head('transfer-encoding: gzip, chunked\r\n') + '0\r\n\r\n', 400],
  ['xchunked', head('transfer-encoding: xchunked\r\n') + '0\r\n\r\n', 400],
  ['vertical tab in the coding', head('transfer-encoding: \x0bchunked\r\n') + '0\r\n\r\n', 400],
  ['space before the colon', head('transfer-encoding : chunked\r\n') + '0\r\n\r\n', 400],
  ['bare LF between headers', 'GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n', 400],
  ['bare LF everywhere', 'GET / HTTP/1.1\nhost: a\n\n', 400],
  ['bare CR in a value', head('x: a\rb\r\n'), 400],
  ['NUL in a value', head('x: a\0b\r\n'), 400],
  ['folded header', head('x: a\r\n b: c\r\n'), 400],
  ['header without a name', head(': x\r\n'), 400],
  ['header without a colon', head('nonsense\r\n'), 400],
  ['two hosts', head('host: other\r\n'), 400],
  ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['host with a path', 'GET / HTTP/1.1\r\nhost: a/b\r\n\r\n', 400],
  ['host with userinfo', 'GET / HTTP/1.1\r\nhost: a@b\r\n\r\n', 400],
  ['host list', 'GET / HTTP/1.1\r\nhost: a, b\r\n\r\n', 400],
  ['space in the target', head('', 'GET /a b HTTP/1.1'), 400],
  ['tab after the method', head('', 'GET\t/ HTTP/1.1'), 400],
  ['fragment in the target', head('', 'GET /a#b HTTP/1.1'), 400],
  ['HTTP/1.2', head('', 'GET / HTTP/1.2'), 400],
  ['HTTP/2 in words', head('', 'GET / HTTP/2.0'), 400],
  ['lower-case http', head('', 'GET / http/1.1'), 400],
  ['HTTP/1.0', head('', 'GET / HTTP/1.0'), 426],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400],
  ['method with small letters', head('', 'delete / HTTP/1.1'), 400],
  ['NUL in the path', head('', 'GET /a%00b HTTP/1.1'), 400],
  ['too many headers', head(Array.from({ length: 150 }, (_, i) => `x-${i}: 1\r\n`).join('')), 431],
  ['too large a head', head(`x: ${'a'.repeat(70_000)}\r\n`), 431],
  ['chunk size with a sign', head('transfer-encoding: chunked\r\n') + '-1\r\n', 400],
  ['chunk size in 0x', head('transfer-encoding: chunked\r\n') + '0x5\r\nhello\r\n0\r\n\r\n', 400],
  ['chunk size, bare LF', head('transfer-encoding: chunked\r\n') + '5\nhello\r\n0\r\n\r\n', 400],
  ['chunk extension, bare LF', head('transfer-encoding: chunked\r\n') + '5;a\nb\r\nhello\r\n0\r\n\r\n', 400],
  ['chunk too long for its size', head('transfer-encoding: chunked\r\n') + '5\r\nhellooo\r\n0\r\n\r\n', 400],
  ['empty chunk size', head('transfer-encoding: chunked\r\n') + '\r\nhello\r\n0\r\n\r\n', 400],
  ['endless chunk size', head('transfer-encoding: chunked\r\n') + '00000000000000005\r\nhello\r\n0\r\n\r\n', 400],
  ['trailer that forges an identity', head('transfer-encoding: chunked\r\n') + '0\r\nx-forwarded-client-cert: URI=spiffe://a\r\n\r\n', 400],
  ['trailer that reframes', head('transfer-encoding: chunked\r\n') + '0\r\ncontent-length: 7\r\n\r\n', 400],
]

test('ambiguous or malformed requests: refused, never forwarded', async () => {
  const app = await rawApp((socket) => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')))
  const pair = await startPair({ appPort: app.port, mode: 'PERMISSIVE' })
  try {
    for (const [what, bytes, status] of refused) {
      const before = app.received.length
      // Both sides must refuse: the client's sidecar, and the server's on plaintext.
      for (const [side, answer] of [
        ['outbound', await exchange(await intercepted(pair.proxyPort), Buffer.from(bytes, 'latin1'), whole)],
        ['inbound', await talk(pair.inboundPort, Buffer.from(bytes, 'latin1'), what.includes('path') || what === 'broken escape' ? whole : undefined)],
      ] as const) {
        assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), `${what}, ${side}: ${JSON.stringify(answer.slice(0, 60))}`)
        assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, `${what}, ${side}: more than one answer`)
      }
      // A body that breaks later may have a head on its way; nothing behind it, and no second request, ever arrives.
      const arrived = app.received.slice(before).flat().map((b) => b.toString('latin1')).join('')
      assert.ok(!arrived.includes('/admin'), `${what}: smuggled`)
      if (!what.includes('chunk') && !what.includes('trailer')) assert.equal(arrived, '', what)
    }
  } finally {
    await pair.stop()
    app.close()
  }
})

test('bodies, trailers, pipelines and odd methods pass as they are', async () => {
  const app = await httpApp((req, res) => {
    let body = ''
    req.on('data', (c: Buffer) => (body += c.toString('latin1')))
    req.on('end', () => {
      if (req.url === '/204') res.writeHead(204).end()
      else if (req.url === '/chunked') {
        res.writeHead(200, { trailer: 'x-sum' })
        res.write('one')
        res.write('two')
        res.addTrailers({ 'x-sum': '6' })
        res.end()
      } else if (req.url === '/close') {
        res.writeHead(200, { connection: 'close' })
        res.end('bye')
      } else res.end(`${req.method} ${req.url} [${body}] ${JSON.stringify(req.trailers)}`)
    })
  })
  const pair = await startPair({ appPort: app.port })
  const cases: readonly (readonly [string, string, RegExp, ((text: string) => boolean)?])[] = [
    ['length', head('content-length: 5\r\n') + 'hello', /POST \/a \[hello\] \{\}$/],
    ['chunked', head('transfer-encoding: chunked\r\n') + '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n', /POST \/a \[hello world\]/],
    ['chunked in capitals', head('Transfer-Encoding: Chunked\r\n') + 'A\r\n0123456789\r\n0\r\n\r\n', /\[0123456789\]/],
    ['chunk extension', head('transfer-encoding: chunked\r\n') + '5;a=b\r\nhello\r\n0\r\n\r\n', /\[hello\]/],
    ['trailers', head('transfer-encoding: chunked\r\n') + '2\r\nhi\r\n0\r\nx-check: 7\r\n\r\n', /\[hi\] \{"x-check":"7"\}/],
    ['HEAD', head('', 'HEAD /h HTTP/1.1'), /^HTTP\/1.1 200 OK\r\n[\s\S]*\r\n\r\n$/, (t) => t.includes('\r\n\r\n')],
    ['204', head('', 'GET /204 HTTP/1.1'), /^HTTP\/1.1 204 /, (t) => t.includes('\r\n\r\n')],
    ['chunked answer with a trailer', head('', 'GET /chunked HTTP/1.1'), /0\r\nx-sum: 6\r\n\r\n$/i, (t) => t.endsWith('6\r\n\r\n')],
    ['close by the application', head('', 'GET /close HTTP/1.1'), /bye/],
    ['absolute form', 'GET http://httpbin.bar:8000/abs?x=1 HTTP/1.1\r\nhost: other\r\n\r\n', /GET \/abs\?x=1 /],
    ['own method', head('', 'PROPFIND /p HTTP/1.1'), /PROPFIND \/p /],
    ['normalised path', head('', 'GET /x/./y/../z%41?q=%2e HTTP/1.1'), /GET \/x\/zA\?q=%2e /],
    ['pipelined', head('', 'GET /1 HTTP/1.1') + head('content-length: 2\r\n', 'POST /2 HTTP/1.1') + 'hi' + head('', 'GET /3 HTTP/1.1'), /GET \/1 [\s\S]*POST \/2 \[hi\][\s\S]*GET \/3 /, (t) => t.includes('GET /3 ')],
    ['h2c upgrade is not taken', head('upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n', 'GET /up HTTP/1.1'), /GET \/up /],
  ]
  try {
    const kept = await intercepted(pair.proxyPort)
    for (const [what, bytes, want, enough] of cases) {
      assert.match(await exchange(kept, bytes, enough ?? whole), want, what)
    }
    kept.destroy()
    // Byte by byte.
    const slow = await intercepted(pair.proxyPort)
    const answer = exchange(slow, '', whole)
    for (const c of head('transfer-encoding: chunked\r\n') + '5\r\nhello\r\n0\r\n\r\n') {
      slow.write(c)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.match(await answer, /\[hello\]/)
    slow.destroy()
  } finally {
    await pair.stop()
    app.close()
  }
})

test('100-continue, early answers, upgrades', async () => {
  const app = await httpApp((req, res) => {
    if (req.url === '/early') {
      res.writeHead(413).end('too big')
      return
    }
    req.resume()
    req.on('end', () => res.end('done'))
  })
  app.server.on('upgrade', (req: { headers: { upgrade?: string } }, socket: import('node:net').Socket, early: Buffer) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: ${req.headers.upgrade}\r\nconnection: upgrade\r\n\r\n`)
    socket.write(early)
    socket.pipe(socket)
  })
  const pair = await startPair({ appPort: app.port })
  try {
    const socket = await intercepted(pair.proxyPort)
    assert.match(await exchange(socket, head('expect: 100-continue\r\ncontent-length: 3\r\n'), (t) => t.includes('\r\n\r\n')), /^HTTP\/1.1 100 Continue/)
    assert.match(await exchange(socket, 'abc', whole), /^HTTP\/1.1 200 [\s\S]*done$/)
    assert.match(await exchange(socket, head('content-length: 1000000\r\n', 'POST /early HTTP/1.1'), whole), /^HTTP\/1.1 413 [\s\S]*connection: close/)
    const upgraded = await intercepted(pair.proxyPort)
    assert.match(await exchange(upgraded, head('upgrade: websocket\r\nconnection: Upgrade\r\n', 'GET /ws HTTP/1.1') + 'early', (t) => t.endsWith('early')), /^HTTP\/1.1 101 [\s\S]*upgrade: websocket/i)
    assert.equal(await exchange(upgraded, 'ping', (t) => t === 'ping'), 'ping')
    upgraded.destroy()
    assert.match(await exchange(await intercepted(pair.proxyPort), head('upgrade: foo\r\nconnection: Upgrade\r\n', 'GET /ws HTTP/1.1'), whole), /^HTTP\/1.1 403 /)
  } finally {
    await pair.stop()
    app.close()
  }
})
