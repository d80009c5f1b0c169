// The resources of one proxy in one snapshot, made when first asked for.
import { generate, generateEndpoints } from '#generate'
import type { Workload } from '#mesh'
import { planContext, planEndpoints, planFrom } from '#plan'
import { typeUrls, type Resource } from '#xds'
import type { Snapshot } from './snapshot.ts'

export interface ProxyConfig {
  readonly snapshot: Snapshot
  readonly workload: Workload
  /** All resources of a type; endpoints only of the names asked for. */
  of(typeUrl: string, names: ReadonlySet<string> | undefined): ReadonlyMap<string, Resource>
}

export function proxyConfig(snapshot: Snapshot, workload: Workload): ProxyConfig {
  const context = planContext(snapshot.mesh, workload)
  const plan = planFrom(context)
  const byType = new Map<string, Map<string, Resource>>()
  for (const r of generate(plan)) (byType.get(r.type) ?? byType.set(r.type, new Map()).get(r.type))?.set(r.name, r)
  const nothing = new Map<string, Resource>()
  return {
    snapshot, workload,
    of(typeUrl, names) {
      if (typeUrl !== typeUrls.endpoint) return byType.get(typeUrl) ?? nothing
      return new Map(planEndpoints(context, plan, names).map((p) => [p.upstream, generateEndpoints(p)]))
    },
  }
}
