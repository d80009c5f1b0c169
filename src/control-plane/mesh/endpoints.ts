// Who answers for a service: pods by selector, workload entries, slices, a ServiceEntry's own list.
import type { EndpointSliceBody, ServiceEntry, WorkloadEntry, WorkloadEntrySpec } from '#api'
import { selectorCovers, selectWorkloads } from './select.ts'
import type { Mesh, MeshEndpoint, MeshService, ServicePort, Workload } from './types.ts'

/** All endpoints of a service's port, sorted by address. Those not ready are there too, and say so. */
export function endpointsOf(mesh: Mesh, service: MeshService, port: ServicePort): readonly MeshEndpoint[] {
  const found = service.origin === 'kubernetes' ? kubernetesEndpoints(mesh, service, port) : entryEndpoints(mesh, service, port)
  return found.sort((a, b) => (a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1))
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

function kubernetesEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  if (service.selector === undefined) return sliceEndpoints(mesh, service, port)
  return workloadsOf(mesh, service).flatMap((w) => {
    const target = targetPortOn(w, port)
    return target === undefined ? [] : fromWorkload(w, target, w.ready || service.publishNotReadyAddresses)
  })
}

function fromWorkload(w: Workload, port: number, ready: boolean): MeshEndpoint[] {
  return w.addresses.map((address) => ({ address, port, labels: w.labels, weight: 1, ready, takesMtls: w.takesMtls, identity: w.identity, serviceAccount: w.serviceAccount, namespace: w.namespace, workload: w }))
}

function sliceEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  const slices = mesh.objects.filter((o) => o.kind === 'EndpointSlice' && o.metadata.namespace === service.namespace && o.metadata.labels['kubernetes.io/service-name'] === service.name)
  return slices.flatMap((slice) => {
    const body = slice.raw as EndpointSliceBody
    const target = (body.ports ?? []).find((p) => (p.name ?? '') === port.name)?.port
    if (target === undefined) return []
    return (body.endpoints ?? []).flatMap((e) =>
      (e.addresses ?? []).flatMap((address): MeshEndpoint[] => {
        const workload = mesh.workloadByAddress.get(address)
        const ready = e.conditions?.ready !== false || service.publishNotReadyAddresses
        return workload === undefined ? [{ address, port: target, labels: {}, weight: 1, ready, takesMtls: false, namespace: service.namespace }] : fromWorkload(workload, target, ready).filter((x) => x.address === address)
      }),
    )
  })
}

function entryEndpoints(mesh: Mesh, service: MeshService, port: ServicePort): MeshEndpoint[] {
  const spec = (service.object as ServiceEntry).spec
  if (service.selector !== undefined) {
    const selector = service.selector
    const pods = selectWorkloads(mesh, service.namespace, selector)
    const entries = mesh.workloadEntries.filter((e) => e.metadata.namespace === service.namespace && selectorCovers(selector, { ...e.metadata.labels, ...e.spec.labels }))
    return [...pods.flatMap((w) => fromWorkload(w, typeof port.targetPort === 'number' ? port.targetPort : port.number, w.ready)), ...entries.map((e) => fromEntry(mesh, e.spec, port, service, e))]
  }
  const own = (spec.endpoints ?? []).map((e) => fromEntry(mesh, e, port, service))
  if (own.length > 0 || service.resolution !== 'dns' || service.host.startsWith('*')) return own
  return [{ address: service.host, port: typeof port.targetPort === 'number' ? port.targetPort : port.number, labels: {}, weight: 1, ready: true, takesMtls: false, namespace: service.namespace }]
}

function fromEntry(mesh: Mesh, spec: WorkloadEntrySpec, port: ServicePort, service: MeshService, entry?: WorkloadEntry): MeshEndpoint {
  const labels = { ...entry?.metadata.labels, ...spec.labels }
  const namespace = entry?.metadata.namespace ?? service.namespace
  const serviceAccount = spec.serviceAccount
  const workload = spec.address === undefined ? undefined : mesh.workloadByAddress.get(spec.address)
  return {
    address: spec.address ?? '', port: spec.ports?.[port.name] ?? (typeof port.targetPort === 'number' ? port.targetPort : port.number), labels, weight: spec.weight ?? 1, ready: true,
    takesMtls: labels['security.istio.io/tlsMode'] === 'istio', namespace,
    ...(spec.locality === undefined ? {} : { locality: spec.locality }),
    ...(serviceAccount === undefined || serviceAccount === '' ? {} : { serviceAccount, identity: `spiffe://${mesh.options.trustDomain}/ns/${namespace}/sa/${serviceAccount}` }),
    ...(workload === undefined ? {} : { workload }), ...(entry === undefined ? {} : { entry }),
  }
}
