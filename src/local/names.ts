// Names as a pod of a cluster resolves them. Pure: the mesh and a question → records.
import type { Answer, Question } from 'dns-packet'
import { endpointsOf, workloadsOf, type Mesh, type MeshService, type Workload } from '#mesh'

export interface Names {
  readonly mesh: Mesh
  /** Servers outside every pod, by host name. */
  readonly external: ReadonlyMap<string, string>
  /** Where the control plane listens: `istiod.istio-system.svc`. */
  readonly controlPlane: string
  /** Pods' own host names: `web-0` of the headless service `web`, by workload id. */
  readonly hostnames: ReadonlyMap<string, string>
}

export interface Resolved {
  readonly known: boolean
  readonly answers: readonly Answer[]
  /** The name belongs to the cluster's domain: nobody else may be asked. */
  readonly ours: boolean
}

const ttlSeconds = 5

export function resolveName(names: Names, question: Pick<Question, 'name' | 'type'>, depth = 0): Resolved {
  const name = question.name.toLowerCase().replace(/\.$/, '')
  const { domain } = names.mesh.options
  const address = (data: string): Answer => ({ type: 'A', name: question.name, ttl: ttlSeconds, data })
  const known = (addresses: readonly string[], ours = true): Resolved => ({ known: true, ours, answers: question.type === 'A' ? addresses.map(address) : [] })
  const external = names.external.get(name)
  if (external !== undefined) return known([external], false)
  if (name === `istiod.istio-system.svc.${domain}`) return known([names.controlPlane])
  const ours = name === domain || name.endsWith(`.${domain}`)
  if (!ours) return { known: false, ours: false, answers: [] }
  const parts = name.slice(0, -domain.length - 1).split('.')
  const kind = parts.pop()
  if (kind === 'svc') return serviceName(names, question, parts, known, depth)
  if (kind === 'pod') {
    const [dashed = '', namespace] = parts
    const workload = names.mesh.workloadByAddress.get(dashed.replaceAll('-', '.'))
    if (workload !== undefined && workload.namespace === namespace) return known([dashed.replaceAll('-', '.')])
  }
  return { known: false, ours: true, answers: [] }
}

function serviceName(names: Names, question: Pick<Question, 'name' | 'type'>, parts: string[], known: (addresses: readonly string[]) => Resolved, depth: number): Resolved {
  const { mesh } = names
  const nothing: Resolved = { known: false, ours: true, answers: [] }
  const namespace = parts.pop()
  const name = parts.pop()
  const service = mesh.services.find((s) => s.origin === 'kubernetes' && s.name === name && s.namespace === namespace)
  if (service === undefined) return parts.length === 0 && name === undefined && namespace !== undefined && mesh.namespaces.has(namespace) ? known([]) : nothing
  if (parts.length === 2) return portRecords(names, question, service, parts as [string, string])
  if (parts.length === 1) {
    const members = readyWorkloads(mesh, service).filter((w) => (names.hostnames.get(w.id) ?? w.hostname ?? w.pod) === parts[0] || w.addresses.some((a) => a.replaceAll('.', '-') === parts[0]))
    return members.length === 0 ? nothing : known(members.flatMap((w) => w.addresses))
  }
  if (parts.length > 2) return nothing
  if (service.externalName !== undefined) return alias(names, question, service.externalName, depth)
  return known(service.headless ? [...new Set(readyWorkloads(mesh, service).flatMap((w) => w.addresses))] : service.addresses)
}

function alias(names: Names, question: Pick<Question, 'name' | 'type'>, target: string, depth: number): Resolved {
  const cname: Answer = { type: 'CNAME', name: question.name, ttl: ttlSeconds, data: target }
  const further = depth > 4 ? undefined : resolveName(names, { name: target, type: question.type }, depth + 1)
  return { known: true, ours: true, answers: [cname, ...(further?.answers ?? [])] }
}

/** `_http._tcp.web.foo.svc…` */
function portRecords(names: Names, question: Pick<Question, 'name' | 'type'>, service: MeshService, [portName, protocol]: [string, string]): Resolved {
  const port = service.ports.find((p) => `_${p.name}` === portName && protocol === (p.protocol === 'udp' ? '_udp' : '_tcp'))
  if (port === undefined) return { known: false, ours: true, answers: [] }
  const record = (target: string, number: number): Answer => ({ type: 'SRV', name: question.name, ttl: ttlSeconds, data: { port: number, target, priority: 0, weight: 0 } })
  if (question.type !== 'SRV') return { known: true, ours: true, answers: [] }
  if (!service.headless) return { known: true, ours: true, answers: [record(service.host, port.number)] }
  return { known: true, ours: true, answers: endpointsOf(names.mesh, service, port).filter((e) => e.ready).map((e) => record(`${e.address.replaceAll('.', '-')}.${service.host}`, e.port)) }
}

function readyWorkloads(mesh: Mesh, service: MeshService): Workload[] {
  return workloadsOf(mesh, service).filter((w) => w.ready || service.publishNotReadyAddresses)
}

/** A pod's resolv.conf, as kubelet writes it. */
export function resolvConf(namespace: string, server: string, domain: string): string {
  return `search ${namespace}.svc.${domain} svc.${domain} ${domain}\nnameserver ${server}\noptions ndots:5\n`
}
