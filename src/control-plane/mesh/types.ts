// The snapshot: what the cluster is and what its owners said, indexed and sorted. Immutable.
import type { InterceptionDefaults } from '#interception'
import type { Decided } from '#lib/decided.ts'
import type { ApiObject, AuthorizationPolicy, DestinationRule, MeshConfigSpec, PeerAuthentication, PodSpec, RequestAuthentication, Service, ServiceEntry, Sidecar, VirtualService, WorkloadEntry } from '#api'

export type Labels = Readonly<Record<string, string>>
export type PortProtocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tls' | 'auto' | 'udp'

/** A pod, or what a template will make: something that runs and has an identity. */
export interface Workload {
  /** `<pod>.<namespace>`, unique. */
  readonly id: string
  readonly kind: string
  /** The workload's name (Deployment and the like); a bare pod's own. */
  readonly name: string
  readonly pod: string
  readonly namespace: string
  readonly labels: Labels
  readonly annotations: Labels
  readonly serviceAccount: string
  /** `spiffe://<trust domain>/ns/<ns>/sa/<sa>` */
  readonly identity: string
  /** Empty where nothing runs (replicas: 0). */
  readonly addresses: readonly string[]
  /** Declared container ports. */
  readonly ports: readonly { readonly name?: string; readonly port: number }[]
  readonly sidecar: Decided<boolean>
  /** Automatic mTLS may use it: label security.istio.io/tlsMode, or the sidecar. */
  readonly takesMtls: boolean
  readonly ready: boolean
  /** `region/zone/subzone`, of the pod's label istio-locality, else of its node. */
  readonly locality?: string
  readonly hostname?: string
  readonly object: ApiObject
  /** The pod inside its object: of a Deployment `spec.template.`, of a Pod ''. */
  readonly podPath: string
  readonly spec: PodSpec
  /** A cluster or a node has admitted it: injection will not change it any more. */
  readonly observed: boolean
  /** What the injector's values say of redirection, for a pod without an annotation. */
  readonly interceptionDefaults: InterceptionDefaults
}

export interface ServicePort {
  readonly number: number
  readonly name: string
  readonly protocol: PortProtocol
  /** A number, or the name of a container port. */
  readonly targetPort: number | string
}

/** A Kubernetes Service, or one host of a ServiceEntry. */
export interface MeshService {
  /** `httpbin.foo.svc.cluster.local`, `api.example.com`, `*.example.com` */
  readonly host: string
  readonly name: string
  readonly namespace: string
  readonly origin: 'kubernetes' | 'entry'
  /** Virtual addresses; empty for headless services and hosts without addresses. */
  readonly addresses: readonly string[]
  readonly ports: readonly ServicePort[]
  readonly selector?: Labels
  readonly headless: boolean
  readonly externalName?: string
  readonly resolution: 'cluster' | 'none' | 'static' | 'dns'
  /** DNS: one of the answers at a time, whichever came last. */
  readonly dnsRoundRobin?: boolean
  readonly meshExternal: boolean
  /** As written; empty = the mesh's default. */
  readonly exportTo: readonly string[]
  readonly subjectAltNames: readonly string[]
  readonly publishNotReadyAddresses: boolean
  readonly creationTimestamp: string
  readonly object: Service | ServiceEntry
  /** Several objects of one host whose ports have been added up. */
  readonly parts?: readonly MeshService[]
}

export interface MeshEndpoint {
  /** The first; the workload may have one of the other family too. */
  readonly address: string
  readonly port: number
  readonly labels: Labels
  readonly weight: number
  readonly ready: boolean
  readonly locality?: string
  readonly takesMtls: boolean
  readonly identity?: string
  readonly serviceAccount?: string
  readonly namespace: string
  /** The workload behind it, where the mesh knows it. */
  readonly workload?: Workload
  readonly entry?: WorkloadEntry
}

/** meshConfig with its defaults. */
export interface MeshOptions {
  readonly config: MeshConfigSpec
  readonly rootNamespace: string
  readonly trustDomain: string
  readonly trustDomainAliases: readonly string[]
  readonly domain: string
  readonly enableAutoMtls: boolean
  readonly autoMtls: 'kith' | 'istio'
  /** As `interceptionDefaults` of the pods that injection will make. */
  readonly interception: InterceptionDefaults
  readonly object?: ApiObject
}

export interface Mesh {
  readonly options: MeshOptions
  readonly namespaces: ReadonlyMap<string, Labels>
  readonly workloads: readonly Workload[]
  readonly workloadByAddress: ReadonlyMap<string, Workload>
  readonly services: readonly MeshService[]
  readonly servicesByHost: ReadonlyMap<string, readonly MeshService[]>
  readonly workloadEntries: readonly WorkloadEntry[]
  /** All sorted by age, then name, then namespace. */
  readonly peerAuthentications: readonly PeerAuthentication[]
  readonly destinationRules: readonly DestinationRule[]
  readonly virtualServices: readonly VirtualService[]
  readonly sidecars: readonly Sidecar[]
  readonly authorizationPolicies: readonly AuthorizationPolicy[]
  readonly requestAuthentications: readonly RequestAuthentication[]
  readonly objects: readonly ApiObject[]
  /** Key sets that were fetched for RequestAuthentications, by where they come from. */
  readonly keys: ReadonlyMap<string, string>
}
