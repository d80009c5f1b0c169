// Heads of HTTP/1.1 messages: any bytes have one reading, whole or in pieces; what is accepted could be read in no other way.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Head } from '../../../src/data-plane/proxy/http1/head.ts'
import { cuts, mutated } from './mutate.ts'
import type { Target } from './target.ts'

const lines = [
  'Host: a', 'Host: a.b:80', 'host:\ta', 'Content-Length: 5', 'Content-Length: 0', 'Transfer-Encoding: chunked', 'transfer-encoding: gzip, chunked', 'Connection: close, x-a', 'Connection: keep-alive',
  'Connection: upgrade', 'Upgrade: websocket', 'Expect: 100-continue', 'X-A: b', 'x-b:', 'x-c: \u00e9\u00ff', 'Trailer: x', 'TE: trailers', ' folded', 'Cookie: a=b; c=d', 'no-colon', ': no-name', 'x y: z',
]
const starts = ['GET / HTTP/1.1', 'POST /a?b=c HTTP/1.1', 'OPTIONS * HTTP/1.1', 'CONNECT a:80 HTTP/1.1', 'GET http://h/p HTTP/1.1', 'GET http://h HTTP/1.1', 'GET / HTTP/1.0', 'PRI * HTTP/2.0', 'HTTP/1.1 200 OK', 'HTTP/1.1 204', 'HTTP/1.0 100 Continue', 'GET  / HTTP/1.1']
const words = ['\r\n', '\n', '\r', '\r\n\r\n', '\0', ' ', '\t', ':', ',', '#', '%', '\\', '//', 'chunked', 'Content-Length:', 'Transfer-Encoding:', 'Host:', 'HTTP/1.1', '0', '+', '-', '\x7f', '\x80', '\x0b']

const message = fc.tuple(fc.constantFrom(...starts), fc.array(fc.constantFrom(...lines), { maxLength: 8 })).map(([start, all]) => Buffer.from([start, ...all, '', ''].join('\r\n'), 'latin1'))
const maxBytes = 60 * 1024
const maxHeaders = 100

export const heads: Target = {
  name: 'heads',
  async open() {
    const property = fc.property(mutated(message, words), fc.boolean(), fc.array(fc.nat(1 << 16), { maxLength: 6 }), (bytes, response, drawn) => {
      const whole = new Head()
      const end = whole.read(bytes, 0, response, maxBytes, maxHeaders)
      assert.ok(end === -1 || (end >= 0 && end <= bytes.length))
      assert.equal(end === -1, whole.error !== undefined && end !== 0 && end < 1)
      readInPieces(bytes, response, end, cuts(bytes.length, drawn))
      if (end > 0) hasOneReading(whole, response)
    })
    return { property: property as fc.IProperty<unknown>, close: async () => undefined }
  },
}

/** A piece is read as soon as the whole can be, and never with another outcome. */
function readInPieces(bytes: Buffer, response: boolean, end: number, places: readonly number[]): void {
  const head = new Head()
  let seen = 0
  for (const place of places) {
    const got = head.read(bytes.subarray(0, place), 0, response, maxBytes, maxHeaders, seen)
    if (got === 0) {
      assert.ok(end <= 0 || place < end, 'whole, and still waited for')
      seen = place
      continue
    }
    assert.equal(got > 0, end > 0, 'in pieces the outcome is another')
    if (got > 0) assert.equal(got, end)
    return
  }
  assert.equal(end, 0)
}

function hasOneReading(head: Head, response: boolean): void {
  const fields = Array.from({ length: head.count }, (_, i) => [head.nameAt(i), head.valueAt(i)] as const)
  for (const [name, value] of fields) {
    assert.match(name, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/)
    assert.doesNotMatch(value, /[\0-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/)
  }
  const named = (wanted: string): readonly string[] => fields.filter(([n]) => n.toLowerCase() === wanted).map(([, v]) => v)
  assert.ok(named('content-length').length <= 1 && named('transfer-encoding').length <= 1)
  assert.ok(!(head.chunked && head.contentLength >= 0))
  if (named('content-length').length === 1) assert.equal(String(head.contentLength), named('content-length')[0]?.replace(/^0+(?=\d)/, ''))
  if (!response) {
    assert.ok(named('host').length <= 1)
    assert.doesNotMatch(head.target(), /[\0-\x20#\x7f-\xff]/)
  }
  // Written anew it is the same message.
  const text = Buffer.from(`${head.buf.toString('latin1', head.start, head.buf.indexOf('\r\n', head.start))}\r\n${fields.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`, 'latin1')
  const again = new Head()
  assert.equal(again.read(text, 0, response, 2 * maxBytes, maxHeaders), text.length)
  assert.deepEqual([again.method, again.status, again.target(), again.authority(), again.chunked, again.contentLength, again.close], [head.method, head.status, head.target(), head.authority(), head.chunked, head.contentLength, head.close])
}
