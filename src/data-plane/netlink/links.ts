// rtnetlink: links, addresses and routes as messages. Pure; `configureLinks` sends them.
import { isIPv6 } from 'node:net'
import { NETLINK_ROUTE, openChannel } from './channel.ts'
import { attribute, le32, nested, NLM_F_CREATE, NLM_F_EXCL, text, type Message } from './message.ts'

export type LinkChange =
  /** `index` may be chosen in a new namespace, so that nobody has to ask for it. */
  | { readonly kind: 'bridge'; readonly name: string; readonly index: number }
  | { readonly kind: 'veth'; readonly name: string; readonly index: number; readonly bridge?: number; readonly peer: { readonly name: string; readonly index: number; readonly namespace: number } }
  | { readonly kind: 'up'; readonly index: number }
  | { readonly kind: 'delete'; readonly index: number }
  | { readonly kind: 'address'; readonly index: number; readonly address: string; readonly prefixLength: number }
  /** Without `gateway` the destination is on the link. `destination: 'default'` or CIDR. */
  | { readonly kind: 'route'; readonly index: number; readonly destination: string; readonly gateway?: string }

const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_NEWADDR = 20
const RTM_NEWROUTE = 24
const IFLA_IFNAME = 3
const IFLA_MASTER = 10
const IFLA_LINKINFO = 18
const IFLA_NET_NS_FD = 28
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const IFF_UP = 1
const AF_INET = 2
const AF_INET6 = 10
const RT_TABLE_MAIN = 254
const RTPROT_STATIC = 4
const RT_SCOPE_UNIVERSE = 0
const RT_SCOPE_LINK = 253
const RTN_UNICAST = 1
const IFA_F_NODAD = 2
export const loopbackIndex = 1

export function linkMessage(change: LinkChange): Message {
  const created = NLM_F_CREATE | NLM_F_EXCL
  switch (change.kind) {
    case 'bridge': {
      const body = [linkHeader(change.index), text(IFLA_IFNAME, change.name), nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, 'bridge'))]
      return { type: RTM_NEWLINK, flags: created, body: Buffer.concat(body), what: `new bridge ${change.name}` }
    }
    case 'veth': {
      const peer = [linkHeader(change.peer.index), text(IFLA_IFNAME, change.peer.name), attribute(IFLA_NET_NS_FD, le32(change.peer.namespace))]
      const info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, 'veth'), nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, ...peer)))
      const master = change.bridge === undefined ? [] : [attribute(IFLA_MASTER, le32(change.bridge))]
      return { type: RTM_NEWLINK, flags: created, body: Buffer.concat([linkHeader(change.index), text(IFLA_IFNAME, change.name), ...master, info]), what: `new veth ${change.name}` }
    }
    case 'up':
      return { type: RTM_NEWLINK, flags: 0, body: linkHeader(change.index, IFF_UP), what: `link ${change.index} up` }
    case 'delete':
      return { type: RTM_DELLINK, flags: 0, body: linkHeader(change.index), what: `delete link ${change.index}` }
    case 'address':
      return addressMessage(change.index, change.address, change.prefixLength)
    case 'route':
      return routeMessage(change.index, change.destination, change.gateway)
  }
}

/** struct ifinfomsg: family, type, index, flags, and which flags change. */
function linkHeader(index: number, flags = 0): Buffer {
  const b = Buffer.alloc(16)
  b.writeInt32LE(index, 4)
  b.writeUInt32LE(flags, 8)
  b.writeUInt32LE(flags, 12)
  return b
}

function addressMessage(index: number, address: string, prefixLength: number): Message {
  const six = isIPv6(address)
  const b = Buffer.alloc(8)
  b[0] = six ? AF_INET6 : AF_INET
  b[1] = prefixLength
  b[2] = six ? IFA_F_NODAD : 0
  b.writeUInt32LE(index, 4)
  const bytes = addressBytes(address)
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, body: Buffer.concat([b, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)]), what: `address ${address}/${prefixLength} on link ${index}` }
}

function routeMessage(index: number, destination: string, gateway?: string): Message {
  const [network = '', length = '0'] = destination === 'default' ? [] : destination.split('/')
  const six = isIPv6(network === '' ? (gateway ?? '') : network)
  const b = Buffer.alloc(12)
  b[0] = six ? AF_INET6 : AF_INET
  b[1] = Number(length)
  b[4] = RT_TABLE_MAIN
  b[5] = RTPROT_STATIC
  b[6] = gateway === undefined && !six ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
  b[7] = RTN_UNICAST
  const body = [b, ...(network === '' ? [] : [attribute(RTA_DST, addressBytes(network))]), ...(gateway === undefined ? [] : [attribute(RTA_GATEWAY, addressBytes(gateway))]), attribute(RTA_OIF, le32(index))]
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL, body: Buffer.concat(body), what: `route to ${destination}` }
}

/** An IP address in network order, 4 or 16 bytes. */
export function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number))
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const whole = dotted === null ? address : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
  const [head = '', tail] = whole.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  const b = Buffer.alloc(16)
  groups.forEach((g, i) => b.writeUInt16BE(Number.parseInt(g, 16), 2 * i))
  return b
}

/** Applies changes to the calling thread's network namespace, in order, an ACK each. @throws SystemCallError for the first one refused */
export function configureLinks(changes: readonly LinkChange[]): void {
  if (changes.length === 0) return
  const channel = openChannel(NETLINK_ROUTE)
  try {
    channel.request(changes.map(linkMessage), 'each')
  } finally {
    channel.close()
  }
}
