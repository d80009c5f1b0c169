// Addresses for what has none yet: stable, and the same whatever the order of the input.
import { createHash } from 'node:crypto'

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
