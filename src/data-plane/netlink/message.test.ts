import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { linkMessage, addressBytes, type LinkChange } from './links.ts'
import { attribute, attributes, decodeAnswers, encodeMessages } from './message.ts'
import { expressions } from './nft-expressions.ts'
import { formatIpv6, parseSockaddr } from './sockets.ts'

const hex = (b: Buffer): string => b.toString('hex')
const bytes = (text: string): Buffer => Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex')

test('the bytes of link, address and route messages', () => {
  const cases: [LinkChange, number, string][] = [
    [{ kind: 'up', index: 1 }, 16, '00000000 01000000 01000000 01000000'],
    [{ kind: 'bridge', name: 'kith0', index: 2 }, 16, '00000000 02000000 00000000 00000000' + '0a00 0300 6b69746830 00 0000' + '1000 1280' + '0b00 0100 627269646765 00 00'],
    [{ kind: 'address', index: 2, address: '10.244.0.1', prefixLength: 16 }, 20, '02 10 00 00 02000000' + '0800 0200 0af40001' + '0800 0100 0af40001'],
    [{ kind: 'route', index: 2, destination: 'default', gateway: '10.244.0.1' }, 24, '02 00 00 00 fe 04 00 01 00000000' + '0800 0500 0af40001' + '0800 0400 02000000'],
    [{ kind: 'route', index: 2, destination: '10.244.0.1/32' }, 24, '02 20 00 00 fe 04 fd 01 00000000' + '0800 0100 0af40001' + '0800 0400 02000000'],
    [
      { kind: 'veth', name: 'v9', index: 19, bridge: 2, peer: { name: 'eth0', index: 2, namespace: 7 } }, 16,
      '00000000 13000000 00000000 00000000' + '0700 0300 7639 00 00' + '0800 0a00 02000000' + '3c00 1280' + '0900 0100 76657468 00 000000' +
        '2c00 0280' + '2800 0180' + '00000000 02000000 00000000 00000000' + '0900 0300 65746830 00 000000' + '0800 1c00 07000000',
    ],
  ]
  for (const [change, type, expected] of cases) {
    const message = linkMessage(change)
    assert.equal(message.type, type)
    assert.equal(hex(message.body), hex(bytes(expected)), JSON.stringify(change))
  }
})

test('the bytes of a rule: meta mark 0x539 return', () => {
  const [meta, compare, verdict] = expressions([{ match: 'mark', value: 0x539 }], [{ do: 'return' }]) as [Buffer, Buffer, Buffer]
  assert.equal(hex(meta), hex(bytes('2400 0180' + '0900 0100 6d657461 00 000000' + '1400 0280' + '0800 0200 00000003' + '0800 0100 00000001')))
  assert.equal(hex(compare), hex(bytes('2c00 0180' + '0800 0100 636d70 00' + '2000 0280' + '0800 0100 00000001' + '0800 0200 00000000' + '0c00 0380 0800 0100 39050000')))
  assert.equal(hex(verdict), hex(bytes('3000 0180' + '0e00 0100 696d6d656469617465 00 0000' + '1c00 0280' + '0800 0100 00000000' + '1000 0280 0c00 0280 0800 0100 fffffffb')))
})

test('a port is compared as on the wire, a network by its mask', () => {
  const port = expressions([{ match: 'destination port', port: 8080 }], [])
  assert.ok(hex(port[1] as Buffer).endsWith('06000100' + '1f900000'))
  const network = expressions([{ match: 'destination', cidr: '10.9.1.7/20' }], [])
  assert.equal(network.length, 5)
  assert.ok(hex(network[3] as Buffer).includes('08000100' + 'fffff000'))
  assert.ok(hex(network[4] as Buffer).endsWith('08000100' + '0a090000'))
  assert.equal(expressions([{ match: 'destination', cidr: '0.0.0.0/0' }], []).length, 2)
})

test('messages carry length, type, flags and their number', () => {
  const out = encodeMessages([{ type: 20, flags: 0x400, body: bytes('0102'), what: 'a' }, { type: 24, flags: 0, body: Buffer.alloc(0), what: 'b' }], 7, (i) => i === 1)
  assert.equal(hex(out), hex(bytes('12000000 1400 0104 07000000 00000000 0102 0000' + '10000000 1800 0500 08000000 00000000')))
})

test('answers: an ACK, an error with the kernel’s words', () => {
  const ack = bytes('24000000 0200 0001 05000000 00000000' + '00000000' + '14000000 1000 0500 05000000 00000000')
  const words = attribute(1, Buffer.from('no such chain\0'))
  const refused = Buffer.concat([bytes('00000000 0200 0003 06000000 00000000' + 'feffffff' + '14000000 1000 0500 06000000 00000000'), words])
  refused.writeUInt32LE(refused.length, 0)
  const [first, second] = decodeAnswers(Buffer.concat([ack, refused]))
  assert.deepEqual([first?.sequence, first?.errno, first?.detail], [5, 0, undefined])
  assert.deepEqual([second?.sequence, second?.errno, second?.detail], [6, 2, 'no such chain'])
})

test('attributes come back as they went in', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 40 })), { selector: ([type]) => type }), (list) => {
      const found = attributes(Buffer.concat(list.map(([type, value]) => attribute(type, Buffer.from(value)))))
      assert.deepEqual([...found].map(([t, v]) => [t, hex(v)]), list.map(([t, v]) => [t, hex(Buffer.from(v))]))
    }),
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => void [decodeAnswers(Buffer.from(noise)), attributes(Buffer.from(noise))]))
})

test('socket addresses as the kernel writes them', () => {
  assert.deepEqual(parseSockaddr(bytes('0200 1f40 0a600007 0000000000000000')), { address: '10.96.0.7', port: 8000 })
  assert.deepEqual(parseSockaddr(bytes('0a00 0050 00000000 fd000244000000000000000000000003 00000000')), { address: 'fd00:244::3', port: 80 })
  assert.deepEqual(parseSockaddr(bytes('0a00 0050 00000000 00000000000000000000ffff0a600007 00000000')), { address: '10.96.0.7', port: 80 })
  assert.equal(parseSockaddr(bytes('0100 0000 00000000 00000000')), undefined)
})

test('IPv6 addresses as text and back', () => {
  for (const text of ['::', '::1', 'fd00::', '1:0:2::3', 'fd00:244::3', '2001:db8:1:2:3:4:5:6', '1::2:0:0:3', '::ffff:a60:7']) assert.equal(formatIpv6(addressBytes(text)), text === '1::2:0:0:3' ? '1::2:0:0:3' : text)
  assert.equal(formatIpv6(addressBytes('::ffff:10.96.0.7')), '::ffff:a60:7')
  fc.assert(fc.property(fc.ipV6(), (text) => assert.deepEqual(addressBytes(formatIpv6(addressBytes(text))), addressBytes(text))))
})
