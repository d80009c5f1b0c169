// A ClientHello is read without a throw whatever its bytes; what a real client sends is read right.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import { test } from 'node:test'
import fc from 'fast-check'
import { readClientHello } from './client-hello.ts'
import { look } from './inspect.ts'

function realHello(servername: string | undefined, alpn: string[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (chunk: Buffer) => {
        socket.destroy()
        server.close()
        resolve(chunk)
      })
    })
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      connect({ port, host: '127.0.0.1', ...(servername === undefined ? {} : { servername }), ALPNProtocols: alpn }).on('error', () => {})
    })
  })
}

test('server name and ALPN of a real client, in one piece or byte by byte', async () => {
  const hello = await realHello('outbound_.80_._.Httpbin.bar.svc.cluster.local', ['istio-http/1.1', 'istio', 'http/1.1'])
  const want = { serverName: 'outbound_.80_._.httpbin.bar.svc.cluster.local', alpn: ['istio-http/1.1', 'istio', 'http/1.1'] }
  assert.deepEqual(readClientHello(hello), want)
  for (let i = 0; i < hello.length; i++) assert.equal(readClientHello(hello.subarray(0, i)), 'more')
  assert.deepEqual(readClientHello(await realHello(undefined, [])), { serverName: '', alpn: [] })
})

test('split into two records', async () => {
  const hello = await realHello('a.b', ['h2'])
  const body = hello.subarray(5)
  const record = (part: Buffer) => Buffer.concat([Buffer.from([0x16, 3, 1, part.length >> 8, part.length & 255]), part])
  assert.deepEqual(readClientHello(Buffer.concat([record(body.subarray(0, 3)), record(body.subarray(3, 80)), record(body.subarray(80))])), { serverName: 'a.b', alpn: ['h2'] })
})

test('mutated and random bytes never throw', async () => {
  const hello = await realHello('a.b', ['h2', 'http/1.1'])
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 6 }), fc.nat(hello.length), (changes, cut) => {
      const bytes = Buffer.from(hello.subarray(0, cut))
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      readClientHello(bytes)
      look(bytes, { tls: true, http: true })
    }),
    { numRuns: 20_000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      readClientHello(Buffer.concat([Buffer.from([0x16, 3, 1]), random]))
    }),
    { numRuns: 5_000 },
  )
})
