// Which endpoints a request chooses among: the priority that takes it, then, where localities have weights, the locality.
// Law: pure; chance comes in as arguments. Envoy: a priority that is not wholly healthy hands on what it can't carry, with 40 % to spare.
import type { RuntimeCluster } from './clusters.ts'
import type { RuntimeEndpoint } from './endpoints.ts'

export interface Placed {
  readonly endpoint: Pick<RuntimeEndpoint, 'priority' | 'locality' | 'localityWeight'>
}

export interface Group<H> {
  /** Shares add up to 1 over the groups. */
  readonly share: number
  readonly hosts: readonly H[]
}

const overprovisioning = 1.4

/** Whom a cluster's next request may go to: by priority and locality; everybody alike in panic, when too few of all are healthy. */
export function servingGroups<H extends Placed>(all: readonly H[], up: readonly H[], { panicPercent, byLocality }: Pick<RuntimeCluster, 'panicPercent' | 'byLocality'>): readonly Group<H>[] {
  if (all.length > 0 && (up.length / all.length) * 100 < panicPercent) return [{ share: 1, hosts: all }]
  return groupsOf(all, new Set(up), byLocality)
}

/** `all`: everybody, healthy or not; `up`: those who may be chosen. Empty: nobody may. */
export function groupsOf<H extends Placed>(all: readonly H[], up: ReadonlySet<H>, byLocality: boolean): readonly Group<H>[] {
  const priorities = [...new Set(all.map((h) => h.endpoint.priority))].sort((a, b) => a - b)
  const health = priorities.map((p) => {
    const members = all.filter((h) => h.endpoint.priority === p)
    return Math.min(1, (overprovisioning * members.filter((h) => up.has(h)).length) / members.length)
  })
  const total = Math.min(1, health.reduce((sum, h) => sum + h, 0))
  if (total === 0) return []
  let left = 1
  return priorities.flatMap((p, i) => {
    const share = Math.min(left, (health[i] as number) / total)
    left -= share
    if (share <= 0) return []
    const members = all.filter((h) => h.endpoint.priority === p)
    return byLocality ? localitiesOf(members, up, share) : [{ share, hosts: members.filter((h) => up.has(h)) }]
  })
}

/** A locality counts by its weight, less what its unhealthy endpoints can't carry. */
function localitiesOf<H extends Placed>(members: readonly H[], up: ReadonlySet<H>, share: number): Group<H>[] {
  const found = [...new Set(members.map((h) => h.endpoint.locality))].map((locality) => {
    const here = members.filter((h) => h.endpoint.locality === locality)
    const hosts = here.filter((h) => up.has(h))
    return { hosts, weight: ((here[0] as H).endpoint.localityWeight) * Math.min(1, (overprovisioning * hosts.length) / here.length) }
  })
  const sum = found.reduce((s, g) => s + g.weight, 0)
  return found.filter((g) => g.hosts.length > 0).map((g) => ({ share: (share * g.weight) / sum, hosts: g.hosts }))
}

/** `draw` in [0,1). */
export function chooseGroup<H>(groups: readonly Group<H>[], draw: number): readonly H[] {
  let left = draw
  for (const group of groups) {
    left -= group.share
    if (left < 0) return group.hosts
  }
  return groups.at(-1)?.hosts ?? []
}
