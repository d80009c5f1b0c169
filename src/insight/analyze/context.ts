// What analyzers look at: all objects by kind, with the few indices that several of them need. Immutable; indices are made at first use.
import { clusterDomainOf, type ApiObject, type CronJob, type DestinationRule, type Gateway, type MeshConfigSpec, type PodSpec, type PodTemplate, type RequestAuthenticationSpec, type ServiceEntry, type ServiceSpec, type Sidecar, type TelemetrySpec, type VirtualService, type WorkloadObject } from '#api'
import type { Mesh } from '#mesh'
import { buildMesh } from '#mesh'
import { assumedIngressGateway } from './ingress-gateway.ts'
import { MtlsView } from './mtls-view.ts'
import { ServiceIndex } from './service-index.ts'

interface Kinds {
  AuthorizationPolicy: ApiObject
  ConfigMap: ApiObject
  CronJob: CronJob
  DaemonSet: WorkloadObject
  Deployment: WorkloadObject
  DestinationRule: DestinationRule
  EnvoyFilter: ApiObject
  Gateway: Gateway
  Job: WorkloadObject
  MutatingWebhookConfiguration: ApiObject
  Namespace: ApiObject
  Node: ApiObject
  PeerAuthentication: ApiObject
  Pod: ApiObject<string, PodSpec>
  ProxyConfig: ApiObject
  ReplicaSet: WorkloadObject
  ReplicationController: WorkloadObject
  RequestAuthentication: ApiObject<string, RequestAuthenticationSpec>
  Secret: ApiObject
  Service: ApiObject<string, ServiceSpec>
  ServiceEntry: ServiceEntry
  Sidecar: Sidecar
  StatefulSet: WorkloadObject
  Telemetry: ApiObject<string, TelemetrySpec>
  VirtualService: VirtualService
}

export type Labels = Readonly<Record<string, string>>

export class AnalysisContext {
  readonly objects: readonly ApiObject[]
  readonly meshConfig: MeshConfigSpec
  /** Whether certificates hold is asked of this time; left out, of none. */
  readonly now: Date | undefined
  readonly #byKind = new Map<string, ApiObject[]>()
  #services: ServiceIndex | undefined
  #mesh: Mesh | undefined
  #workloads: readonly TemplatedPod[] | undefined
  #templates: readonly TemplatedPod[] | undefined
  #mtls: MtlsView | undefined
  #namespaces: ReadonlyMap<string, Labels> | undefined

  constructor(objects: readonly ApiObject[], meshConfig: MeshConfigSpec = {}, now?: Date) {
    this.now = now
    this.objects = objects
    this.meshConfig = meshConfig
    // What is assumed can be found, but is no object of the mesh: nothing is said of it.
    for (const object of [...objects, ...assumedIngressGateway(objects, meshConfig)]) {
      const list = this.#byKind.get(object.kind)
      if (list === undefined) this.#byKind.set(object.kind, [object])
      else list.push(object)
    }
  }

  /** All objects of a kind, in the order of the files. Gateway API's Gateway is no Gateway of Istio. */
  all<K extends keyof Kinds>(kind: K): readonly Kinds[K][] {
    const found = this.#byKind.get(kind) ?? []
    const ours = kind === 'Gateway' ? found.filter((o) => o.apiVersion.startsWith('networking.istio.io/')) : found
    return ours as readonly ApiObject[] as readonly Kinds[K][]
  }

  get clusterDomain(): string {
    return clusterDomainOf(this.meshConfig)
  }

  get rootNamespace(): string {
    return this.meshConfig.rootNamespace ?? 'istio-system'
  }

  /** Pods, and the pods that templates of workloads make: for codes that say that there is none. Codes about running pods look at pods alone. */
  get workloads(): readonly TemplatedPod[] {
    return (this.#workloads ??= [...this.all('Pod').map((p): TemplatedPod => ({ object: p, namespace: p.metadata.namespace, labels: p.metadata.labels, annotations: p.metadata.annotations, spec: p.spec })), ...this.templates])
  }

  /** What the templates of workloads make. */
  get templates(): readonly TemplatedPod[] {
    return (this.#templates ??= templatesOf(this))
  }

  /** Services and ServiceEntries by who sees them. */
  get services(): ServiceIndex {
    return (this.#services ??= new ServiceIndex(this.all('ServiceEntry'), this.all('Service'), this.clusterDomain))
  }

  /** The snapshot that the control plane would make of these objects. */
  get mesh(): Mesh {
    return (this.#mesh ??= buildMesh(this.objects, { meshConfig: this.meshConfig }))
  }

  /** What each workload takes, in that snapshot. */
  get mtls(): MtlsView {
    return (this.#mtls ??= new MtlsView(this.mesh))
  }

  namespaceLabels(name: string): Labels | undefined {
    return (this.#namespaces ??= new Map(this.all('Namespace').map((n) => [n.metadata.name, n.metadata.labels]))).get(name)
  }

  /** Whether a pod (or what a template makes) has a sidecar, or will get one. */
  inMesh(pod: { readonly labels: Labels; readonly annotations: Labels; readonly namespace: string; readonly spec: PodSpec | undefined }): boolean {
    if (proxyContainer(pod.spec) !== undefined) return true
    const asked = pod.labels[injectKey] ?? pod.annotations[injectKey]
    if (asked !== undefined) return asked === 'true'
    return this.namespaceLabels(pod.namespace)?.['istio-injection'] === 'enabled'
  }
}

/** A pod, or what a template will make. */
export interface TemplatedPod {
  /** The pod, or the workload with the template. */
  readonly object: ApiObject
  readonly namespace: string
  readonly labels: Labels
  readonly annotations: Labels
  readonly spec: PodSpec | undefined
}

function templatesOf(context: AnalysisContext): TemplatedPod[] {
  const of = (object: ApiObject, template: PodTemplate | undefined): TemplatedPod => ({
    object, namespace: object.metadata.namespace, labels: template?.metadata?.labels ?? {}, annotations: template?.metadata?.annotations ?? {}, spec: template?.spec,
  })
  const kinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job'] as const
  return [...kinds.flatMap((kind) => context.all(kind).map((o) => of(o, o.spec.template))), ...context.all('CronJob').map((o) => of(o, o.spec.jobTemplate?.spec?.template))]
}

export const injectKey = 'sidecar.istio.io/inject'

/** The container `istio-proxy`, native or not, where it has an image. */
export function proxyContainer(spec: PodSpec | undefined): { readonly image: string } | undefined {
  const found = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].find((c) => c.name === 'istio-proxy')
  return found?.image === undefined || found.image === '' ? undefined : { image: found.image }
}

export function covers(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}

export const selectorText = (selector: Labels): string => Object.entries(selector).map(([k, v]) => `${k}=${v}`).sort().join(',')

export const fullName = (object: ApiObject): string => `${object.metadata.namespace}/${object.metadata.name}`

/** Of Istio's own installation, by its labels. */
export const isControlPlane = (labels: Labels): boolean => labels['istio'] !== undefined || labels['release'] === 'istio'

const systemNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'])
export const isSystemNamespace = (name: string): boolean => systemNamespaces.has(name)
