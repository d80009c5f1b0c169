// Addresses for what has none yet: stable, and the same whatever the order of the input.
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'

/** An IPv6 address as the kernel and Envoy write it; everything else as it is. Ranges keep their length. */
export function canonicalAddress(text: string): string {
  if (!text.includes(':')) return text
  const [address = '', length] = text.split('/')
  return isIPv6(address) ? `${new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1)}${length === undefined ? '' : `/${length}`}` : text
}

export type Family = 'v4' | 'v6'

export function familyOf(address: string): Family {
  return address.includes(':') ? 'v6' : 'v4'
}

/** What a pod with these addresses can speak; without any: IPv4. */
export function familiesOf(addresses: readonly string[]): readonly Family[] {
  const found = [...new Set(addresses.map(familyOf))].sort()
  return found.length === 0 ? ['v4'] : found
}

/** Gives each key an address of `a.b.0.0/16`; taken ones are passed over. Keys are sorted first. */
export function assignAddresses(keys: readonly string[], prefix: string, taken: ReadonlySet<string>): ReadonlyMap<string, string> {
  const given = new Map<string, string>()
  const used = new Set(taken)
  for (const key of [...keys].sort()) {
    let n = createHash('sha256').update(key).digest().readUInt16BE(0)
    let address: string
    do {
      n = n < 257 || n > 65_000 ? 257 : n + 1
      address = `${prefix}.${n >> 8}.${n & 255}`
    } while (used.has(address))
    used.add(address)
    given.set(key, address)
  }
  return given
}

export const podPrefix = '10.244'
export const servicePrefix = '10.96'
