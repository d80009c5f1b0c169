// Where a rule set leads a connection: what the kernel makes of the rules, chain by chain. Pure. Source:
// nft(8) and iptables(8): the first rule of a chain that matches decides; `return` goes on after the jump; a
// hooked chain's end accepts.
import { isIPv6 } from 'node:net'
import { addressBytes, cidrContains } from '#lib/address-bytes.ts'
import type { Match, NftChain, NftTable } from '#netlink'
import type { InterceptionOptions } from './options.ts'
import type { InterceptionRule } from './rules.ts'

/** The first packet of a connection, in the pod's network namespace. */
export interface Connection {
  /** `output`: a process of the pod opens it; `prerouting`: it arrives from outside the pod. */
  readonly hook: 'output' | 'prerouting'
  readonly protocol: 'tcp' | 'udp'
  readonly destination: string
  readonly port: number
  /** Of the opening side. Absent: some address that no rule names. */
  readonly source?: string
  /** The interface by which it leaves or arrives: `lo`, `eth0`. */
  readonly interface: string
  /** Whose process opens it; of what arrives nobody knows it. */
  readonly owner?: { readonly uid: number; readonly gid: number; readonly mark?: number }
}

export interface Passage {
  /** The sidecar's port that the connection comes out at; null: it goes where the application sent it. */
  readonly redirectedTo: number | null
  /** The option that decided it; null: a rule that every pod has. */
  readonly option: keyof InterceptionOptions | null
}

type Outcome = { readonly redirect?: number; readonly rule?: InterceptionRule }

export function passage(table: NftTable, connection: Connection): Passage {
  const start = table.chains.find((c) => c.hook?.hook === connection.hook && c.hook.type === 'nat')
  const { redirect, rule } = start === undefined ? {} : follow(table, start, connection)
  if (redirect !== undefined) return { redirectedTo: redirect, option: rule?.from ?? null }
  // Without a rule that matched, the lists of what to include have left it out.
  const leftOut =
    connection.protocol === 'udp'
      ? null
      : connection.hook === 'output'
        ? 'includeOutboundCidrs'
        : 'includeInboundPorts'
  return { redirectedTo: null, option: rule === undefined ? leftOut : (rule.from ?? null) }
}

/** `rule`: the last one that had a say. */
function follow(table: NftTable, chain: NftChain, connection: Connection): Outcome {
  let last: InterceptionRule | undefined
  for (const rule of chain.rules as readonly InterceptionRule[]) {
    if (!rule.match.every((m) => matches(m, table.family, connection))) continue
    for (const statement of rule.statements) {
      if (statement.do === 'redirect') return { redirect: statement.port }
      if (statement.do === 'return' || statement.do === 'accept') return { rule }
      if (statement.do !== 'jump') continue
      const target = table.chains.find((c) => c.name === statement.chain)
      const outcome = target === undefined ? {} : follow(table, target, connection)
      if (outcome.redirect !== undefined)
        return { redirect: outcome.redirect, rule: outcome.rule?.from === undefined ? rule : outcome.rule }
      last = outcome.rule ?? last
    }
  }
  return last === undefined ? {} : { rule: last }
}

function matches(m: Match, family: NftTable['family'], c: Connection): boolean {
  if (family !== 'inet' && (family === 'ip6') !== isIPv6(c.destination)) return false
  const holds = (is: boolean, not: boolean | undefined): boolean => is !== (not === true)
  switch (m.match) {
    case 'protocol':
      return m.protocol === c.protocol
    case 'family':
      return (m.family === 'ip6') === isIPv6(c.destination)
    case 'destination port':
      return holds(m.port === c.port, m.not)
    case 'source port':
      return holds(false, m.not)
    case 'destination':
      // A packet of the other family matches neither the network nor its negation.
      return (
        isIPv6(networkOf(m.cidr)) === isIPv6(c.destination) && holds(contains(m.cidr, c.destination), m.not)
      )
    case 'source':
      return (
        isIPv6(networkOf(m.cidr)) === isIPv6(c.destination) &&
        holds(c.source !== undefined && contains(m.cidr, c.source), m.not)
      )
    case 'in interface':
      return c.hook === 'prerouting' && holds(m.name === c.interface, m.not)
    case 'out interface':
      return c.hook === 'output' && holds(m.name === c.interface, m.not)
    case 'uid':
      return c.owner !== undefined && holds(m.value === c.owner.uid, m.not)
    case 'gid':
      return c.owner !== undefined && holds(m.value === c.owner.gid, m.not)
    case 'mark':
      return holds(m.value === (c.owner?.mark ?? 0), m.not)
    case 'chance':
      return m.of === 1
  }
}

const networkOf = (cidr: string): string => cidr.split('/')[0] as string

/** `10.0.0.0/8`, or an address alone. Of another family: false. */
export function contains(cidr: string, address: string): boolean {
  const [prefix = '', length] = cidr.split('/')
  const [network, bytes] = [addressBytes(prefix), addressBytes(address)]
  if (network === undefined || bytes === undefined || network.length !== bytes.length) return false
  const bits = length === undefined ? network.length * 8 : Number(length)
  return cidrContains({ bytes: network, length: bits, text: cidr }, bytes)
}
