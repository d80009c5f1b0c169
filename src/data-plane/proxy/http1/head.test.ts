// The head parser against its own writer: what it accepts has exactly one reading.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Body } from './body.ts'
import { Head } from './head.ts'

const name = fc.stringMatching(/^x-[a-z0-9_-]{1,20}$/)
const value = fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,30}[\x21-\x7e])?$/)

test('headers come back as they went in, wherever the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 20 }), fc.nat(), (headers, at) => {
      const bytes = Buffer.from(`GET /p?q HTTP/1.1\r\nHost: h:1\r\n${headers.map(([n, v]) => `${n}:  ${v} \r\n`).join('')}\r\nBODY`, 'latin1')
      const head = new Head()
      const end = bytes.length - 4
      const cut = at % end
      assert.equal(head.read(bytes.subarray(0, cut), 0, false, 60_000, 100), 0)
      assert.equal(head.read(bytes, 0, false, 60_000, 100), end)
      assert.equal(head.target(), '/p?q')
      assert.equal(head.authority(), 'h:1')
      for (const [n] of headers) assert.equal(head.get(n), headers.filter(([m]) => m === n).map(([, v]) => v).join(','))
    }),
    { numRuns: 500 },
  )
})

test('empty lines before a request may be cut anywhere', () => {
  for (const before of ['\r\n', '\r\n\r\n']) {
    const bytes = Buffer.from(`${before}GET / HTTP/1.1\r\nhost: a\r\n\r\n`)
    for (let cut = 0; cut < bytes.length; cut++) {
      const head = new Head()
      assert.equal(head.read(bytes.subarray(0, cut), 0, false, 60_000, 100), 0, `cut at ${cut}`)
      assert.equal(head.read(bytes, 0, false, 60_000, 100, cut), bytes.length)
    }
  }
})

test('random bytes never throw, and never read as a body that is not there', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (random, response) => {
      const bytes = Buffer.concat([Buffer.from(response ? 'HTTP/1.1 200 OK\r\n' : 'GET / HTTP/1.1\r\nhost: a\r\n'), random, Buffer.from('\r\n\r\n')])
      const end = new Head().read(bytes, 0, response, 60_000, 100)
      assert.ok(end <= bytes.length)
    }),
    { numRuns: 5_000 },
  )
})

test('chunked bodies end where they end, whatever the pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 8 }), fc.array(fc.nat(40), { maxLength: 20 }), (chunks, cuts) => {
      const framed = Buffer.concat([...chunks.map((c) => Buffer.concat([Buffer.from(`${c.length.toString(16)}\r\n`), c, Buffer.from('\r\n')])), Buffer.from('0\r\nx-t: 1\r\n\r\n')])
      const stream = Buffer.concat([framed, Buffer.from('GET /next')])
      const body = new Body()
      body.chunked()
      let at = 0
      let i = 0
      while (!body.done && at < stream.length) {
        const to = Math.min(stream.length, at + 1 + (cuts[i++ % Math.max(1, cuts.length)] ?? 7))
        at = body.take(stream, at, to)
        assert.equal(body.broken, false)
      }
      assert.equal(at, framed.length)
      assert.equal(body.bytes, chunks.reduce((n, c) => n + c.length, 0))
    }),
    { numRuns: 500 },
  )
})
