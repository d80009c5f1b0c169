// What each endpoint takes, asked once: the plan's own decisions over the policies that can have a say, kept for the analyzers that ask again.
import type { Decided } from '#lib/decided.ts'
import { endpointsOf, type Mesh, type MeshEndpoint, type MeshService, type ServicePort, type Workload } from '#mesh'
import { decideMtls, type MtlsMode } from '#plan'

export class MtlsView {
  readonly #mesh: Mesh
  readonly #byNamespace = new Map<string, Mesh>()
  readonly #modes = new Map<Workload, Map<number, Decided<MtlsMode>>>()
  readonly #endpoints = new Map<MeshService, Map<number, readonly MeshEndpoint[]>>()

  constructor(mesh: Mesh) {
    this.#mesh = mesh
  }

  /** The snapshot with the policies of a namespace and of the root alone: no other has a say there. */
  policiesOf(namespace: string): Mesh {
    const known = this.#byNamespace.get(namespace)
    if (known !== undefined) return known
    if (this.#byNamespace.size === 0) for (const p of this.#mesh.peerAuthentications) this.#grouped(p.metadata.namespace).push(p)
    const root = this.#mesh.options.rootNamespace
    const own = namespace === root ? [] : (this.#policies.get(namespace) ?? [])
    const made: Mesh = { ...this.#mesh, peerAuthentications: [...(this.#policies.get(root) ?? []), ...own] }
    this.#byNamespace.set(namespace, made)
    return made
  }

  readonly #policies = new Map<string, Mesh['peerAuthentications'][number][]>()
  #grouped(namespace: string): Mesh['peerAuthentications'][number][] {
    const list = this.#policies.get(namespace) ?? []
    this.#policies.set(namespace, list)
    return list
  }

  readonly #byWorkloads = new Map<string, Mesh>()
  /** The snapshot with the workloads of one namespace alone: a service finds its endpoints there. */
  #workloadsOf(namespace: string): Mesh {
    if (this.#byWorkloads.size === 0) {
      const grouped = new Map<string, Workload[]>()
      for (const w of this.#mesh.workloads) (grouped.get(w.namespace) ?? (grouped.set(w.namespace, []).get(w.namespace) as Workload[])).push(w)
      for (const [name, workloads] of grouped) this.#byWorkloads.set(name, { ...this.#mesh, workloads })
    }
    const known = this.#byWorkloads.get(namespace) ?? { ...this.#mesh, workloads: [] }
    this.#byWorkloads.set(namespace, known)
    return known
  }

  mode(workload: Workload, port: number): Decided<MtlsMode> {
    const ports = this.#modes.get(workload) ?? new Map<number, Decided<MtlsMode>>()
    this.#modes.set(workload, ports)
    const decided = ports.get(port) ?? decideMtls(this.policiesOf(workload.namespace), workload, port)
    ports.set(port, decided)
    return decided
  }

  readonly #disabling = new Map<string, boolean>()
  /** Whether any policy that can have a say in the namespace speaks of DISABLE. */
  mayDisable(namespace: string): boolean {
    const known = this.#disabling.get(namespace)
    if (known !== undefined) return known
    const found = this.policiesOf(namespace).peerAuthentications.some(({ spec }) => spec.mtls?.mode === 'DISABLE' || Object.values(spec.portLevelMtls ?? {}).some((p) => p.mode === 'DISABLE'))
    this.#disabling.set(namespace, found)
    return found
  }

  endpoints(service: MeshService, port: ServicePort): readonly MeshEndpoint[] {
    const ports = this.#endpoints.get(service) ?? new Map<number, readonly MeshEndpoint[]>()
    this.#endpoints.set(service, ports)
    const found = ports.get(port.number) ?? endpointsOf(this.#workloadsOf(service.namespace), service, port)
    ports.set(port.number, found)
    return found
  }
}
