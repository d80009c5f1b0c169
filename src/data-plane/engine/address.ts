// Socket addresses and address ranges, as messages of xDS have them.
import { addressBytes, cidrContains, plainAddress, type Cidr } from '#lib/address-bytes.ts'
import type { Address, CidrRange } from '../../../generated/types/envoy/config/core/v3/address_pb.ts'
import type { Notes } from './notes.ts'

export { addressBytes, cidrContains, plainAddress, type Cidr }

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** `1.2.3.4:80`, `[::1]:80` */
export function formatAddress(a: SocketAddress): string {
  return a.address.includes(':') ? `[${a.address}]:${a.port}` : `${a.address}:${a.port}`
}

export function compileCidr(range: CidrRange, notes: Notes): Cidr | undefined {
  const bytes = addressBytes(range.addressPrefix)
  const length = range.prefixLen ?? 0
  if (bytes === undefined || length > bytes.length * 8) {
    notes.error(`${range.addressPrefix}/${length} is no address range`)
    return undefined
  }
  return { bytes, length, text: `${range.addressPrefix}/${length}` }
}

/** A socket address of a message; errors are noted. */
export function compileAddress(address: Address | undefined, notes: Notes): SocketAddress | undefined {
  const found = address?.address
  if (found?.case !== 'socketAddress') {
    notes.error(`address ${found?.case ?? 'is missing'}: only socket_address is served`)
    return undefined
  }
  const port = found.value.portSpecifier.case === 'portValue' ? found.value.portSpecifier.value : 0
  return { address: found.value.address, port }
}
