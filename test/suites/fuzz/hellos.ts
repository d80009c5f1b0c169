// ClientHellos: what was written is read, in records and pieces of any size; any other bytes get an answer.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ClientHelloReader, readClientHello, type HelloAnswer } from '../../../src/data-plane/proxy/client-hello.ts'
import { cuts, mutated } from './mutate.ts'
import type { Target } from './target.ts'

interface Drawn {
  readonly serverName: string
  readonly alpn: readonly string[]
  readonly extensions: readonly (readonly [number, Uint8Array])[]
  readonly session: Uint8Array
  readonly suites: Uint8Array
  /** Bytes of the handshake message in each record. */
  readonly records: readonly number[]
}

const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255])
const sized = (bytes: Buffer): Buffer => Buffer.concat([u16(bytes.length), bytes])
const small = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length]), bytes])

const drawn: fc.Arbitrary<Drawn> = fc.record({
  serverName: fc.oneof(fc.constant(''), fc.stringMatching(/^[a-z0-9_.-]{1,60}$/)),
  alpn: fc.array(fc.stringMatching(/^[a-z0-9/.-]{1,20}$/), { maxLength: 5 }),
  // Any type but those of the server name and of ALPN; GREASE among them.
  extensions: fc.array(fc.tuple(fc.integer({ min: 17, max: 0xffff }), fc.uint8Array({ maxLength: 300 })), { maxLength: 6 }),
  session: fc.uint8Array({ maxLength: 32 }),
  suites: fc.uint8Array({ minLength: 2, maxLength: 40 }).map((s) => s.subarray(0, s.length & ~1)),
  records: fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 5 }),
})

function helloOf({ serverName, alpn, extensions, session, suites, records }: Drawn): Buffer {
  const named = serverName === '' ? [] : [Buffer.concat([u16(0), sized(sized(Buffer.concat([Buffer.from([0]), sized(Buffer.from(serverName))])))])]
  const protocols = alpn.length === 0 ? [] : [Buffer.concat([u16(16), sized(sized(Buffer.concat(alpn.map((p) => small(Buffer.from(p))))))])]
  const others = extensions.map(([type, body]) => Buffer.concat([u16(type), sized(Buffer.from(body))]))
  const all = Buffer.concat([...others.slice(0, 3), ...named, ...protocols, ...others.slice(3)])
  const body = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32, 7), small(Buffer.from(session)), sized(Buffer.from(suites)), Buffer.from([1, 0]), sized(all)])
  const handshake = Buffer.concat([Buffer.from([1, body.length >> 16, (body.length >> 8) & 255, body.length & 255]), body])
  const parts: Buffer[] = []
  let rest = handshake
  for (const size of [...records, 16_384]) {
    if (rest.length === 0) break
    parts.push(Buffer.from([0x16, 3, 1]), sized(rest.subarray(0, size)))
    rest = rest.subarray(size)
  }
  return Buffer.concat(parts)
}

function inPieces(bytes: Buffer, places: readonly number[]): HelloAnswer {
  const reader = new ClientHelloReader()
  let from = 0
  let answer: HelloAnswer = 'more'
  for (const place of places) {
    answer = reader.push(bytes.subarray(from, place))
    from = place
  }
  return answer
}

export const hellos: Target = {
  name: 'hellos',
  async open() {
    const pieces = fc.array(fc.nat(1 << 16), { maxLength: 6 })
    const garbled = mutated(drawn.map(helloOf), ['\x16\x03\x01', '\x01\x00', '\x00\x00', '\x00\x10', '\xff\xff'])
    const property = fc.property(drawn, garbled, pieces, (wanted, bytes, places) => {
      const hello = helloOf(wanted)
      assert.deepEqual(readClientHello(hello), { serverName: wanted.serverName, alpn: wanted.alpn })
      assert.deepEqual(inPieces(hello, cuts(hello.length, places)), readClientHello(hello))
      assert.equal(readClientHello(hello.subarray(0, hello.length - 1)), 'more')
      assert.deepEqual(inPieces(bytes, cuts(bytes.length, places)), readClientHello(bytes))
    })
    return { property: property as fc.IProperty<unknown>, close: async () => undefined }
  },
}
