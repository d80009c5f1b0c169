// Which addresses a URL that a user wrote may lead to. Law: an address that carries another one is judged by both; what
// can't be read is refused.
import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

const never = new BlockList()
// This host, link-local (where clouds keep credentials), multicast and broadcast.
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  never.addSubnet(net, bits)
// IETF protocol assignments, among them Oracle's metadata service 192.0.0.192 (RFC 6890).
never.addSubnet('192.0.0.0', 24)
// Metadata services outside of these: Alibaba Cloud, Azure (WireServer).
for (const address of ['100.100.100.200', '168.63.129.16']) never.addAddress(address)
never.addAddress('::', 'ipv6')
for (const [net, bits] of [
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  never.addSubnet(net, bits, 'ipv6')
// Tunnels whose inner address can't be told: Teredo (RFC 4380), NAT64 for local use, whose prefix length is the
// operator's (RFC 8215).
for (const [net, bits] of [
  ['2001::', 32],
  ['64:ff9b:1::', 48],
] as const)
  never.addSubnet(net, bits, 'ipv6')
// Metadata and credentials over IPv6: AWS, Google, Oracle, Scaleway.
for (const [net, bits] of [
  ['fd00:ec2::', 32],
  ['fd20:ce::', 32],
  ['fd00:c1::', 32],
  ['fd00:42::42', 128],
] as const)
  never.addSubnet(net, bits, 'ipv6')

export interface Reach {
  /** Addresses of this machine too: where the whole mesh is on it. */
  readonly loopback: boolean
}

/** `address`: IPv4 or IPv6 as text, as `URL` and the resolver write it. */
export function mayReach(address: string, options: Reach): boolean {
  const family = isIP(address)
  if (family === 4) return isAllowed(address, 'ipv4', options)
  // A zone belongs to link-local addresses alone.
  if (family !== 6 || address.includes('%') || !isAllowed(address, 'ipv6', options)) return false
  return carried(wordsOf(address)).every((inner) => isAllowed(inner, 'ipv4', options))
}

function isAllowed(address: string, family: 'ipv4' | 'ipv6', options: Reach): boolean {
  return !never.check(address, family) && (options.loopback || !loopback.check(address, family))
}

/** The IPv4 addresses that an IPv6 address leads to. */
function carried(words: readonly number[]): string[] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = words
  const last = dotted(g, h)
  const inner: string[] = []
  const isZero = a === 0 && b === 0 && c === 0 && d === 0
  // ::ffff:a.b.c.d (mapped), ::ffff:0:a.b.c.d (translated, RFC 2765), ::a.b.c.d (compatible; ::1 is judged as itself).
  if (isZero && ((e === 0 && f === 0xffff) || (e === 0xffff && f === 0) || (e === 0 && f === 0 && g !== 0)))
    inner.push(last)
  // 64:ff9b::/96: NAT64 (RFC 6052). 2002::/16: 6to4 (RFC 3056).
  if (a === 0x64 && b === 0xff9b && c === 0 && d === 0 && e === 0 && f === 0) inner.push(last)
  if (a === 0x2002) inner.push(dotted(b, c))
  // An ISATAP interface, of whatever prefix (RFC 5214).
  if ((e === 0 || e === 0x200) && f === 0x5efe) inner.push(last)
  return inner
}

function dotted(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** The eight words of an IPv6 address that `isIP` has taken. */
function wordsOf(address: string): number[] {
  const plain = address.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_all, ...p: string[]) =>
      `${(Number(p[0]) * 256 + Number(p[1])).toString(16)}:${(Number(p[2]) * 256 + Number(p[3])).toString(16)}`,
  )
  const [head = '', tail] = plain.split('::')
  const words = (text: string): number[] => (text === '' ? [] : text.split(':').map((w) => parseInt(w, 16)))
  const [left, right] = [words(head), words(tail ?? '')]
  return tail === undefined ? left : [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
}
