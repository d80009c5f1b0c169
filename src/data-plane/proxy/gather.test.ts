// Bytes that dribble cost the same each: what is held is copied a bounded number of times, and what has been read in vain is not read again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClientHelloReader, readClientHello } from './client-hello.ts'
import { Gather } from './gather.ts'
import { Head } from './http1/head.ts'

const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 60 })

test('what is gathered is what came, whatever is taken away in between', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(pieces, fc.nat(2000)), { maxLength: 6 }), (rounds) => {
      const gather = new Gather()
      let want = Buffer.alloc(0)
      for (const [parts, at] of rounds) {
        for (const part of parts) {
          want = Buffer.concat([want, part])
          assert.ok(gather.append(Buffer.from(part)).equals(want))
        }
        const rest = want.subarray(at % (want.length + 1))
        const before = Buffer.from(want)
        const held = gather.bytes as Buffer
        if (rest.length === 0) gather.clear()
        else gather.keep(held.subarray(held.length - rest.length))
        want = Buffer.from(rest)
        gather.append(Buffer.from('x'))
        want = Buffer.concat([want, Buffer.from('x')])
        assert.ok(held.equals(before), 'what was given out has changed')
        assert.ok((gather.bytes as Buffer).equals(want))
      }
    }),
    { numRuns: 200 },
  )
})

test('100,000 single bytes are copied to few places', () => {
  const gather = new Gather()
  const places = new Set<ArrayBufferLike>()
  for (let i = 0; i < 100_000; i++) {
    const held = gather.append(Buffer.from([i & 255]))
    if (held.length > 1) places.add(held.buffer)
  }
  assert.ok(places.size <= 10, `${places.size} places`)
})

test('a head in pieces: what was read in vain is not read again', () => {
  const whole = Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(2000)}\r\n\r\n`, 'latin1')
  for (let cut = 1; cut < whole.length; cut++) {
    const head = new Head()
    assert.equal(head.read(whole.subarray(0, cut), 0, false, 60_000, 100), 0)
    assert.equal(head.read(whole, 0, false, 60_000, 100, cut), whole.length, `cut at ${cut}`)
  }
  // An end of the head among bytes that were read already is not seen: they are not looked at.
  const spoilt = Buffer.from(whole)
  spoilt.write('\r\n\r\n', 40, 'latin1')
  assert.equal(new Head().read(spoilt.subarray(0, 1000), 0, false, 60_000, 100, 500), 0)
  // A line feed alone is an error wherever the bytes are cut.
  const bare = Buffer.from('GET / HTTP/1.1\r\nhost: a\nx: y', 'latin1')
  for (let cut = 1; cut < bare.length; cut++) {
    const head = new Head()
    const first = head.read(bare.subarray(0, cut), 0, false, 60_000, 100)
    assert.equal(first < 0 ? first : head.read(bare, 0, false, 60_000, 100, cut), -1, `cut at ${cut}`)
    assert.equal(head.error, 'bad-header')
  }
})

/** A ClientHello of TLS 1.2 with one server name and nothing else. */
function hello(name: string): Buffer {
  const sni = Buffer.from(name)
  const entry = Buffer.concat([Buffer.from([0, sni.length >> 8, sni.length & 255]), sni])
  const list = Buffer.concat([Buffer.from([entry.length >> 8, entry.length & 255]), entry])
  const extension = Buffer.concat([Buffer.from([0, 0, list.length >> 8, list.length & 255]), list])
  const body = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32), Buffer.from([0, 0, 2, 0x13, 1, 1, 0, extension.length >> 8, extension.length & 255]), extension])
  return Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body])
}

test('a ClientHello in pieces and in records of any size reads as in one', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9.]{1,200}$/), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }), (name, records, cuts) => {
      const message = hello(name)
      const wire: Buffer[] = []
      for (let at = 0, i = 0; at < message.length; i++) {
        const part = message.subarray(at, at + (records[i % records.length] as number))
        wire.push(Buffer.from([0x16, 3, 1, 0, part.length]), part)
        at += part.length
      }
      const bytes = Buffer.concat(wire)
      assert.deepEqual(readClientHello(bytes), { serverName: name, alpn: [] })
      const reader = new ClientHelloReader()
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const to = Math.min(bytes.length, at + (cuts[i % cuts.length] as number))
        const answer = reader.push(bytes.subarray(at, to))
        if (to < bytes.length) assert.equal(answer, 'more')
        else assert.deepEqual(answer, { serverName: name, alpn: [] })
        at = to
      }
    }),
    { numRuns: 300 },
  )
})
