// Where a policy may not lead the control plane, in every form in which an address can be written or carried by
// another.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fetchDocument } from './fetch-document.ts'
import { mayReach } from './reachable-address.ts'

/** Of clouds and of every host; never, also where loopback is allowed. */
const forbidden = [
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '192.0.0.170',
  '0.0.0.0',
  '0.1.2.3',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
]
const loopback = ['127.0.0.1', '127.9.9.9']
const allowed = ['10.0.0.1', '192.168.1.1', '172.16.0.1', '100.64.0.1', '8.8.8.8']

const hex = (v4: string): string => {
  const [a = 0, b = 0, c = 0, d = 0] = v4.split('.').map(Number)
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}
/** IPv6 addresses that lead to an IPv4 one. */
const carriers: Readonly<Record<string, (v4: string) => string>> = {
  'as it stands': (v4) => v4,
  mapped: (v4) => `::ffff:${v4}`,
  'mapped, in hexadecimal': (v4) => `::ffff:${hex(v4)}`,
  'mapped, written out': (v4) => `0:0:0:0:0:FFFF:${hex(v4)}`,
  translated: (v4) => `::ffff:0:${hex(v4)}`,
  NAT64: (v4) => `64:ff9b::${v4}`,
  'NAT64, in hexadecimal': (v4) => `64:ff9b::${hex(v4)}`,
  'NAT64, written out': (v4) => `0064:ff9b:0:0:0:0:${hex(v4)}`,
  '6to4': (v4) => `2002:${hex(v4)}::1`,
  '6to4, of any host': (v4) => `2002:${hex(v4)}:1:2:3:4:5`,
  ISATAP: (v4) => `2001:db8::5efe:${hex(v4)}`,
  'ISATAP, global': (v4) => `2001:db8::200:5efe:${hex(v4)}`,
}
/** Whatever they carry. */
const neverV6 = [
  '::',
  'fe80::1',
  'fe80::1%eth0',
  'fe80::a9fe:a9fe',
  'febf::1',
  'ff02::1',
  '64:ff9b:1::1',
  '64:ff9b:1:ffff::8.8.8.8',
  '2001::1',
  '2001:0:808:808:0:0:f7f7:f7f7',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd00:ec2:0:0::253',
  'fd20:ce::254',
  'fd00:c1::a9fe:a9fe',
  'fd00:42::42',
]
const allowedV6 = [
  '2001:db8::1',
  '2001:4860:4860::8888',
  'fd12::1',
  'fd00:ec3::254',
  '2606:4700::1111',
  '64:ff9c::a9fe:a9fe',
  '2003:a9fe:a9fe::1',
]

test('an address is judged by itself and by every address that it carries', () => {
  const bothWays = (address: string): readonly boolean[] => [
    mayReach(address, { loopback: false }),
    mayReach(address, { loopback: true }),
  ]
  for (const [how, carry] of Object.entries(carriers)) {
    for (const v4 of forbidden) assert.deepEqual(bothWays(carry(v4)), [false, false], `${how}: ${carry(v4)}`)
    for (const v4 of loopback) assert.deepEqual(bothWays(carry(v4)), [false, true], `${how}: ${carry(v4)}`)
    for (const v4 of allowed) assert.deepEqual(bothWays(carry(v4)), [true, true], `${how}: ${carry(v4)}`)
  }
  // IPv4-compatible addresses: an inner address 0.0.x.y is the host itself.
  for (const v4 of [...forbidden.filter((a) => !a.startsWith('0.')), ...loopback])
    assert.equal(mayReach(`::${v4}`, { loopback: false }), false, `::${v4}`)
  for (const address of [...neverV6, 'no address', '', '1.2.3', '::ffff:1.2.3', '2130706433'])
    assert.deepEqual(bothWays(address), [false, false], address)
  assert.deepEqual(bothWays('::1'), [false, true])
  for (const address of allowedV6) assert.deepEqual(bothWays(address), [true, true], address)
})

test('no redirect, no other spelling of a URL and no name leads there', async (t) => {
  let to = ''
  const asked: string[] = []
  const server = createServer((request, answer) => {
    asked.push(request.url ?? '')
    answer.writeHead(302, { location: to }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const hosts = [
    ...Object.values(carriers)
      .flatMap((carry) => forbidden.map((v4) => carry(v4)))
      .map((a) => (a.includes(':') ? `[${a}]` : a)),
    ...neverV6.filter((a) => !a.includes('%')).map((a) => `[${a}]`),
    '0xa9fea9fe',
    '2852039166',
    '0251.0376.0251.0376',
    '169.254.43518',
    '169.254.169.254.',
    '\uff11\uff16\uff19.254.169.254',
  ]
  for (const host of hosts) {
    const url = `http://${host}/latest/meta-data`
    await assert.rejects(fetchDocument(url, { timeoutMs: 1000, loopback: true }), { code: 'FETCH_REFUSED' }, url)
    to = host.includes('\uff11') ? encodeURI(url) : url
    await assert.rejects(
      fetchDocument(`http://127.0.0.1:${port}/moved`, { timeoutMs: 1000, loopback: true }),
      { code: 'FETCH_REFUSED' },
      `redirected to ${url}`,
    )
  }
  const before = asked.length
  // A name is judged by what it resolves to, at the moment of the connection and by the same answer.
  for (const host of [
    `localhost:${port}`,
    `[::ffff:7f00:1]:${port}`,
    `[64:ff9b::7f00:1]:${port}`,
    `0x7f.1:${port}`,
    `127.1:${port}`,
  ])
    await assert.rejects(
      fetchDocument(`http://${host}/`, { timeoutMs: 1000, loopback: false }),
      { code: 'FETCH_REFUSED' },
      host,
    )
  assert.equal(asked.length, before)
})
