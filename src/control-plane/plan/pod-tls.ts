// Calls to a pod's own address: headless services, StatefulSet pods, ingress controllers, plain addresses. Each pod gets what its port takes, and must prove to be itself.
// Istio: a headless service's pods all or none (isTLSModeDisabled), any other address plaintext; compat.autoMtls: istio has it so.
import { isIP } from 'node:net'
import { byDefault } from '#lib/decided.ts'
import { canonicalAddress, entryTakesMtls, interceptionFor, sidecarPorts, type Mesh, type MeshEndpoint, type MeshService, type ServicePort, type Workload } from '#mesh'
import type { PlanContext } from './context.ts'
import { portsWithOwnMode } from './mtls.ts'
import type { PodTls, ProxyPlan } from './types.ts'
import { decideEndpointTls, withAliases } from './upstream-tls.ts'

/** Pods of the whole mesh that take mutual TLS on some port, sorted by address. Derived from an immutable snapshot alone. */
const books = new WeakMap<Mesh, Map<string, readonly PodTls[]>>()

export function tlsByAddress(mesh: Mesh): boolean {
  return mesh.options.enableAutoMtls && mesh.options.autoMtls === 'kith'
}

/** Pods that the client sees and may call by address alone. A Sidecar that names egress hosts narrows them to what stands behind those. */
export function visiblePods(context: PlanContext): readonly PodTls[] {
  const { mesh, client, scope } = context
  if (!tlsByAddress(mesh)) return []
  const known = books.get(mesh) ?? new Map<string, readonly PodTls[]>()
  books.set(mesh, known)
  const all = known.get('') ?? wholeBook(mesh)
  known.set('', all)
  if (scope.egressHosts === undefined) return all
  const key = JSON.stringify([client.namespace, scope.egressHosts])
  const narrowed = known.get(key) ?? narrow(context, all)
  known.set(key, narrowed)
  return narrowed
}

function wholeBook(mesh: Mesh): readonly PodTls[] {
  return [...mesh.workloads.flatMap((w) => podTls(mesh, w)), ...machines(mesh)].sort((a, b) => (a.address < b.address ? -1 : 1))
}

/** Machines outside the cluster that take it. */
function machines(mesh: Mesh): PodTls[] {
  return mesh.workloadEntries.flatMap(({ spec, metadata }): PodTls[] => {
    const labels = { ...metadata.labels, ...spec.labels }
    if (isIP(spec.address ?? '') === 0 || !entryTakesMtls(spec)) return []
    const endpoint = (port: number | null): Parameters<typeof decideEndpointTls>[1] => ({ port, labels, takesMtls: true, namespace: metadata.namespace })
    const tls = decideEndpointTls({ mesh }, endpoint(null), {})
    const except = portsWithOwnMode(mesh, { namespace: metadata.namespace, labels }).sort((a, b) => a - b).map((port) => ({ port, tls: decideEndpointTls({ mesh }, endpoint(port), {}) })).filter((e) => e.tls.value !== tls.value)
    if (tls.value === 'DISABLE' && except.length === 0) return []
    const account = spec.serviceAccount ?? ''
    return [{ address: canonicalAddress(spec.address as string), sans: account === '' ? [] : withAliases(mesh, [`spiffe://${mesh.options.trustDomain}/ns/${metadata.namespace}/sa/${account}`]), tls, except }]
  })
}

function narrow(context: PlanContext, all: readonly PodTls[]): readonly PodTls[] {
  const { mesh, scope } = context
  const addresses = new Set(scope.services.flatMap((s) => s.ports.flatMap((p) => context.endpoints(s, p).map((e) => e.address))))
  const whole = (namespace: string): boolean => {
    const all = `*.${namespace}.svc.${mesh.options.domain}`
    return scope.listeners.some((l) => l.takes(namespace, all) && !l.leavesOut(namespace, all))
  }
  return all.filter((p) => addresses.has(p.address) || whole(mesh.workloadByAddress.get(p.address)?.namespace ?? ''))
}

function podTls(mesh: Mesh, workload: Workload): PodTls[] {
  if (!workload.takesMtls || workload.addresses.length === 0) return []
  const tls = decideEndpointTls({ mesh }, endpointOf(workload, null), {})
  const ports = new Set([...portsWithOwnMode(mesh, workload), ...interceptionFor(workload).namedPorts].filter((p) => !sidecarPorts.includes(p)))
  const except = [...ports].sort((a, b) => a - b).map((port) => ({ port, tls: decideEndpointTls({ mesh }, endpointOf(workload, port), {}) })).filter((e) => e.tls.value !== tls.value)
  if (tls.value === 'DISABLE' && except.length === 0) return []
  const sans = withAliases(mesh, [workload.identity])
  return workload.addresses.map((address) => ({ address, sans, tls, except }))
}

/** What the plan says of a port of a pod that the client has chosen by its address; undefined: nothing, so it gets plaintext. */
export function podTlsAt(plan: Pick<ProxyPlan, 'mesh'>, pods: readonly PodTls[] | undefined, address: string, port: number): PodTls['tls'] | undefined {
  const pod = pods?.find((p) => p.address === address)
  if (pod === undefined) return undefined
  if (plan.mesh.sidecarPorts.includes(port)) return byDefault('DISABLE', 'endpoint.not-redirected')
  return pod.except.find((e) => e.port === port)?.tls ?? pod.tls
}

function endpointOf(w: Workload, port: number | null): Parameters<typeof decideEndpointTls>[1] {
  return { port, labels: w.labels, takesMtls: w.takesMtls, namespace: w.namespace, workload: w }
}

/** A pod that a client may choose has all of its addresses. */
export function allAddresses({ address, workload }: MeshEndpoint): readonly string[] {
  return workload === undefined || !workload.addresses.includes(address) ? [address] : workload.addresses
}

/** Of one service's port: nothing translates it on the way to a pod's own address, so it is the pod's port too. */
export function podsBehind(context: PlanContext, service: MeshService, port: ServicePort): PodTls[] {
  const { mesh } = context
  return context.endpoints(service, port).flatMap((e) => allAddresses(e).map((address) => ({
    address, sans: e.identity === undefined ? [] : withAliases(mesh, [e.identity]), tls: decideEndpointTls(context, { ...e, port: port.number }, {}), except: [],
  })))
}
