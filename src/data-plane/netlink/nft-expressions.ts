// What a rule says, as nf_tables' expressions: little programs over registers. Pure.
// Law: attributes' own numbers are big-endian; data that is compared with a meta value is in host order, with packet bytes as on the wire.
import { attribute, be16, be32, le32, nested, text } from './message.ts'
import { addressBytes } from './links.ts'

export type Match =
  | { readonly match: 'protocol'; readonly protocol: 'tcp' | 'udp' }
  | { readonly match: 'family'; readonly family: 'ip' | 'ip6' }
  | { readonly match: 'destination port' | 'source port'; readonly port: number; readonly not?: boolean }
  /** One address or CIDR; says `family` by itself. */
  | { readonly match: 'destination' | 'source'; readonly cidr: string; readonly not?: boolean }
  | { readonly match: 'out interface' | 'in interface'; readonly name: string; readonly not?: boolean }
  | { readonly match: 'uid' | 'gid' | 'mark'; readonly value: number; readonly not?: boolean }
  /** Holds for one connection of `of`, by chance. */
  | { readonly match: 'chance'; readonly of: number }

export type Statement =
  | { readonly do: 'count' }
  | { readonly do: 'return' | 'accept' | 'drop' }
  | { readonly do: 'jump'; readonly chain: string }
  | { readonly do: 'redirect'; readonly port: number }
  | { readonly do: 'dnat'; readonly address: string; readonly port?: number }
  | { readonly do: 'masquerade' }
  | { readonly do: 'mark'; readonly value: number }

const register1 = 1
const register2 = 2
const metaKeys = { mark: 3, inName: 6, outName: 7, uid: 10, gid: 11, nfproto: 15, l4proto: 16 }
const comparisons = { equal: 0, unequal: 1 }
const verdicts = { drop: 0, accept: 1, return: -5 }
const NFT_JUMP = -3
const protocols = { tcp: 6, udp: 17 }
const networkHeader = 1
const transportHeader = 2
const interfaceNameBytes = 16

export function expressions(match: readonly Match[], statements: readonly Statement[]): Buffer[] {
  return [...match.flatMap(matchExpressions), ...statements.flatMap(statementExpressions)]
}

/** NFTA_LIST_ELEM { NFTA_EXPR_NAME, NFTA_EXPR_DATA } */
function expression(name: string, ...data: readonly Buffer[]): Buffer {
  return nested(1, text(1, name), nested(2, ...data))
}

const register = (attributeType: number, number: number): Buffer => attribute(attributeType, be32(number))
const load = (key: number): Buffer => expression('meta', attribute(2, be32(key)), register(1, register1))
const payload = (header: number, offset: number, length: number): Buffer => expression('payload', register(1, register1), attribute(2, be32(header)), attribute(3, be32(offset)), attribute(4, be32(length)))
const compare = (value: Buffer, not = false): Buffer => expression('cmp', register(1, register1), attribute(2, be32(not ? comparisons.unequal : comparisons.equal)), nested(3, attribute(1, value)))
const masked = (mask: Buffer): Buffer => expression('bitwise', register(1, register1), register(2, register1), attribute(3, be32(mask.length)), nested(4, attribute(1, mask)), nested(5, attribute(1, Buffer.alloc(mask.length))))
const immediate = (into: number, value: Buffer): Buffer => expression('immediate', register(1, into), nested(2, attribute(1, value)))
const verdict = (...data: readonly Buffer[]): Buffer => expression('immediate', register(1, 0), nested(2, nested(2, ...data)))

function matchExpressions(m: Match): Buffer[] {
  switch (m.match) {
    case 'protocol':
      return [load(metaKeys.l4proto), compare(Buffer.from([protocols[m.protocol]]))]
    case 'family':
      return [load(metaKeys.nfproto), compare(Buffer.from([m.family === 'ip' ? 2 : 10]))]
    case 'source port':
    case 'destination port':
      return [payload(transportHeader, m.match === 'source port' ? 0 : 2, 2), compare(be16(m.port), m.not)]
    case 'source':
    case 'destination':
      return addressExpressions(m.cidr, m.match === 'source', m.not ?? false)
    case 'in interface':
    case 'out interface': {
      const name = Buffer.alloc(interfaceNameBytes)
      name.write(m.name)
      return [load(m.match === 'in interface' ? metaKeys.inName : metaKeys.outName), compare(name, m.not)]
    }
    case 'uid':
    case 'gid':
    case 'mark':
      return [load(metaKeys[m.match]), compare(le32(m.value), m.not)]
    case 'chance':
      return [expression('numgen', register(1, register1), attribute(2, be32(m.of)), attribute(3, be32(1)), attribute(4, be32(0))), compare(le32(0))]
  }
}

function addressExpressions(cidr: string, source: boolean, not: boolean): Buffer[] {
  const [address = '', length] = cidr.split('/')
  const bytes = addressBytes(address)
  const bits = length === undefined ? bytes.length * 8 : Number(length)
  const offset = bytes.length === 4 ? (source ? 12 : 16) : source ? 8 : 24
  const family = matchExpressions({ match: 'family', family: bytes.length === 4 ? 'ip' : 'ip6' })
  if (bits === 0) return family
  const mask = Buffer.from(bytes.map((_, i) => 0xff & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i)))))
  const network = Buffer.from(bytes.map((b, i) => b & (mask[i] as number)))
  return [...family, payload(networkHeader, offset, bytes.length), ...(bits === bytes.length * 8 ? [] : [masked(mask)]), compare(network, not)]
}

function statementExpressions(s: Statement): Buffer[] {
  switch (s.do) {
    case 'count':
      return [expression('counter')]
    case 'return':
    case 'accept':
    case 'drop':
      return [verdict(attribute(1, be32(verdicts[s.do])))]
    case 'jump':
      return [verdict(attribute(1, be32(NFT_JUMP)), text(2, s.chain))]
    case 'redirect':
      return [immediate(register1, be16(s.port)), expression('redir', register(1, register1))]
    case 'dnat':
      return destinationNat(s.address, s.port)
    case 'masquerade':
      return [expression('masq')]
    case 'mark':
      return [immediate(register1, le32(s.value)), expression('meta', attribute(2, be32(metaKeys.mark)), register(3, register1))]
  }
}

function destinationNat(address: string, port: number | undefined): Buffer[] {
  const bytes = addressBytes(address)
  const type = attribute(1, be32(1))
  const family = attribute(2, be32(bytes.length === 4 ? 2 : 10))
  const portRegister = port === undefined ? [] : [register(5, register2)]
  return [immediate(register1, bytes), ...(port === undefined ? [] : [immediate(register2, be16(port))]), expression('nat', type, family, register(3, register1), ...portRegister)]
}
