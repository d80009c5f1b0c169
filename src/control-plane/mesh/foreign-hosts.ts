// Objects that steer other namespaces' calls to a host that belongs to another namespace: ISTIO-SECURITY-2026-002.
// Law: pure. A host of an in-cluster name belongs to the namespace in that name, any other to its oldest ServiceEntry.
// An object that only its own namespace sees is that namespace's choice, and the root namespace speaks for the mesh.
import { clusterDomainOf, refTo, type ApiObject, type MeshConfigSpec, type ServiceEntry, type VirtualService } from '#api'
import type { Problem } from '#lib/problem.ts'
import { canonicalAddress } from './addresses.ts'
import { hostCovers, resolveHost } from './hosts.ts'
import type { Mesh, MeshOptions, MeshService } from './types.ts'
import { exportedTo } from './visibility.ts'

export interface ForeignHost {
  readonly object: VirtualService | ServiceEntry
  /** `spec.hosts[0]`, `spec.addresses[1]` */
  readonly path: string
  /** As it counts: short names are resolved. */
  readonly host: string
  /** The namespace that the host belongs to. */
  readonly owner: string
  /** `Service bar/httpbin`; undefined: the name alone tells the owner. */
  readonly declaredBy: string | undefined
}

/** Whose names are whose. */
interface Owners {
  /** Every exact name and address by which a service can be called. */
  readonly exact: ReadonlyMap<string, MeshService>
  readonly services: readonly MeshService[]
}

type Options = Pick<MeshOptions, 'config' | 'domain' | 'rootNamespace'>

const ownersOf = new WeakMap<Mesh, Owners>()
const foundIn = new WeakMap<Mesh, readonly ForeignHost[]>()

/** All of a snapshot, in the order of its objects; with `compat.foreignHosts: refuse` those that it leaves out. */
export function foreignHosts(mesh: Mesh): readonly ForeignHost[] {
  const known = foundIn.get(mesh)
  if (known !== undefined) return known
  const entries = new Set(mesh.services.flatMap((s) => (s.origin === 'entry' ? [s.object as ServiceEntry] : [])))
  const owners = indexed(mesh)
  const found = [...mesh.virtualServices, ...entries].flatMap((o) => judge(o, owners, mesh.options))
  foundIn.set(mesh, found)
  return found
}

/** The snapshot without the objects that `compat.foreignHosts: refuse` refuses. */
export function withoutForeignHosts(mesh: Mesh): Mesh {
  const found = foreignHosts(mesh)
  if (found.length === 0) return mesh
  const refused = new Set<ApiObject>(found.map((f) => f.object))
  const services = mesh.services.filter((s) => !refused.has(s.object))
  const servicesByHost = new Map<string, MeshService[]>()
  for (const s of services) servicesByHost.set(s.host, [...(servicesByHost.get(s.host) ?? []), s])
  const left: Mesh = { ...mesh, services, servicesByHost, virtualServices: mesh.virtualServices.filter((v) => !refused.has(v)) }
  foundIn.set(left, found)
  return left
}

/** What an object would be told if it were applied now. `mesh` undefined: names alone decide. */
export function foreignHostProblems(object: ApiObject, config: MeshConfigSpec, mesh?: Mesh): Problem[] {
  if (!object.apiVersion.startsWith('networking.istio.io/')) return []
  if (object.kind !== 'VirtualService' && object.kind !== 'ServiceEntry') return []
  const options = mesh?.options ?? { config, domain: clusterDomainOf(config), rootNamespace: config.rootNamespace ?? 'istio-system' }
  const owners = mesh === undefined ? { exact: new Map(), services: [] } : indexed(mesh)
  return judge(object as VirtualService | ServiceEntry, owners, options).map((f) => foreignHostProblem(f, options))
}

export function refusesForeignHosts({ config }: { readonly config: MeshConfigSpec }): boolean {
  return config.compat?.foreignHosts === 'refuse'
}

/** KITH0120: a warning, or an error where meshConfig refuses such objects. */
export function foreignHostProblem({ object, path, host, owner, declaredBy }: ForeignHost, options: { readonly config: MeshConfigSpec }): Problem {
  const { namespace } = object.metadata
  const refused = refusesForeignHosts(options)
  const whose = `${host} belongs to namespace ${owner}${declaredBy === undefined ? '' : ` (${declaredBy})`}`
  const effect = refused
    ? 'compat.foreignHosts is refuse, so no client follows this object'
    : `this ${object.kind} also decides where clients outside ${namespace} send their calls to it`
  const help = `write exportTo: ["."] so that it counts for clients in ${namespace} alone, or move it to ${owner}`
  const more = refused ? '' : '; meshConfig compat.foreignHosts: refuse refuses such objects'
  return { code: 'KITH0120', severity: refused ? 'error' : 'warning', ref: refTo(object, path), message: `${whose}: ${effect}`, help: help + more }
}

function indexed(mesh: Mesh): Owners {
  const known = ownersOf.get(mesh)
  if (known !== undefined) return known
  const exact = new Map<string, MeshService>()
  const claim = (name: string, service: MeshService): void => {
    const before = exact.get(name)
    if (before === undefined || isBefore(service, before)) exact.set(name, service)
  }
  for (const s of mesh.services) {
    claim(s.host.toLowerCase(), s)
    if (s.origin !== 'kubernetes') continue
    for (const name of [`${s.name}.${s.namespace}`, `${s.name}.${s.namespace}.svc`, ...s.addresses]) claim(name, s)
  }
  const made = { exact, services: mesh.services }
  ownersOf.set(mesh, made)
  return made
}

/** Kubernetes' own first, then the oldest. */
function isBefore(a: MeshService, b: MeshService): boolean {
  const key = (s: MeshService): string => `${s.origin === 'kubernetes' ? 0 : 1}\0${s.creationTimestamp}\0${s.name}\0${s.namespace}`
  return key(a) < key(b)
}

function judge(object: VirtualService | ServiceEntry, owners: Owners, options: Options): ForeignHost[] {
  const { namespace } = object.metadata
  if (namespace === options.rootNamespace) return []
  return object.kind === 'VirtualService' ? ofRoutes(object, owners, options) : ofEntry(object, owners, options)
}

/** May clients of other namespaces see it? */
function reachesBeyond(exportTo: readonly string[], fallback: readonly string[] | undefined, namespace: string): boolean {
  return exportedTo(exportTo, fallback ?? []).some((to) => to === '*' || (to !== '.' && to !== '~' && to !== namespace))
}

function ofRoutes(virtual: VirtualService, owners: Owners, options: Options): ForeignHost[] {
  const { hosts = [], gateways = [], exportTo = [] } = virtual.spec
  const { namespace } = virtual.metadata
  if (gateways.length > 0 && !gateways.includes('mesh')) return []
  if (!reachesBeyond(exportTo, options.config.defaultVirtualServiceExportTo, namespace)) return []
  return hosts.flatMap((written, i): ForeignHost[] => {
    const host = resolveHost(written, namespace, options.domain).toLowerCase().replace(/\.$/, '')
    const owner = host.startsWith('*') ? ownerUnder(host, namespace, owners, options.domain) : ownerOf(host, owners, options.domain)
    return owner === undefined || owner.namespace === namespace ? [] : [foreign(virtual, `spec.hosts[${i}]`, host, owner)]
  })
}

/** In-cluster names and Services' addresses; another namespace's external host only where exportTo puts this entry before the older one. */
function ofEntry(entry: ServiceEntry, owners: Owners, options: Options): ForeignHost[] {
  const { hosts = [], addresses = [], exportTo = [] } = entry.spec
  const { namespace } = entry.metadata
  if (!reachesBeyond(exportTo, options.config.defaultServiceExportTo, namespace)) return []
  const isPublic = exportedTo(exportTo, options.config.defaultServiceExportTo ?? []).includes('*')
  const isForeign = (owner: Owner | undefined): owner is Owner => owner !== undefined && owner.namespace !== namespace
  return [
    ...hosts.flatMap((written, i): ForeignHost[] => {
      const host = written.toLowerCase()
      const owner = host.startsWith('*') ? namespaceInName(host, options.domain) : ownerOf(host, owners, options.domain)
      if (!isForeign(owner) || (isPublic && owner.by?.origin === 'entry' && namespaceInName(host, options.domain) === undefined)) return []
      return [foreign(entry, `spec.hosts[${i}]`, host, owner)]
    }),
    ...addresses.flatMap((written, i): ForeignHost[] => {
      const by = owners.exact.get(canonicalAddress(written))
      const owner = by === undefined ? undefined : { namespace: by.namespace, by }
      return isForeign(owner) ? [foreign(entry, `spec.addresses[${i}]`, written, owner)] : []
    }),
  ]
}

interface Owner {
  readonly namespace: string
  readonly by?: MeshService
}

function foreign(object: ForeignHost['object'], path: string, host: string, { namespace, by }: Owner): ForeignHost {
  return { object, path, host, owner: namespace, declaredBy: by === undefined ? undefined : `${by.object.kind} ${by.namespace}/${by.name}` }
}

function ownerOf(host: string, { exact }: Owners, domain: string): Owner | undefined {
  const by = exact.get(host)
  const named = namespaceInName(host, domain)
  // The name decides: a ServiceEntry can't make an in-cluster name its own.
  if (named !== undefined) return by?.namespace === named.namespace ? { ...named, by } : named
  return by === undefined ? undefined : { namespace: by.namespace, by }
}

/** `httpbin.bar.svc.cluster.local`, `pod-0.web.bar.svc.cluster.local`, `*.bar.svc.cluster.local` → bar. */
function namespaceInName(host: string, domain: string): Owner | undefined {
  const end = `.svc.${domain}`
  if (!host.endsWith(end)) return undefined
  const labels = host.slice(0, -end.length).split('.')
  const namespace = labels.at(-1) ?? ''
  return labels.length < 2 || namespace === '' ? undefined : { namespace }
}

/** Somebody else among those that the wildcard covers. */
function ownerUnder(pattern: string, namespace: string, { services }: Owners, domain: string): Owner | undefined {
  const named = namespaceInName(pattern, domain)
  const by = services.find((s) => s.namespace !== namespace && hostCovers(pattern, s.host.toLowerCase()))
  if (by !== undefined) return { namespace: by.namespace, by }
  return named
}
