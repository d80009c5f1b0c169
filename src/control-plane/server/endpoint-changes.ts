// Which changes are about endpoints alone: those reach every proxy at once, before anything is planned anew.
// Law: pure. An endpoint may come before its cluster is planned anew only where the cluster would accept it as it is: an identity that no client expects yet waits.
import type { ApiObject, PodStatus } from '#api'
import { endpointsOf, selectorCovers, type Mesh, type MeshEndpoint, type MeshService } from '#mesh'

export interface EndpointChanges {
  /** Hosts whose endpoints may be other ones. */
  readonly hosts: ReadonlySet<string>
  /** Nothing else of any plan can differ: the same addresses are there, some are ready or not. */
  readonly complete: boolean
}

export interface Change {
  readonly before: ApiObject | undefined
  readonly now: ApiObject | undefined
}

/** undefined: the change is about more than endpoints, or must be planned first. */
export function endpointChanges(before: Mesh, now: Mesh, changes: readonly Change[]): EndpointChanges | undefined {
  if (before.options.config !== now.options.config || changes.length === 0) return undefined
  const hosts = new Set<string>()
  let complete = true
  for (const change of changes) {
    const object = change.now ?? change.before
    if (object?.kind === 'EndpointSlice') for (const o of [change.before, change.now]) if (o !== undefined) hosts.add(hostOf(o, now))
    if (object?.kind === 'Pod') {
      // A pod that comes, goes or gets its address is in many a plan; what its services have of it is in their slices.
      if (!isReadinessAlone(change)) complete = false
      for (const s of now.services) if (s.origin === 'kubernetes' && s.namespace === object.metadata.namespace && s.selector !== undefined && selectorCovers(s.selector, object.metadata.labels)) hosts.add(s.host)
    }
    if (object?.kind !== 'EndpointSlice' && object?.kind !== 'Pod') return undefined
  }
  for (const host of hosts) {
    const [was, is] = [before.servicesByHost.get(host), now.servicesByHost.get(host)]
    if (was === undefined && is === undefined) continue
    if (was === undefined || is === undefined || [...was, ...is].some((s) => s.headless)) return undefined
    const [old, young] = [known(before, was), known(now, is)]
    if ([...young.kinds].some((k) => !old.kinds.has(k))) return undefined
    if (young.addresses.size !== old.addresses.size || [...young.addresses].some((a) => !old.addresses.has(a))) complete = false
  }
  return { hosts, complete }
}

function hostOf(slice: ApiObject, mesh: Mesh): string {
  return `${slice.metadata.labels['kubernetes.io/service-name'] ?? ''}.${slice.metadata.namespace}.svc.${mesh.options.domain}`
}

/** What a client's cluster goes by in its endpoints: who they are and what they take. */
function known(mesh: Mesh, services: readonly MeshService[]): { readonly kinds: ReadonlySet<string>; readonly addresses: ReadonlySet<string> } {
  const all: MeshEndpoint[] = services.flatMap((s) => s.ports.flatMap((p) => endpointsOf(mesh, s, p)))
  return { kinds: new Set(all.map((e) => JSON.stringify([e.identity, e.takesMtls, e.port, e.labels]))), addresses: new Set(all.map((e) => `${e.address}:${e.port} ${e.workload?.id}`)) }
}

function isReadinessAlone({ before, now }: Change): boolean {
  if (before === undefined || now === undefined) return false
  const rest = (o: ApiObject): string => {
    const { conditions: _conditions, ...status } = (o.raw['status'] ?? {}) as PodStatus
    return JSON.stringify([o.raw['spec'], status, o.metadata.labels, o.metadata.annotations])
  }
  return rest(before) === rest(now)
}
