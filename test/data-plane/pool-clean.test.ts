// Connections to an upstream are shared by all callers: a connection returns to its pool only when nothing of the last exchange is left on it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { startPair, type Pair } from './pair.ts'
import { exchange, intercepted, rawApp, whole } from './talk.ts'

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nhost: httpbin.bar:8000\r\n${more}\r\n`

/** One request on a connection of its own, which is closed afterwards. */
async function ask(pair: Pair, bytes: string, enough: (text: string) => boolean = whole): Promise<string> {
  const socket = await intercepted(pair.proxyPort)
  try {
    return await exchange(socket, bytes, enough)
  } finally {
    socket.destroy()
  }
}

test('a response head above 64 KiB leaves its connections usable, in both sidecars', { timeout: 10_000 }, async () => {
  const app = await rawApp((socket) => {
    socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\nx-large: ${'a'.repeat(70_000)}\r\ncontent-length: 2\r\n\r\nok`))
  })
  const pair = await startPair({ appPort: app.port })
  try {
    for (let i = 0; i < 3; i++) assert.match(await ask(pair, get(`/${i}`)), /^HTTP\/1.1 200 [\s\S]*\r\n\r\nok$/)
    assert.equal(app.received.length, 1, 'one connection to the application serves all three')
  } finally {
    await pair.stop()
    app.close()
  }
})

interface Odd {
  readonly name: string
  readonly request: string
  readonly response: string
  /** Comes when the response has been read. */
  readonly later: string
  readonly end: 'keep' | 'fin' | 'reset'
}

const poison = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison'
const body = 'content-length: 4\r\n\r\nbody'
const chunked = 'transfer-encoding: chunked\r\n\r\n'
const oddResponses: readonly (readonly [string, string])[] = [
  ['plain', `HTTP/1.1 200 OK\r\n${body}`],
  ['head of 70 KB', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(70_000)}\r\n${body}`],
  ['head of 200 KB', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(200_000)}\r\n${body}`],
  ['head beyond the limit', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(300_000)}\r\n${body}`],
  ['body of 500 KB', `HTTP/1.1 200 OK\r\ncontent-length: 500000\r\n\r\n${'b'.repeat(500_000)}`],
  ['body beyond its length', `HTTP/1.1 200 OK\r\n${body}${poison}`],
  ['body shorter than its length', `HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbody`],
  ['204 with bytes behind it', `HTTP/1.1 204 No Content\r\n\r\n${poison}`],
  ['304 with a length', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n'],
  ['304 with a length and a body', `HTTP/1.1 304 Not Modified\r\n${body}`],
  ['chunked', `HTTP/1.1 200 OK\r\n${chunked}4\r\nbody\r\n0\r\n\r\n`],
  ['chunked with trailers', `HTTP/1.1 200 OK\r\n${chunked}4;x=y\r\nbody\r\n0\r\nx-t: 1\r\n\r\n`],
  ['chunked with bytes behind it', `HTTP/1.1 200 OK\r\n${chunked}4\r\nbody\r\n0\r\n\r\n${poison}`],
  ['chunked, cut short', `HTTP/1.1 200 OK\r\n${chunked}4\r\nbo`],
  ['chunked, malformed', `HTTP/1.1 200 OK\r\n${chunked}4\r\nbody0\r\n\r\n`],
  ['both length and chunked', `HTTP/1.1 200 OK\r\ncontent-length: 4\r\n${chunked}4\r\nbody\r\n0\r\n\r\n`],
  ['interim answers', `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n${body}`],
  ['101 that was not asked for', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ['connection: close', `HTTP/1.1 200 OK\r\nconnection: close\r\n${body}`],
  ['close and keep-alive', `HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\n${body}`],
  ['HTTP/1.0', `HTTP/1.0 200 OK\r\n${body}`],
  ['HTTP/1.0 keep-alive', `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n${body}`],
  ['HTTP/1.0 keep-alive and close', `HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n${body}`],
  ['until the end', 'HTTP/1.1 200 OK\r\n\r\nbody'],
  ['no HTTP', 'nonsense\r\n\r\n'],
]
const requests: readonly string[] = [
  get('/odd'),
  get('/odd').replace('GET', 'HEAD'),
  'POST /odd HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: 10\r\n\r\n0123456789',
  // The answer comes before the request is whole.
  'POST /odd HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: 20\r\n\r\n0123456789',
  get('/odd', 'connection: close\r\n'),
]

const odd: fc.Arbitrary<Odd> = fc
  .record({ of: fc.constantFrom(...oddResponses), request: fc.constantFrom(...requests), late: fc.constantFrom('', poison, '\r\n', 'x'), end: fc.constantFrom('keep', 'fin', 'reset') })
  .map(({ of: [name, response], request, late, end }) => ({ name, response, request, later: late, end: end as Odd['end'] }))

test('whatever an application answers, the next caller gets its own answer', { timeout: 60_000 }, async () => {
  let drawn: Odd | undefined
  /** Says what still comes from the application, once its response is out. */
  let late: () => void = () => {}
  const app = await rawApp((socket) => {
    let text = ''
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      const id = /^GET (\/probe\/\d+) /.exec(text)?.[1]
      text = ''
      if (id !== undefined) return void socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${id.length}\r\n\r\n${id}`)
      const now = drawn
      drawn = undefined
      if (now === undefined) return
      socket.write(now.response)
      late = () => {
        if (now.later !== '') socket.write(now.later)
        if (now.end === 'fin') socket.end()
        else if (now.end === 'reset') socket.resetAndDestroy()
      }
    })
  })
  const pair = await startPair({ appPort: app.port })
  let n = 0
  try {
    await fc.assert(
      fc.asyncProperty(odd, async (one) => {
        drawn = one
        const caller = await intercepted(pair.proxyPort)
        await Promise.race([exchange(caller, one.request, (text) => text.includes('\r\n\r\n')), new Promise((resolve) => caller.once('close', resolve))])
        late()
        caller.destroy()
        const id = `/probe/${++n}`
        const answer = await ask(pair, get(id))
        assert.ok(answer.startsWith('HTTP/1.1 200 ') && answer.endsWith(`\r\n\r\n${id}`), `${answer} after ${JSON.stringify({ ...one, response: one.response.slice(0, 100) })}`)
      }),
      { numRuns: 150, endOnFailure: true },
    )
    for (const side of [pair.client, pair.server]) assert.doesNotMatch(side.metrics(), /kith_bugs_total/)
  } finally {
    await pair.stop()
    app.close()
  }
})
