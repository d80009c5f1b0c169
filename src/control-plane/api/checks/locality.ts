// localityLbSetting: https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
import type { LoadBalancer } from '../kinds/traffic-policy.ts'
import type { Findings } from './findings.ts'

type Locality = NonNullable<LoadBalancer['localityLbSetting']>

export function checkLocality(found: Findings, path: string, setting: Locality | undefined, hasOutlier: boolean): void {
  if (setting === undefined) return
  const { distribute = [], failover = [], failoverPriority = [] } = setting
  if (distribute.length > 0 && failover.length > 0) return found.error(`${path}.failover`, 'distribute and failover exclude one another')
  const topology = failover.length === 0 ? -1 : failoverPriority.findIndex(isTopology)
  if (topology !== -1) return found.error(`${path}.failoverPriority[${topology}]`, 'a topology label can’t stand here beside failover')
  distribute.forEach(({ to = {} }, i) => {
    const weights = Object.entries(to)
    const odd = weights.find(([, weight]) => weight < 1 || weight > 100)
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
    if (odd !== undefined) found.error(`${path}.distribute[${i}].to.${odd[0]}`, 'a weight must be from 1 to 100')
    else if (total !== 100) found.error(`${path}.distribute[${i}].to`, `the weights add up to ${total}, not to 100`)
    else found.error(`${path}.distribute[${i}].to`, overlapFault(Object.keys(to)))
  })
  found.error(`${path}.distribute`, overlapFault(distribute.map((d) => d.from ?? '')))
  checkFailover(found, path, setting, hasOutlier)
}

/** Regions and zones are balanced between anyway. */
export function checkZoneAware(found: Findings, path: string, setting: LoadBalancer['zoneAwareLbSetting'], hasOutlier: boolean): void {
  setting?.failoverPriority?.forEach((label, i) => found.error(`${path}.failoverPriority[${i}]`, isTopology(label) ? 'a topology label can’t stand here' : undefined))
  if (setting !== undefined) checkFailover(found, path, setting, hasOutlier)
}

const isTopology = (label: string): boolean => /^topology\.(kubernetes\.io\/(region|zone)|istio\.io\/subzone)$/.test(label)

interface Failover { readonly failover?: readonly { readonly from?: string; readonly to?: string }[]; readonly failoverPriority?: readonly string[] }

function checkFailover(found: Findings, path: string, { failover = [], failoverPriority = [] }: Failover, hasOutlier: boolean): void {
  if ((failover.length > 0 || failoverPriority.length > 0) && !hasOutlier) found.warn(path, 'failover needs outlierDetection')
  failover.forEach(({ from = '', to = '' }, i) => {
    const at = `${path}.failover[${i}]`
    if (from === to) found.error(at, 'from and to must be different regions')
    if (from.includes('/') || to.includes('/')) found.error(at, 'failover names regions, without zones')
    if (from.includes('*') || to.includes('*')) found.error(at, 'failover takes no wildcard')
  })
}

/** `region/zone/subzone`, each once; one wildcard, at the end. */
function overlapFault(localities: readonly string[]): string | undefined {
  const seen: string[][] = []
  for (const locality of localities) {
    const parts = locality.split('/').slice(0, 3)
    if (/\*/.test(locality) && (locality.split('*').length > 2 || !locality.endsWith('*'))) return `the locality ${locality} may have one *, at its end`
    if (parts.includes('')) return `the locality ${JSON.stringify(locality)} has an empty part`
    const within = (a: readonly string[], b: readonly string[]): boolean => a.every((part, i) => part === '*' || part === b[i])
    const plain = parts.at(-1) === '*' ? parts.slice(0, -1) : parts
    if (seen.some((other) => within(other, plain) || within(plain, other))) return `the locality ${locality} overlaps with another`
    seen.push(plain)
  }
  return undefined
}
