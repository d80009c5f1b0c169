// Where calls go among localities: shares that a rule distributes, or priorities that later localities take over by.
// Istio: pilot/pkg/networking/core/loadbalancer (ApplyLocalityLoadBalancer). Failover needs outlier detection: without it nobody would notice that the nearest ones fail.
import type { PlanContext } from './context.ts'
import type { EffectivePolicy } from './traffic-policy.ts'
import type { Endpoint } from './types.ts'
import type { LoadBalancer } from '#api'

export type LocalitySetting = NonNullable<LoadBalancer['localityLbSetting']>

export interface Placed {
  readonly endpoints: readonly Endpoint[]
  readonly weights?: Readonly<Record<string, number>>
}

/** The rule's setting, else the mesh's; undefined: off. */
export function localitySetting(context: Pick<PlanContext, 'mesh'>, policy: EffectivePolicy): LocalitySetting | undefined {
  const own = policy.loadBalancer?.value.localityLbSetting
  const setting = own ?? (context.mesh.options.config.localityLbSetting as LocalitySetting | undefined) ?? {}
  return setting.enabled === false ? undefined : setting
}

/** A rule distributes the calls of this client. */
export function distributes(context: PlanContext, policy: EffectivePolicy): boolean {
  const from = context.client.locality
  return from !== undefined && (localitySetting(context, policy)?.distribute ?? []).some((d) => matches(from, d.from ?? ''))
}

export function placeByLocality(context: PlanContext, policy: EffectivePolicy, endpoints: readonly Endpoint[]): Placed {
  const setting = localitySetting(context, policy)
  const from = context.client.locality
  if (setting === undefined) return { endpoints }
  if ((setting.distribute ?? []).length > 0 && from !== undefined) return distributed(setting, from, endpoints)
  if (policy.outlierDetection === undefined) return { endpoints }
  const named = setting.failoverPriority ?? []
  const byLabels = named.length === 0 ? endpoints : compact(endpoints, (e) => labelPriority(named, context.client.labels, e))
  if (from === undefined || (named.length > 0 && (setting.failover ?? []).length === 0)) return { endpoints: byLabels }
  return { endpoints: compact(byLabels, (e) => (e.priority ?? 0) * 5 + localityPriority(from, e.locality ?? '', setting.failover ?? [])) }
}

/** Weights of what matches `to`; localities that nothing names get nothing. */
function distributed(setting: LocalitySetting, from: string, endpoints: readonly Endpoint[]): Placed {
  const rule = (setting.distribute ?? []).find((d) => matches(from, d.from ?? ''))
  if (rule === undefined) return { endpoints }
  const sizes = new Map<string, number>()
  for (const e of endpoints) sizes.set(e.locality ?? '', (sizes.get(e.locality ?? '') ?? 0) + e.weight)
  const weights: Record<string, number> = {}
  // The more is said of a place, the earlier it counts.
  for (const [to, weight] of Object.entries(rule.to ?? {}).sort(([a], [b]) => b.split('/').length - a.split('/').length || (a < b ? -1 : 1))) {
    const here = [...sizes].filter(([locality]) => weights[locality] === undefined && matches(locality, to))
    const total = here.reduce((sum, [, size]) => sum + size, 0)
    for (const [locality, size] of here) weights[locality] = Math.ceil((size * weight) / total)
  }
  return { endpoints: endpoints.filter((e) => (weights[e.locality ?? ''] ?? 0) > 0), weights: Object.fromEntries(Object.entries(weights).filter(([, w]) => w > 0).sort(([a], [b]) => (a < b ? -1 : 1))) }
}

/** `region/zone/*`, `region`, `*`: does the place lie within? */
function matches(locality: string, rule: string): boolean {
  const place = locality.split('/')
  return rule.split('/').every((part, i) => part === '*' || part === '' || part === (place[i] ?? ''))
}

/** 0 the same place, 1 the same zone, 2 the same region, 3 elsewhere, 4 elsewhere and not where the failover points. */
function localityPriority(from: string, to: string, failover: NonNullable<LocalitySetting['failover']>): number {
  const [a, b] = [from.split('/'), to.split('/')]
  const same = (i: number): boolean => (a[i] ?? '') === (b[i] ?? '')
  if (same(0)) return same(1) ? (same(2) ? 0 : 1) : 2
  const rule = failover.find((f) => f.from === a[0])
  return rule !== undefined && rule.to !== b[0] ? 4 : 3
}

/** How many of the labels, from the first one that differs on, are left: `name`, or `name=value` where the client's own value does not count. */
function labelPriority(named: readonly string[], client: Readonly<Record<string, string>>, e: Endpoint): number {
  const differs = named.findIndex((entry) => {
    const [name = '', value] = entry.split('=')
    return (value ?? labelOf(client, name)) !== labelOf(e.labels, name, e.locality)
  })
  return differs < 0 ? 0 : named.length - differs
}

const places = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone']

/** Where a pod stands is known of its node. */
function labelOf(labels: Readonly<Record<string, string>>, name: string, locality?: string): string | undefined {
  const place = places.indexOf(name)
  return labels[name] ?? (place < 0 ? undefined : (locality?.split('/')[place] ?? undefined))
}

/** Priorities without gaps, as Envoy wants them. */
function compact(endpoints: readonly Endpoint[], of: (e: Endpoint) => number): Endpoint[] {
  const ranks = [...new Set(endpoints.map(of))].sort((a, b) => a - b)
  return endpoints.map((e) => {
    const { priority: _, ...rest } = e
    const rank = ranks.indexOf(of(e))
    return rank === 0 ? rest : { ...rest, priority: rank }
  })
}
