// A rule set as `nft` and as `iptables-restore` read it: for people, for logs, and for kernels without nf_tables. Pure.
import { isIPv6 } from 'node:net'
import type { Match, NftChain, NftRule, NftTable, Statement } from '#netlink'

/** What `nft -f` takes: it replaces the table at once. */
export function formatNft(table: NftTable): string {
  const head = `table ${table.family} ${table.name}`
  const chains = table.chains.map((c) => {
    const hook = c.hook === undefined ? [] : [`    type ${c.hook.type} hook ${c.hook.hook} priority ${c.hook.priority}; policy accept;`]
    return [`  chain ${c.name} {`, ...hook, ...c.rules.map((r) => `    ${[...r.match.map(nftMatch), ...r.statements.map(nftStatement)].join(' ')}`), '  }'].join('\n')
  })
  return [`${head}`, `delete ${head}`, `${head} {`, ...chains, '}', ''].join('\n')
}

function nftMatch(m: Match): string {
  const not = 'not' in m && m.not === true ? '!= ' : ''
  switch (m.match) {
    case 'protocol':
      return `meta l4proto ${m.protocol}`
    case 'family':
      return `meta nfproto ${m.family === 'ip' ? 'ipv4' : 'ipv6'}`
    case 'destination port':
      return `th dport ${not}${m.port}`
    case 'source port':
      return `th sport ${not}${m.port}`
    case 'destination':
    case 'source':
      return `${isIPv6(m.cidr.split('/')[0] as string) ? 'ip6' : 'ip'} ${m.match === 'source' ? 'saddr' : 'daddr'} ${not}${m.cidr}`
    case 'in interface':
      return `iifname ${not}"${m.name}"`
    case 'out interface':
      return `oifname ${not}"${m.name}"`
    case 'uid':
      return `meta skuid ${not}${m.value}`
    case 'gid':
      return `meta skgid ${not}${m.value}`
    case 'mark':
      return `meta mark ${not}0x${m.value.toString(16)}`
    case 'chance':
      return `numgen random mod ${m.of} 0`
  }
}

function nftStatement(s: Statement): string {
  switch (s.do) {
    case 'count':
      return 'counter'
    case 'jump':
      return `jump ${s.chain}`
    case 'redirect':
      return `redirect to :${s.port}`
    case 'dnat':
      return `dnat ${isIPv6(s.address) ? 'ip6' : 'ip'} to ${isIPv6(s.address) ? `[${s.address}]` : s.address}${s.port === undefined ? '' : `:${s.port}`}`
    case 'mark':
      return `meta mark set 0x${s.value.toString(16)}`
    default:
      return s.do
  }
}

/** What `iptables-restore --noflush` (or ip6tables-restore) takes for the nat table: this family's share of the rules, chains in Istio's names. */
export function formatIptables(table: NftTable, family: 'ip' | 'ip6'): string {
  const own = table.chains.filter((c) => c.hook === undefined)
  const lines = table.chains.flatMap((c) => c.rules.filter((r) => belongs(r, family)).map((r) => `-A ${iptablesChain(c)} ${[...r.match.flatMap(iptablesMatch), iptablesTarget(r)].join(' ')}`))
  return ['*nat', ...own.map((c) => `:${iptablesChain(c)} - [0:0]`), ...lines, 'COMMIT', ''].join('\n')
}

function iptablesChain(chain: NftChain): string {
  return iptablesName(chain.name)
}

const iptablesName = (name: string): string => name.toUpperCase().replaceAll('-', '_')

function belongs(rule: NftRule, family: 'ip' | 'ip6'): boolean {
  return rule.match.every((m) => {
    if (m.match === 'family') return m.family === family
    return m.match === 'destination' || m.match === 'source' ? isIPv6(m.cidr.split('/')[0] as string) === (family === 'ip6') : true
  })
}

function iptablesMatch(m: Match): string[] {
  const not = 'not' in m && m.not === true ? '! ' : ''
  switch (m.match) {
    case 'protocol':
      return [`-p ${m.protocol}`]
    case 'family':
      return []
    case 'destination port':
      return [`${not}--dport ${m.port}`]
    case 'source port':
      return [`${not}--sport ${m.port}`]
    case 'destination':
      return [`${not}-d ${m.cidr}`]
    case 'source':
      return [`${not}-s ${m.cidr}`]
    case 'in interface':
      return [`${not}-i ${m.name}`]
    case 'out interface':
      return [`${not}-o ${m.name}`]
    case 'uid':
      return [`-m owner ${not}--uid-owner ${m.value}`]
    case 'gid':
      return [`-m owner ${not}--gid-owner ${m.value}`]
    case 'mark':
      return [`-m mark ${not}--mark 0x${m.value.toString(16)}`]
    case 'chance':
      return [`-m statistic --mode random --probability ${(1 / m.of).toFixed(11)}`]
  }
}

/** iptables counts every rule by itself and has one target a rule. */
function iptablesTarget(rule: NftRule): string {
  const s = rule.statements.find((t) => t.do !== 'count')
  if (s === undefined) return ''
  switch (s.do) {
    case 'jump':
      return `-j ${iptablesName(s.chain)}`
    case 'redirect':
      return `-j REDIRECT --to-ports ${s.port}`
    case 'dnat':
      return `-j DNAT --to-destination ${isIPv6(s.address) ? `[${s.address}]` : s.address}${s.port === undefined ? '' : `:${s.port}`}`
    case 'mark':
      return `-j MARK --set-mark 0x${s.value.toString(16)}`
    default:
      return `-j ${s.do.toUpperCase()}`
  }
}
