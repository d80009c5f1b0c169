// Who answers for a service: pods by selector, workload entries, slices, a ServiceEntry's own list.
import type { ApiObject, EndpointSliceBody, ServiceEntry, WorkloadEntry, WorkloadEntrySpec } from '#api'
import { isIP } from 'node:net'
import { canonicalAddress } from './addresses.ts'
import { selectorCovers, selectWorkloads } from './select.ts'
import type { Mesh, MeshEndpoint, MeshService, ServicePort, Workload } from './types.ts'

/** All endpoints of a service's port, sorted by address. Those not ready are there too, and say so. */
export function endpointsOf(mesh: Mesh, service: MeshService, port: ServicePort): readonly MeshEndpoint[] {
  const part = service.parts?.find((s) => s.ports.some((p) => p.number === port.number))
  if (part !== undefined) return endpointsOf(mesh, part, port)
  const found = [...ownEndpoints(mesh, service, port), ...sharedEndpoints(mesh, service, port)]
  return found.sort((a, b) => (a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1))
}

function ownEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  return service.origin === 'kubernetes' ? kubernetesEndpoints(mesh, service, port) : entryEndpoints(mesh, service, port)
}

/** What another entry of the host, in the same namespace, has at this port's number stands behind the service too. Istio: one shard of endpoints for a host of a namespace. */
function sharedEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  if (service.headless || service.resolution === 'dns' || service.resolution === 'none') return []
  return (mesh.servicesByHost.get(service.host) ?? []).flatMap((other) => {
    const own = other.origin === 'entry' && other.object !== service.object && other.namespace === service.namespace && other.resolution !== 'none' ? other.ports.find((p) => p.number === port.number) : undefined
    return own === undefined ? [] : ownEndpoints(mesh, other, own).filter((e) => isIP(e.address) !== 0)
  })
}

/** Pods that stand behind a service, whatever the port. */
export function workloadsOf(mesh: Mesh, service: MeshService): readonly Workload[] {
  const selector = service.selector
  if (selector === undefined) return []
  return selectWorkloads(mesh, service.namespace, selector).filter((w) => w.addresses.length > 0)
}

/** The container port that a Service port leads to on this workload; undefined where a name leads nowhere. */
export function targetPortOn(workload: Workload, port: ServicePort): number | undefined {
  return typeof port.targetPort === 'number' ? port.targetPort : workload.ports.find((p) => p.name === port.targetPort)?.port
}

/** Slices are the cluster's own word on who answers and who is ready; pods by selector stand in where none are known, as in files. */
function kubernetesEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  return [...podEndpoints(mesh, service, port), ...selectedEntries(mesh, service, port)]
}

/** Machines outside the cluster stand behind a Service as its pods do. */
function selectedEntries(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  const { selector } = service
  if (selector === undefined) return []
  return mesh.workloadEntries.filter((e) => e.metadata.namespace === service.namespace && selectorCovers(selector, { ...e.metadata.labels, ...e.spec.labels })).flatMap((e) => {
    const endpoint = fromEntry(mesh, e.spec, port, service, e)
    if (service.origin === 'entry' || typeof port.targetPort === 'number') return [endpoint]
    // A port that a Service calls by name is one that the machine has under this name.
    const named = e.spec.ports?.[port.targetPort]
    return named === undefined ? [] : [{ ...endpoint, port: named }]
  })
}

function podEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  const slices = slicesOf(mesh, service)
  if (slices.length > 0) return sliceEndpoints(mesh, slices, service, port)
  return workloadsOf(mesh, service).flatMap((w) => {
    const target = targetPortOn(w, port)
    return target === undefined ? [] : fromWorkload(w, target, w.ready || service.publishNotReadyAddresses)
  })
}

interface SliceIndex {
  readonly byService: ReadonlyMap<string, readonly ApiObject[]>
  readonly workloadById: ReadonlyMap<string, Workload>
}

const sliceIndices = new WeakMap<Mesh, SliceIndex>()

/** Derived from an immutable snapshot alone, so keeping it beside the snapshot changes no answer. */
function sliceIndex(mesh: Mesh): SliceIndex {
  const known = sliceIndices.get(mesh)
  if (known !== undefined) return known
  const byService = new Map<string, ApiObject[]>()
  for (const o of mesh.objects) {
    const name = o.kind === 'EndpointSlice' ? o.metadata.labels['kubernetes.io/service-name'] : undefined
    if (name === undefined) continue
    const key = `${o.metadata.namespace}/${name}`
    byService.set(key, [...(byService.get(key) ?? []), o])
  }
  const made = { byService, workloadById: new Map(mesh.workloads.map((w) => [w.id, w])) }
  sliceIndices.set(mesh, made)
  return made
}

/** Of one address family: a pod with two addresses is one endpoint. */
function slicesOf(mesh: Mesh, service: MeshService): readonly ApiObject[] {
  const all = sliceIndex(mesh).byService.get(`${service.namespace}/${service.name}`) ?? []
  const family = (o: ApiObject): string => (o.raw as EndpointSliceBody).addressType ?? 'IPv4'
  const first = ['IPv4', 'IPv6'].find((f) => all.some((o) => family(o) === f))
  return first === undefined ? all : all.filter((o) => family(o) === first)
}

function fromWorkload(w: Workload, port: number, ready: boolean): MeshEndpoint[] {
  const [address] = w.addresses
  return address === undefined ? [] : [withWorkload({ address, port, ready, weight: 1 }, w)]
}

function withWorkload(at: Pick<MeshEndpoint, 'address' | 'port' | 'ready' | 'weight'>, w: Workload): MeshEndpoint {
  return { ...at, labels: w.labels, takesMtls: w.takesMtls, identity: w.identity, serviceAccount: w.serviceAccount, namespace: w.namespace, workload: w, ...(w.locality === undefined ? {} : { locality: w.locality }) }
}

/** A pod that is ending is not ready, though it may still serve what it has (KEP-1672): nothing new goes there. */
function sliceEndpoints(mesh: Mesh, slices: readonly ApiObject[], service: MeshService, port: ServicePort): MeshEndpoint[] {
  // While slices are rebuilt an address may stand in two of them; ready in one is ready.
  const found = new Map<string, MeshEndpoint>()
  for (const slice of slices) {
    const body = slice.raw as EndpointSliceBody
    const target = (body.ports ?? []).find((p) => (p.name ?? '') === port.name)?.port
    if (target === undefined || target === null) continue
    for (const e of body.endpoints ?? []) {
      const ready = (e.conditions?.ready ?? true) || service.publishNotReadyAddresses
      // Pods on the host's network share an address: the slice says which one is meant.
      const named = e.targetRef?.kind === 'Pod' ? sliceIndex(mesh).workloadById.get(`${e.targetRef.name}.${e.targetRef.namespace ?? slice.metadata.namespace}`) : undefined
      for (const address of (e.addresses ?? []).map(canonicalAddress)) {
        const workload = named ?? mesh.workloadByAddress.get(address)
        const plain: MeshEndpoint = { address, port: target, labels: {}, weight: 1, ready, takesMtls: false, namespace: service.namespace }
        const key = `${address}:${target}`
        if (found.get(key)?.ready !== true) found.set(key, workload === undefined ? plain : withWorkload(plain, workload))
      }
    }
  }
  return [...found.values()]
}

function entryEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  const spec = (service.object as ServiceEntry).spec
  if (service.selector !== undefined) {
    const selector = service.selector
    const pods = selectWorkloads(mesh, service.namespace, selector)
    return [...pods.flatMap((w) => fromWorkload(w, typeof port.targetPort === 'number' ? port.targetPort : port.number, w.ready)), ...selectedEntries(mesh, service, port)]
  }
  const own = (spec.endpoints ?? []).map((e) => fromEntry(mesh, e, port, service))
  if (own.length > 0 || service.resolution !== 'dns' || service.host.startsWith('*')) return own
  return [{ address: service.host, port: typeof port.targetPort === 'number' ? port.targetPort : port.number, labels: {}, weight: 1, ready: true, takesMtls: false, namespace: service.namespace }]
}

/** What its label says; without one, a machine that has an account has a sidecar. Istio: getTLSModeFromWorkloadEntry. */
export function entryTakesMtls({ labels, serviceAccount }: WorkloadEntrySpec): boolean {
  const mark = labels?.['security.istio.io/tlsMode']
  return mark === undefined ? (serviceAccount ?? '') !== '' : mark === 'istio'
}

function fromEntry(mesh: Mesh, spec: WorkloadEntrySpec, port: ServicePort, service: MeshService, entry?: WorkloadEntry): MeshEndpoint {
  const labels = { ...entry?.metadata.labels, ...spec.labels }
  const namespace = entry?.metadata.namespace ?? service.namespace
  const serviceAccount = spec.serviceAccount
  const workload = spec.address === undefined ? undefined : mesh.workloadByAddress.get(spec.address)
  return {
    address: canonicalAddress(spec.address ?? ''), port: spec.ports?.[port.name] ?? (typeof port.targetPort === 'number' ? port.targetPort : port.number), labels, weight: spec.weight ?? 1, ready: true,
    takesMtls: entryTakesMtls(spec), namespace,
    ...(spec.locality === undefined ? {} : { locality: spec.locality }),
    ...(serviceAccount === undefined || serviceAccount === '' ? {} : { serviceAccount, identity: `spiffe://${mesh.options.trustDomain}/ns/${namespace}/sa/${serviceAccount}` }),
    ...(workload === undefined ? {} : { workload }), ...(entry === undefined ? {} : { entry }),
  }
}
