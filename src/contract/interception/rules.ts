// Options → rules, in Istio's order; that order is the meaning. Pure.
// Law: a connection of the application leaves the pod only through the sidecar, one of the sidecar never meets it again,
// but for a pod that calls itself by its service: that one comes in by the front door (15006), as a stranger's would.
import { isIPv6 } from 'node:net'
import type { Match, NftChain, NftRule, NftTable } from '#netlink'
import { sidecarPorts, type Exemption, type InterceptionOptions } from './options.ts'

/** `from`: the option that made the rule; absent: it is in every set. Kernel and printers do not look at it. */
export interface InterceptionRule extends NftRule {
  readonly from?: keyof InterceptionOptions
}

const hbonePort = 15008
const tcp: Match = { match: 'protocol', protocol: 'tcp' }
const toPort = (port: number): Match[] => [tcp, { match: 'destination port', port }]
const loopback: Match = { match: 'out interface', name: 'lo' }
const returns: NftRule['statements'] = [{ do: 'return' }]
const jump = (chain: string): NftRule['statements'] => [{ do: 'jump', chain }]
/** Where an inbound sidecar speaks to its application from, and what an application calls its own. */
const passthroughSource = { ip: '127.0.0.6', ip6: '::6' }
const localhost = { ip: '127.0.0.1', ip6: '::1' }
/** nat at the place where iptables' chains sit; nft's name `dstnat` is refused in the output hook. */
const natPriority = -100

export function interceptionRules(options: InterceptionOptions = {}): NftTable {
  const families = options.families ?? ['ip', 'ip6']
  const redirect = (name: string, port: number): NftChain => ({ name, rules: [{ match: [tcp], statements: [{ do: 'count' }, { do: 'redirect', port }] }] })
  return {
    family: families.length === 1 ? (families[0] as 'ip' | 'ip6') : 'inet',
    name: 'kith',
    chains: [
      redirect('istio-redirect', options.outboundPort ?? 15001),
      redirect('istio-in-redirect', options.inboundPort ?? 15006),
      { name: 'istio-inbound', rules: inbound(options) },
      { name: 'istio-output', rules: outbound(options, families) },
      { name: 'prerouting', hook: { type: 'nat', hook: 'prerouting', priority: natPriority }, rules: prerouting(options) },
      { name: 'output', hook: { type: 'nat', hook: 'output', priority: natPriority }, rules: [{ match: [tcp], statements: jump('istio-output') }] },
    ],
  }
}

function prerouting(options: InterceptionOptions): InterceptionRule[] {
  const from = (name: string): Match => ({ match: 'in interface', name })
  return [
    ...(options.excludeInterfaces ?? []).map((name) => ({ match: [from(name)], statements: returns, from: 'excludeInterfaces' as const })),
    ...(options.virtualInterfaces ?? []).flatMap((name) => {
      const included = options.includeOutboundCidrs ?? '*'
      const to = included === '*' ? [[tcp]] : included.map((cidr): Match[] => [{ match: 'destination', cidr }, tcp])
      return [...to.map((m) => ({ match: [from(name), ...m], statements: jump('istio-redirect'), from: 'virtualInterfaces' as const })), { match: [from(name)], statements: returns, from: 'includeOutboundCidrs' as const }]
    }),
    ...(wantsInbound(options) ? [{ match: [tcp], statements: jump('istio-inbound') }] : []),
  ]
}

function wantsInbound(options: InterceptionOptions): boolean {
  return options.includeInboundPorts === undefined || options.includeInboundPorts.length > 0
}

function inbound(options: InterceptionOptions): InterceptionRule[] {
  const included = options.includeInboundPorts ?? '*'
  if (included !== '*') return included.map((port) => ({ match: toPort(port), statements: jump('istio-in-redirect'), from: 'includeInboundPorts' }))
  const own = [hbonePort, ...sidecarPorts]
  const excluded = [...new Set(options.excludeInboundPorts ?? [])].filter((port) => !sidecarPorts.includes(port))
  return [
    ...own.map((port) => ({ match: toPort(port), statements: returns })),
    ...excluded.map((port) => ({ match: toPort(port), statements: returns, from: 'excludeInboundPorts' as const })),
    { match: [tcp], statements: jump('istio-in-redirect') },
  ]
}

function outbound(options: InterceptionOptions, families: readonly ('ip' | 'ip6')[]): InterceptionRule[] {
  const of = (cidrs: readonly string[]): readonly string[] => cidrs.filter((c) => families.includes(isIPv6(c.split('/')[0] as string) ? 'ip6' : 'ip'))
  const included = options.includeOutboundCidrs ?? '*'
  return [
    ...(options.excludeInterfaces ?? []).map((name) => ({ match: [{ match: 'out interface', name } as const], statements: returns, from: 'excludeInterfaces' as const })),
    ...(options.excludeOutboundPorts ?? []).map((port) => ({ match: toPort(port), statements: returns, from: 'excludeOutboundPorts' as const })),
    ...families.map((f) => ({ match: [loopback, { match: 'source', cidr: passthroughSource[f] } as const], statements: returns })),
    ...sidecarsOwn(options.exemption ?? { by: 'owner', uid: 1337, gid: 1337 }, families),
    ...families.map((f) => ({ match: [{ match: 'destination', cidr: localhost[f] } as const], statements: returns })),
    ...of(options.excludeOutboundCidrs ?? []).map((cidr) => ({ match: [{ match: 'destination', cidr } as const], statements: returns, from: 'excludeOutboundCidrs' as const })),
    ...(options.includeOutboundPorts ?? []).map((port) => ({ match: toPort(port), statements: jump('istio-redirect'), from: 'includeOutboundPorts' as const })),
    ...(included === '*' ? [{ match: [tcp], statements: jump('istio-redirect') }] : of(included).map((cidr) => ({ match: [{ match: 'destination', cidr } as const], statements: jump('istio-redirect'), from: 'includeOutboundCidrs' as const }))),
  ]
}

function sidecarsOwn(exemption: Exemption, families: readonly ('ip' | 'ip6')[]): InterceptionRule[] {
  const owners: Match[] = exemption.by === 'mark' ? [{ match: 'mark', value: exemption.mark }] : [{ match: 'uid', value: exemption.uid }, { match: 'gid', value: exemption.gid }]
  return owners.flatMap((own) => [
    ...families.map((f): InterceptionRule => ({
      match: [loopback, { match: 'destination', cidr: localhost[f], not: true }, tcp, { match: 'destination port', port: hbonePort, not: true }, own],
      statements: jump('istio-in-redirect'), from: 'exemption',
    })),
    { match: [loopback, { ...own, not: true } as Match], statements: returns },
    { match: [own], statements: returns, from: 'exemption' as const },
  ])
}
