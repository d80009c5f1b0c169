// IP addresses and CIDR ranges as bytes: comparisons without strings, v4-mapped addresses as the IPv4 that they are.
import { isIPv4, isIPv6 } from 'node:net'

/** `::ffff:1.2.3.4` → `1.2.3.4`; everything else as it is. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** 4 or 16 bytes, or undefined where it is no address. */
export function addressBytes(text: string): Uint8Array | undefined {
  const address = plainAddress(text)
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number)
  if (!isIPv6(address)) return undefined
  let rest = address.split('%')[0] as string
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(rest)
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(1).map(Number) as [number, number, number, number]
    rest = rest.slice(0, dotted.index) + ((a << 8) | b).toString(16) + ':' + ((c << 8) | d).toString(16)
  }
  const [head, tail] = rest.split('::') as [string, string | undefined]
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const words = tail === undefined ? left : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  const out = new Uint8Array(16)
  words.forEach((w, i) => {
    const n = Number.parseInt(w, 16)
    out[2 * i] = n >> 8
    out[2 * i + 1] = n & 255
  })
  return out
}

export interface Cidr {
  readonly bytes: Uint8Array
  readonly length: number
  readonly text: string
}

export function cidrContains(cidr: Cidr, address: Uint8Array): boolean {
  if (cidr.bytes.length !== address.length) return cidr.length === 0
  let bits = cidr.length
  for (let i = 0; bits > 0; i++, bits -= 8) {
    const mask = bits >= 8 ? 255 : 255 << (8 - bits)
    if (((cidr.bytes[i] as number) & mask) !== ((address[i] as number) & mask)) return false
  }
  return true
}
