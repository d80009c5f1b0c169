// What planning one proxy needs over and over, worked out once a snapshot.
import { onceAClass } from './client-class.ts'
import { scopeOf, type Scope } from './scope.ts'
import { destinationRuleFor, indexDestinationRules, type DestinationRuleIndex, type MergedRule } from './destination-rules.ts'
import { endpointsOf, type Mesh, type MeshEndpoint, type MeshService, type ServicePort, type Workload } from '#mesh'

export interface PlanContext {
  readonly mesh: Mesh
  readonly client: Workload
  readonly scope: Scope
  ruleFor(service: MeshService): MergedRule | undefined
  endpoints(service: MeshService, port: ServicePort): readonly MeshEndpoint[]
}

const indices = new WeakMap<Mesh, DestinationRuleIndex>()
const endpointCaches = new WeakMap<Mesh, Map<string, readonly MeshEndpoint[]>>()

/** Derived from an immutable snapshot alone, so keeping it beside the snapshot changes no answer. */
function indexOf(mesh: Mesh): DestinationRuleIndex {
  const known = indices.get(mesh) ?? indexDestinationRules(mesh)
  indices.set(mesh, known)
  return known
}

export function serviceEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): readonly MeshEndpoint[] {
  const cache = endpointCaches.get(mesh) ?? new Map<string, readonly MeshEndpoint[]>()
  endpointCaches.set(mesh, cache)
  const key = `${service.host}\0${service.namespace}\0${service.name}\0${port.number}`
  const known = cache.get(key) ?? endpointsOf(mesh, service, port)
  cache.set(key, known)
  return known
}

/** What clients of one class see, and the rules that their calls go by. */
const viewOf = onceAClass((mesh, client): Pick<PlanContext, 'scope' | 'ruleFor'> => {
  const rules = new Map<MeshService, MergedRule | undefined>()
  return {
    scope: scopeOf(mesh, client),
    ruleFor(service) {
      if (!rules.has(service)) rules.set(service, destinationRuleFor(mesh, indexOf(mesh), client, service))
      return rules.get(service)
    },
  }
})

export function planContext(mesh: Mesh, client: Workload): PlanContext {
  return { mesh, client, ...viewOf(mesh, client), endpoints: (service, port) => serviceEndpoints(mesh, service, port) }
}
