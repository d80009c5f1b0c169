// The node and the controllers: objects → pods that run, their state → objects. One writer, everything else asks it.
// Law: what is told to the control plane is what really runs; addresses are given once and kept.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { dump } from 'js-yaml'
import { describeFailure } from '#lib/errors.ts'
import type { Problem } from '#lib/problem.ts'
import { decode, refTo, type ApiObject, type MeshConfigSpec, type ServiceSpec } from '#api'
import { decideInjection } from '#inject'
import { buildMesh, type Mesh } from '#mesh'
import { interceptionOf } from '#interception'
import { overlayAnnotation } from '#sources'
import { containerCommand } from '../container-command.ts'
import { desiredPods, type DesiredPod } from '../desired-pods.ts'
import type { LocalImage } from '../mesh-file.ts'
import { serviceAccountOf } from '../pod-object.ts'
import { replaceFile } from '../replace-file.ts'
import type { MeshEvent, PodView } from '../types.ts'
import type { PodPlace, Sandbox } from './place.ts'
import { newPodUid, PodRunner } from './pod-runner.ts'
import type { SidecarProgram } from './sidecar.ts'
import { tokenLifetimeSeconds, type TokenIssuer } from './tokens.ts'

export type EventBody = MeshEvent extends infer E ? (E extends { readonly at: string } ? Omit<E, 'at'> : never) : never

export interface ClusterOptions {
  readonly dir: string
  readonly objectsDir: string
  readonly images: Readonly<Record<string, LocalImage>>
  readonly meshConfig: MeshConfigSpec
  readonly external: ReadonlyMap<string, string>
  readonly sandbox: Sandbox
  readonly sidecar: SidecarProgram
  readonly tokens: TokenIssuer
  readonly controlPlaneReady: Promise<void>
  emit(event: EventBody): void
}

const graceMs = 2000
/** Changes that come together are told together. */
const gatherMs = 5
/** After the machine has refused something. */
const retryMs = 1000

export class Cluster {
  readonly #options: ClusterOptions
  readonly #pods = new Map<string, PodRunner>()
  readonly #leaving = new Set<Promise<void>>()
  readonly #virtualAddresses = new Map<string, string>()
  readonly #said = new Set<string>()
  readonly #shown = new Map<string, string>()
  #objects: readonly ApiObject[] = []
  #images: ClusterOptions['images']
  #written = ''
  #addresses = 10
  #timer: NodeJS.Timeout | undefined
  readonly #renewal: NodeJS.Timeout
  #stopping = false
  /** Until then a refusal ends the mesh, and the command says why. */
  #started = false

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#images = options.images
    mkdirSync(options.objectsDir, { recursive: true })
    this.#renewal = setInterval(() => this.#renewTokens(), tokenLifetimeSeconds * 800)
    this.#renewal.unref()
  }

  /** At four fifths of their life, as kubelet does. */
  #renewTokens(): void {
    for (const { desired, uid, injected, place } of this.#pods.values()) {
      if (!injected) continue
      const { namespace, name } = desired
      try {
        place.renewToken(this.#options.tokens.issue({ namespace, name, uid, serviceAccount: serviceAccountOf(desired) }))
      } catch (error) {
        this.#refused(refTo(desired.object), 'the pod keeps its old token', error)
      }
    }
  }

  /**
   * What shall be, from now on. New pods have names and addresses at once, and are told to the control plane;
   * `start` gives them their places and lets them run.
   */
  plan(objects: readonly ApiObject[]): readonly PodRunner[] {
    this.#objects = objects
    const wanted = new Map(desiredPods(objects).map((p) => [p.slot, p]))
    const created: PodRunner[] = []
    for (const pod of wanted.values()) {
      const running = this.#pods.get(pod.slot)
      if (running?.desired.templateHash === pod.templateHash && commandsOf(pod, running.images) === commandsOf(pod, this.#images)) continue
      if (running !== undefined) this.#remove(running)
      created.push(this.#create(pod))
    }
    for (const [slot, runner] of this.#pods) if (!wanted.has(slot)) this.#remove(runner)
    this.#publish()
    return created
  }

  /** Places first, all of them: in explicit mode each sidecar must know all others' ports before it starts. */
  start(created: readonly PodRunner[]): void {
    this.#startIn(created.map((runner) => [runner, this.#place(runner)] as const))
    this.#started = true
  }

  #startIn(placed: readonly (readonly [PodRunner, PodPlace])[]): void {
    this.#publish()
    for (const [runner, place] of placed) void runner.run(place)
  }

  /** As `plan` and `start`; a pod that gets no place now, such as on a full disk, gets one later. */
  update(objects: readonly ApiObject[]): void {
    this.#startLater(this.plan(objects))
  }

  #startLater(created: readonly PodRunner[]): void {
    const refused: PodRunner[] = []
    const placed = created.flatMap((runner): (readonly [PodRunner, PodPlace])[] => {
      try {
        return [[runner, this.#place(runner)]]
      } catch (error) {
        refused.push(runner)
        this.#refused(refTo(runner.desired.object), 'the pod has no place yet, and is tried again', error)
        return []
      }
    })
    this.#startIn(placed)
    if (refused.length === 0) return
    const again = setTimeout(() => {
      if (!this.#stopping) this.#startLater(refused.filter((r) => this.#pods.get(r.desired.slot) === r))
    }, retryMs)
    again.unref()
  }

  /** What the machine refuses a mesh that runs: said, and the mesh goes on. */
  #refused(ref: Problem['ref'], effect: string, error: unknown): void {
    const { code, message } = describeFailure(error)
    this.#problem({ code: 'KITH0208', severity: 'error', ref, message: `${effect}: ${message} [${code}]` })
  }

  /** kith.yaml has changed: pods whose commands are others now are made anew. */
  useImages(images: ClusterOptions['images']): void {
    this.#images = images
    this.update(this.#objects)
  }

  #create(pod: DesiredPod): PodRunner {
    const injected = this.#decide(pod)
    const n = this.#addresses++
    const { dir, sidecar, controlPlaneReady } = this.#options
    const runner = new PodRunner({ pod, uid: newPodUid(), injected, address: `10.244.${n >> 8}.${n & 255}`, images: this.#images, dir, sidecar, controlPlaneReady, onChange: () => this.#soon() })
    this.#pods.set(pod.slot, runner)
    for (const fault of injected ? interceptionOf(pod.annotations).faults : []) this.#problem({ code: 'KITH0203', severity: 'error', ref: refTo(pod.object, `${pod.metadataPath}.annotations.${fault.annotation}`), message: fault.message })
    return runner
  }

  #place(runner: PodRunner): PodPlace {
    const { desired: pod, uid, injected, address } = runner
    const token = injected ? this.#options.tokens.issue({ namespace: pod.namespace, name: pod.name, uid, serviceAccount: serviceAccountOf(pod) }) : undefined
    return this.#options.sandbox.placePod({
      uid, namespace: pod.namespace, name: pod.name, hostname: pod.hostname, address, injected, onStale: () => runner.restartSidecar('the addresses of the mesh have changed'), annotations: pod.annotations, ports: (pod.spec.containers ?? []).flatMap((c) => (c.ports ?? []).map((p) => p.containerPort)),
      ...(token === undefined ? {} : { token }),
    })
  }

  #decide(pod: DesiredPod): boolean {
    const namespaceObject = this.#objects.find((o) => o.kind === 'Namespace' && o.metadata.name === pod.namespace)
    return decideInjection({
      labels: pod.labels, annotations: pod.annotations, hostNetwork: pod.spec.hostNetwork ?? false, namespace: pod.namespace, namespaceLabels: namespaceObject?.metadata.labels ?? {}, pod: pod.object, metadataPath: pod.metadataPath,
      ...(pod.spec.os?.name === undefined ? {} : { os: pod.spec.os.name }), ...(namespaceObject === undefined ? {} : { namespaceObject }),
    }).value
  }

  #remove(runner: PodRunner): void {
    if (this.#pods.get(runner.desired.slot) === runner) this.#pods.delete(runner.desired.slot)
    const left = runner.stop(graceMs).then(() => {
      this.#leaving.delete(left)
      this.#soon()
    })
    this.#leaving.add(left)
    this.#shown.delete(`${runner.desired.namespace}/${runner.desired.name}`)
    this.#options.emit({ event: 'pod', pod: runner.view() })
  }

  #soon(): void {
    if (this.#stopping) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#publish()
    }, gatherMs)
  }

  /** The mesh as it is now: to the control plane as objects, to names and services' rules, to whoever listens. */
  #publish(): void {
    if (this.#stopping) return
    const services = this.#overlays()
    const pods = [...this.#pods.values()]
    const documents = [...services, ...pods.map((p) => p.object())]
    this.#write(documents)
    const { sandbox, external, meshConfig } = this.#options
    const addressed = this.#objects.map((o) => (o.kind === 'Service' ? this.#withAddress(o) : o))
    const own = pods.flatMap((p) => decode(p.object(), {}).object ?? [])
    const names = new Set(own.map((o) => `${o.metadata.namespace}/${o.metadata.name}`))
    const mesh: Mesh = buildMesh([...addressed.filter((o) => !(o.kind === 'Pod' && names.has(`${o.metadata.namespace}/${o.metadata.name}`))), ...own], { meshConfig })
    sandbox.publish({ mesh, external, controlPlane: sandbox.controlPlaneAddress.split(':')[0] as string, hostnames: new Map(pods.map((p) => [`${p.desired.name}.${p.desired.namespace}`, p.desired.hostname])) })
    for (const view of this.views()) this.#show(view)
  }

  #show(view: PodView): void {
    const key = `${view.namespace}/${view.name}`
    const state = JSON.stringify([view.status, view.ready, view.restarts, view.containers.map((c) => [c.ready, c.detail])])
    if (this.#shown.get(key) === state) return
    this.#shown.set(key, state)
    const detail = view.containers.find((c) => c.detail !== undefined && !c.ready)?.detail
    this.#options.emit({ event: 'pod', pod: view, ...(detail === undefined ? {} : { detail }) })
  }

  #write(documents: readonly object[]): void {
    const text = documents.map((d) => dump(d, { lineWidth: -1, noRefs: true })).join('---\n')
    if (text === this.#written) return
    this.#written = text
    const path = join(this.#options.objectsDir, 'cluster.yaml')
    try {
      replaceFile(path, text)
    } catch (error) {
      if (!this.#started) throw error
      this.#written = ''
      this.#refused({ kind: '', namespace: '', name: '', path: '', file: path }, 'the control plane keeps the pods that it knew before', error)
      setTimeout(() => this.#soon(), retryMs).unref()
    }
  }

  /** Each service without an address gets one that it keeps; told as an overlay, so that the user's own object keeps its origin. */
  #overlays(): object[] {
    const services = this.#objects.filter((o) => o.kind === 'Service' && o.apiVersion === 'v1')
    const fresh = buildMesh(services.map((o) => this.#withAddress(o)), {}).services
    for (const s of fresh) if (s.addresses[0] !== undefined && !s.headless && s.externalName === undefined) this.#virtualAddresses.set(`${s.namespace}/${s.name}`, s.addresses[0])
    return services.flatMap((o) => {
      const { name, namespace } = o.metadata
      const clusterIP = this.#virtualAddresses.get(`${namespace}/${name}`)
      return clusterIP === undefined || hasAddress(o.spec as ServiceSpec) ? [] : [{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, annotations: { [overlayAnnotation]: 'true' } }, spec: { clusterIP } }]
    })
  }

  #withAddress(o: ApiObject): ApiObject {
    const spec = o.spec as ServiceSpec
    const clusterIP = this.#virtualAddresses.get(`${o.metadata.namespace}/${o.metadata.name}`)
    return clusterIP === undefined || hasAddress(spec) || spec.type === 'ExternalName' ? o : { ...o, spec: { ...spec, clusterIP } }
  }

  #problem(problem: Problem): void {
    const key = JSON.stringify([problem.code, problem.ref, problem.message])
    if (this.#said.has(key)) return
    this.#said.add(key)
    this.#options.emit({ event: 'problem', problem })
  }

  views(): PodView[] {
    return [...this.#pods.values()].map((p) => p.view()).sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1))
  }

  runners(): PodRunner[] {
    return [...this.#pods.values()]
  }

  get settled(): boolean {
    return [...this.#pods.values()].every((p) => p.settled)
  }

  restartSidecars(why: string): void {
    for (const p of this.#pods.values()) p.restartSidecar(why)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    clearInterval(this.#renewal)
    await Promise.all([...[...this.#pods.values()].map((p) => p.stop(graceMs)), ...this.#leaving])
  }
}

function commandsOf({ spec }: DesiredPod, images: ClusterOptions['images']): string {
  return JSON.stringify([...(spec.initContainers ?? []), ...(spec.containers ?? [])].map((c) => containerCommand(c, images)))
}

function hasAddress(spec: ServiceSpec): boolean {
  return spec.clusterIP !== undefined && spec.clusterIP !== ''
}
