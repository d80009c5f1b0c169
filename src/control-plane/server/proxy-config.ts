// The resources of one proxy in one snapshot; endpoints are made when first asked for. Law: holds resources, which proxies have in common, and no plan: there may be thousands.
import { generate, generateEndpoints } from '#generate'
import type { Workload } from '#mesh'
import { planContext, planEndpoints, planFrom, type PlanContext } from '#plan'
import { typeUrls, type Resource } from '#xds'
import type { Snapshot } from './snapshot.ts'

export interface ProxyConfig {
  readonly snapshot: Snapshot
  readonly workload: Workload
  /** All resources of a type; endpoints only of the names asked for. */
  of(typeUrl: string, names: ReadonlySet<string> | undefined): ReadonlyMap<string, Resource>
  /** The same plan with endpoints of a newer snapshot, where those of these hosts alone may differ. */
  withEndpoints(snapshot: Snapshot, workload: Workload, hosts: ReadonlySet<string>): ProxyConfig
}

type EndpointUpstreams = Parameters<typeof planEndpoints>[1]['upstreams']

export function proxyConfig(snapshot: Snapshot, workload: Workload): ProxyConfig {
  const context = planContext(snapshot.mesh, workload)
  const plan = planFrom(context)
  const byType = new Map<string, Map<string, Resource>>()
  for (const r of generate(plan)) (byType.get(r.type) ?? byType.set(r.type, new Map()).get(r.type))?.set(r.name, r)
  const upstreams = plan.upstreams.filter((u) => u.discovery === 'EDS').map(({ name, discovery, host, port, subset }) => ({ name, discovery, host, port, subset }))
  return holding(snapshot, workload, byType, upstreams, new Map())
}

const nothing: ReadonlyMap<string, Resource> = new Map()

function holding(snapshot: Snapshot, workload: Workload, byType: ReadonlyMap<string, ReadonlyMap<string, Resource>>, upstreams: EndpointUpstreams, endpoints: Map<string, Resource>): ProxyConfig {
  let context: PlanContext | undefined
  return {
    snapshot, workload,
    of(typeUrl, names) {
      if (typeUrl !== typeUrls.endpoint) return byType.get(typeUrl) ?? nothing
      const missing = new Set((names === undefined ? upstreams.map((u) => u.name) : [...names]).filter((n) => !endpoints.has(n)))
      if (missing.size > 0) {
        context ??= planContext(snapshot.mesh, workload)
        for (const p of planEndpoints(context, { upstreams }, missing)) endpoints.set(p.upstream, generateEndpoints(p))
      }
      return endpoints
    },
    withEndpoints(newer, same, hosts) {
      const stale = new Set(upstreams.filter((u) => hosts.has(u.host)).map((u) => u.name))
      return holding(newer, same, byType, upstreams, new Map([...endpoints].filter(([name]) => !stale.has(name))))
    },
  }
}
