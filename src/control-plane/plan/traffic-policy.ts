// The policy of one cluster: a port's entry replaces the general one whole; a subset's blocks are laid over it.
// Istio: util.GetPortLevelTrafficPolicy, MergeSubsetTrafficPolicy.
import type { ClientTls, ConnectionPoolSettings, DestinationRule, LoadBalancer, OutlierDetectionSettings, TrafficPolicy } from '#api'
import type { MergedRule } from './destination-rules.ts'

export interface Sourced<T> {
  readonly value: T
  readonly from: DestinationRule
  readonly path: string
}

/** The blocks in force for one port (and subset), each with the place that said so. */
export interface EffectivePolicy {
  readonly tls?: Sourced<ClientTls>
  readonly loadBalancer?: Sourced<LoadBalancer>
  readonly connectionPool?: Sourced<ConnectionPoolSettings>
  readonly outlierDetection?: Sourced<OutlierDetectionSettings>
  /** General tls settings that a port's entry without any has replaced. */
  readonly replacedTls?: Sourced<ClientTls>
  /** The mode that endpoints are marked by: the port's, else the general one, also where the entry replaced it. */
  readonly endpointTls?: Sourced<ClientTls>
}

const blocks = ['tls', 'loadBalancer', 'connectionPool', 'outlierDetection'] as const
type Block = (typeof blocks)[number]

export function effectivePolicy(rule: MergedRule | undefined, port: number, subset: string | null): EffectivePolicy {
  if (rule === undefined) return {}
  const general = rule.policy === undefined ? {} : atPort(rule.policy.value, rule.policy.from, 'spec.trafficPolicy', port).policy
  if (subset === null) return general
  const found = rule.subsets.find((s) => s.value.name === subset)
  if (found?.value.trafficPolicy === undefined) return general
  const own = atPort(found.value.trafficPolicy, found.from, `spec.subsets[${found.index}].trafficPolicy`, port)
  const merged: Record<string, unknown> = { ...general }
  for (const block of blocks) {
    if (own.policy[block] !== undefined) merged[block] = own.policy[block]
    else if (own.portLevel) delete merged[block]
  }
  if (own.policy.endpointTls !== undefined) merged['endpointTls'] = own.policy.endpointTls
  if (own.policy.replacedTls !== undefined) merged['replacedTls'] = own.policy.replacedTls
  return merged as EffectivePolicy
}

function atPort(policy: TrafficPolicy, from: DestinationRule, path: string, port: number): { policy: EffectivePolicy; portLevel: boolean } {
  const index = (policy.portLevelSettings ?? []).findIndex((p) => p.port?.number === port)
  const entry = policy.portLevelSettings?.[index]
  const sourced = (part: Partial<Record<Block, unknown>>, at: string): EffectivePolicy =>
    Object.fromEntries(blocks.filter((b) => part[b] !== undefined).map((b) => [b, { value: part[b], from, path: `${at}.${b}` }])) as EffectivePolicy
  const general = sourced(policy, path)
  if (entry === undefined) return { policy: { ...general, ...(general.tls === undefined ? {} : { endpointTls: general.tls }) }, portLevel: false }
  const own = sourced(entry, `${path}.portLevelSettings[${index}]`)
  const endpointTls = own.tls ?? general.tls
  return {
    portLevel: true,
    policy: { ...own, ...(endpointTls === undefined ? {} : { endpointTls }), ...(own.tls === undefined && general.tls !== undefined ? { replacedTls: general.tls } : {}) },
  }
}
