// Which filter chain takes a connection: Envoy's order, one criterion after the other, the most specific entry of each, and no way back.
// Source: Envoy's documentation of FilterChainMatch. A connection that no chain takes goes to the default chain, or is closed.
import { addressBytes, cidrContains, compileCidr, type Cidr } from './address.ts'
import { fields, type Notes } from './notes.ts'
import type { FilterChainMatch } from '../../../generated/types/envoy/config/listener/v3/listener_components_pb.ts'

export interface ConnectionFacts {
  /** Original destination. */
  readonly destinationAddress: string
  readonly destinationPort: number
  readonly sourceAddress: string
  readonly sourcePort: number
  readonly transportProtocol: 'tls' | 'raw_buffer'
  /** SNI; '' = none. */
  readonly serverName: string
  /** ALPN of the ClientHello, or what the HTTP inspector saw. */
  readonly applicationProtocols: readonly string[]
}

interface Criteria {
  readonly port: number
  readonly destinations: readonly Cidr[]
  readonly serverNames: readonly string[]
  readonly transport: string
  readonly applications: readonly string[]
  readonly directSources: readonly Cidr[]
  readonly sourceType: number
  readonly sources: readonly Cidr[]
  readonly sourcePorts: readonly number[]
}

const served = fields('destination_port prefix_ranges server_names transport_protocol application_protocols direct_source_prefix_ranges source_type source_prefix_ranges source_ports')

export interface ChainEntry<C> {
  readonly criteria: Criteria
  readonly chain: C
}

/** One chain's criteria; the chain itself is the caller's. */
export function compileChainMatch<C>(match: FilterChainMatch | undefined, chain: C, notes: Notes): ChainEntry<C> {
  if (match !== undefined) notes.onlyServes(match, served)
  const ranges = (list: FilterChainMatch['prefixRanges'] | undefined) => (list ?? []).flatMap((r) => compileCidr(r, notes) ?? [])
  return {
    chain,
    criteria: {
      port: match?.destinationPort ?? 0,
      destinations: ranges(match?.prefixRanges),
      serverNames: (match?.serverNames ?? []).map((n) => n.toLowerCase()),
      transport: match?.transportProtocol ?? '',
      applications: match?.applicationProtocols ?? [],
      directSources: ranges(match?.directSourcePrefixRanges),
      sourceType: match?.sourceType ?? 0,
      sources: ranges(match?.sourcePrefixRanges),
      sourcePorts: match?.sourcePorts ?? [],
    },
  }
}

/** Two chains with the same criteria: Envoy refuses the listener, and so do we. */
export function duplicateCriteria(entries: readonly ChainEntry<unknown>[]): boolean {
  const seen = new Set<string>()
  for (const { criteria: c } of entries) {
    const texts = (list: readonly Cidr[]) => list.map((r) => r.text).sort()
    const key = JSON.stringify([c.port, texts(c.destinations), [...c.serverNames].sort(), c.transport, [...c.applications].sort(), texts(c.directSources), c.sourceType, texts(c.sources), [...c.sourcePorts].sort()])
    if (seen.has(key)) return true
    seen.add(key)
  }
  return false
}

/** The chain that takes this connection, or undefined. */
export function matchChain<C>(entries: readonly ChainEntry<C>[], facts: ConnectionFacts): C | undefined {
  let left = byPort(entries, facts.destinationPort)
  left = byRange(left, facts.destinationAddress, (c) => c.destinations)
  left = byServerName(left, facts.serverName.toLowerCase())
  left = prefer(left, (c) => c.transport === facts.transportProtocol, (c) => c.transport === '')
  left = byApplication(left, facts.applicationProtocols)
  left = byRange(left, facts.sourceAddress, (c) => c.directSources)
  left = bySourceType(left, facts)
  left = byRange(left, facts.sourceAddress, (c) => c.sources)
  left = prefer(left, (c) => c.sourcePorts.includes(facts.sourcePort), (c) => c.sourcePorts.length === 0)
  return left[0]?.chain
}

type Entries<C> = readonly ChainEntry<C>[]

/** Those that name the value, or, where none does, those that name nothing. */
function prefer<C>(entries: Entries<C>, named: (c: Criteria) => boolean, unnamed: (c: Criteria) => boolean): Entries<C> {
  const specific = entries.filter((e) => named(e.criteria))
  return specific.length > 0 ? specific : entries.filter((e) => unnamed(e.criteria))
}

function byPort<C>(entries: Entries<C>, port: number): Entries<C> {
  return prefer(entries, (c) => c.port === port && c.port !== 0, (c) => c.port === 0)
}

function byRange<C>(entries: Entries<C>, address: string, of: (c: Criteria) => readonly Cidr[]): Entries<C> {
  if (entries.every((e) => of(e.criteria).length === 0)) return entries
  const bytes = addressBytes(address)
  let best = -1
  let found: ChainEntry<C>[] = []
  for (const entry of entries) {
    const ranges = of(entry.criteria)
    let longest = ranges.length === 0 ? 0 : -1
    if (bytes !== undefined) for (const range of ranges) if (cidrContains(range, bytes)) longest = Math.max(longest, range.length + 1)
    if (longest < 0 || longest < best) continue
    if (longest > best) found = []
    best = longest
    found.push(entry)
  }
  return found
}

function byServerName<C>(entries: Entries<C>, name: string): Entries<C> {
  if (entries.every((e) => e.criteria.serverNames.length === 0)) return entries
  if (name !== '') {
    const exact = entries.filter((e) => e.criteria.serverNames.includes(name))
    if (exact.length > 0) return exact
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const wildcard = `*${name.slice(dot)}`
      const found = entries.filter((e) => e.criteria.serverNames.includes(wildcard))
      if (found.length > 0) return found
    }
  }
  return entries.filter((e) => e.criteria.serverNames.length === 0)
}

function byApplication<C>(entries: Entries<C>, offered: readonly string[]): Entries<C> {
  for (const protocol of offered) {
    const found = entries.filter((e) => e.criteria.applications.includes(protocol))
    if (found.length > 0) return found
  }
  return entries.filter((e) => e.criteria.applications.length === 0)
}

function bySourceType<C>(entries: Entries<C>, facts: ConnectionFacts): Entries<C> {
  const local = facts.sourceAddress === facts.destinationAddress || facts.sourceAddress.startsWith('127.') || facts.sourceAddress === '::1'
  return prefer(entries, (c) => c.sourceType === (local ? 1 : 2), (c) => c.sourceType === 0)
}
