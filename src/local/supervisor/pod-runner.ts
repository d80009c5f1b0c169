// One pod's life, as kubelet leads it: the sidecar first, then what must run once, then the application; probes, restarts, the end of a Job.
import { randomUUID } from 'node:crypto'
import type { Container } from '#api'
import type { Handshake } from '#identity'
import { KithError } from '#lib/errors.ts'
import { containerCommand, searchPath, type LocalCommand } from '../container-command.ts'
import type { DesiredPod } from '../desired-pods.ts'
import type { Page } from '../control-protocol.ts'
import type { LocalImage } from '../mesh-file.ts'
import { podObject, serviceAccountOf, sidecarContainer } from '../pod-object.ts'
import type { ContainerView, PodView } from '../types.ts'
import { ContainerRunner, type RestartPolicy } from './container.ts'
import type { PodPlace } from './place.ts'
import { Probing } from './probing.ts'
import { askAdmin, askHandshakes, watchSidecar, type SidecarProgram } from './sidecar.ts'

export interface PodOptions {
  readonly pod: DesiredPod
  readonly uid: string
  readonly injected: boolean
  readonly address: string
  readonly images: Readonly<Record<string, LocalImage>>
  /** The mesh's folder: containers' working directory. */
  readonly dir: string
  readonly sidecar: SidecarProgram
  /** Resolves once sidecars can be served. */
  readonly controlPlaneReady: Promise<void>
  onChange(pod: PodRunner, detail?: string): void
}

const node = 'local'

export class PodRunner {
  readonly desired: DesiredPod
  readonly injected: boolean
  readonly uid: string
  readonly address: string
  readonly images: PodOptions['images']
  readonly createdAt = new Date().toISOString()
  readonly #options: PodOptions
  #place: PodPlace | undefined
  readonly #sidecar: ContainerRunner | undefined
  readonly #initial: ContainerRunner[] = []
  readonly #containers: ContainerRunner[] = []
  readonly #commands = new Map<string, LocalCommand>()
  readonly #probings = new Map<string, Probing>()
  #phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' = 'Pending'
  #initializing: string | undefined
  #terminating = false
  #stopWatching: (() => void) | undefined
  #attempts = 0

  constructor(options: PodOptions) {
    const { pod, injected } = options
    this.#options = options
    this.desired = pod
    this.injected = injected
    this.uid = options.uid
    this.address = options.address
    this.images = options.images
    const policy = (pod.spec.restartPolicy ?? (pod.finishes ? 'OnFailure' : 'Always')) as RestartPolicy
    const make = (container: Container, restartPolicy: RestartPolicy): ContainerRunner => {
      const made = new ContainerRunner({
        name: container.name, restartPolicy, onChange: () => this.#changed(made), onFinished: () => this.#finished(),
        start: () => {
          this.#probings.get(container.name)?.stop()
          return this.place.spawn('application', this.#spawnOf(container.name))
        },
      })
      const command = containerCommand(container, options.images)
      if ('problem' in command) {
        made.status = 'ErrImagePull'
        made.detail = command.problem
      }
      return made
    }
    for (const c of pod.spec.initContainers ?? []) if (c.name !== sidecarContainer) this.#initial.push(make(c, policy === 'Never' ? 'Never' : 'OnFailure'))
    for (const c of pod.spec.containers ?? []) if (c.name !== sidecarContainer) this.#containers.push(make(c, policy))
    if (injected) {
      this.#sidecar = new ContainerRunner({
        name: sidecarContainer, restartPolicy: 'Always', onChange: () => this.#changed(),
        start: () => this.place.spawn('sidecar', { argv: options.sidecar.argv, cwd: options.dir, env: { ...options.sidecar.environment(this), ...this.place.sidecarEnv } }),
      })
    }
  }

  /** Where it lives. @throws Error before `run` */
  get place(): PodPlace {
    if (this.#place === undefined) throw new Error(`pod ${this.desired.name} has no place yet`)
    return this.#place
  }

  /** As the sidecar's own admin tells them, from inside the pod. */
  async handshakes(): Promise<readonly Handshake[] | null> {
    return this.#sidecar?.running === true && this.#place !== undefined ? askHandshakes(this.#place) : []
  }

  /** A page of the sidecar's admin, asked from inside the pod. @throws KithError ADMIN_SILENT where no sidecar answers */
  async page(path: string): Promise<Page> {
    if (this.#sidecar === undefined) throw new KithError('NO_SIDECAR', `pod ${this.desired.name} has no sidecar (kith check-inject says why)`)
    const answer = this.#sidecar.running && this.#place !== undefined ? await askAdmin(this.#place, path) : undefined
    if (answer === undefined) throw new KithError('ADMIN_SILENT', `the sidecar of pod ${this.desired.name} does not answer: ${this.#sidecar.status}`)
    return answer
  }

  /** The whole way up, from its place on; resolves when the application's containers have been started. Never rejects. */
  async run(place: PodPlace): Promise<void> {
    this.#place = place
    if (this.#terminating) return place.release()
    for (const c of [...(this.desired.spec.initContainers ?? []), ...(this.desired.spec.containers ?? [])]) {
      const command = containerCommand(c, this.#options.images, place.variables, this.#fields())
      if ('argv' in command) this.#commands.set(c.name, command)
    }
    if (this.#sidecar !== undefined) {
      await this.#options.controlPlaneReady
      if (this.#terminating) return
      this.#sidecar.start()
      const watched = watchSidecar(this.#sidecar, this.place, this.#options.sidecar.readinessPort(this), () => this.#changed())
      this.#stopWatching = watched.stop
      await watched.firstReady
    }
    for (const c of this.#initial) {
      if (!this.#commands.has(c.name) || this.#terminating) return
      this.#initializing = c.name
      await new Promise<void>((resolve) => {
        this.#initialDone = resolve
        c.start()
      })
      if (c.status === 'Error') return void this.#end('Failed')
    }
    this.#initializing = undefined
    if (this.#terminating) return
    this.#phase = 'Running'
    for (const c of this.#containers) if (this.#commands.has(c.name)) c.start()
  }

  #initialDone: (() => void) | undefined

  #changed(started?: ContainerRunner): void {
    const container = started === undefined ? undefined : this.desired.spec.containers?.find((c) => c.name === started.name)
    if (started !== undefined && container !== undefined && started.running && this.#probings.get(started.name)?.running !== started.startedAtMs) this.#probe(started, container)
    this.#options.onChange(this)
  }

  #probe(runner: ContainerRunner, container: Container): void {
    this.#probings.get(container.name)?.stop()
    const target = { connect: (port: number) => this.place.connect(port), spawn: (argv: readonly string[]) => this.exec(argv, container.name) }
    const probing = new Probing({
      container, target, runId: runner.startedAtMs,
      onReady: (ready, why) => {
        if (runner.ready === ready && runner.detail === why) return
        const changed = runner.ready !== ready
        runner.ready = ready && runner.running
        runner.detail = why
        if (changed) this.#options.onChange(this)
      },
      onDead: (why) => runner.restart(why),
    })
    this.#probings.set(container.name, probing)
    probing.start()
  }

  /** A container is done for good. Where that was the last one, so is the pod. */
  #finished(): void {
    this.#initialDone?.()
    this.#initialDone = undefined
    if (this.#phase !== 'Running' || this.#containers.some((c) => c.status !== 'Completed' && c.status !== 'Error')) return
    const failed = this.#containers.some((c) => c.status === 'Error')
    if (failed && this.desired.finishes && this.#attempts < this.desired.backoffLimit) {
      this.#attempts++
      setTimeout(() => {
        for (const c of this.#containers) {
          c.restarts++
          c.start()
        }
      }, 500 * 2 ** this.#attempts)
      return
    }
    this.#end(failed ? 'Failed' : 'Succeeded')
  }

  #end(phase: 'Failed' | 'Succeeded'): void {
    this.#phase = phase
    this.#stopWatching?.()
    void this.#sidecar?.stop(2000).then(() => this.#options.onChange(this))
    this.#options.onChange(this)
  }

  /** What the downward API offers. */
  #fields(): Record<string, string> {
    const { name, namespace, labels, annotations } = this.desired
    const maps = [['labels', labels], ['annotations', annotations]] as const
    return {
      'metadata.name': name, 'metadata.namespace': namespace, 'metadata.uid': this.uid, 'spec.nodeName': node, 'spec.serviceAccountName': serviceAccountOf(this.desired), 'status.podIP': this.address, 'status.hostIP': this.address,
      ...Object.fromEntries(maps.flatMap(([what, map]) => Object.entries(map).map(([k, v]) => [`metadata.${what}['${k}']`, v]))),
    }
  }

  /** A program beside the container's own, with its environment and rights. */
  exec(argv: readonly string[], container: string, stdin = false): ReturnType<PodPlace['spawn']> {
    if (container === sidecarContainer) return this.place.spawn('sidecar', { argv, cwd: this.#options.dir, env: { ...this.#options.sidecar.environment(this), ...this.place.sidecarEnv }, stdin })
    return this.place.spawn('application', { ...this.#spawnOf(container), argv, stdin })
  }

  /** undefined: the first one. @throws Error naming those that there are */
  container(name: string | undefined): ContainerRunner {
    const all = [...this.#containers, ...(this.#sidecar === undefined ? [] : [this.#sidecar]), ...this.#initial]
    const found = name === undefined ? all[0] : all.find((c) => c.name === name)
    if (found === undefined) throw new Error(`pod ${this.desired.name} has no container ${JSON.stringify(name ?? '')}; it has ${all.map((c) => c.name).join(', ')}`)
    return found
  }

  #spawnOf(container: string): { argv: readonly string[]; env: Record<string, string>; cwd: string } {
    const command = this.#commands.get(container)
    const inherited = Object.fromEntries(['LANG', 'TZ', 'TERM', 'NODE_COMPILE_CACHE', 'NODE_EXTRA_CA_CERTS'].flatMap((k) => (process.env[k] === undefined ? [] : [[k, process.env[k]]])))
    const env = { ...inherited, PATH: searchPath(), HOME: this.#options.dir, HOSTNAME: this.desired.hostname, ...command?.env, ...this.place.applicationEnv }
    return { argv: command?.argv ?? [], env, cwd: absolute(this.#options.dir, command?.workingDir) }
  }

  get ready(): boolean {
    const all = [...this.#containers, ...(this.#sidecar === undefined ? [] : [this.#sidecar])]
    return this.#phase === 'Running' && !this.#terminating && all.every((c) => c.ready)
  }

  /** Ready, or done as a Job is. */
  get settled(): boolean {
    return this.ready || this.#phase === 'Succeeded'
  }

  get phase(): 'Pending' | 'Running' | 'Succeeded' | 'Failed' {
    return this.#phase
  }

  /** The control plane's root has changed: nothing that the sidecar holds is worth anything. */
  restartSidecar(why: string): void {
    this.#sidecar?.restart(why)
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#terminating) return
    this.#terminating = true
    this.#options.onChange(this)
    for (const p of this.#probings.values()) p.stop()
    await Promise.all([...this.#initial, ...this.#containers].map((c) => c.stop(graceMs)))
    this.#stopWatching?.()
    await this.#sidecar?.stop(graceMs)
    this.#place?.release()
  }

  view(): PodView {
    const all = [...this.#containers, ...(this.#sidecar === undefined ? [] : [this.#sidecar])]
    const containers = all.map((c): ContainerView => ({ name: c.name, ready: c.ready, restarts: c.restarts, status: c.status, ...(c.detail === undefined ? {} : { detail: c.detail }) }))
    const { namespace, name, workload } = this.desired
    return {
      namespace, name, owner: `${workload.kind}/${workload.name}`, containers, ready: this.ready, status: this.#status(), restarts: all.reduce((n, c) => n + c.restarts, 0), createdAt: this.createdAt, ip: this.address, node,
      serviceAccount: serviceAccountOf(this.desired), injected: this.injected,
    }
  }

  /** kubectl's STATUS column. */
  #status(): string {
    if (this.#terminating) return 'Terminating'
    if (this.#phase === 'Succeeded') return 'Completed'
    if (this.#phase === 'Failed') return 'Error'
    const bad = [...(this.#sidecar === undefined ? [] : [this.#sidecar]), ...this.#containers, ...this.#initial].find((c) => ['CrashLoopBackOff', 'ErrImagePull', 'Error'].includes(c.status))
    if (bad !== undefined) return bad.status
    if (this.#initializing !== undefined) return `Init:${this.#initial.findIndex((c) => c.name === this.#initializing)}/${this.#initial.length}`
    if (this.#phase === 'Pending') return this.#sidecar === undefined || !this.#sidecar.running ? 'ContainerCreating' : 'PodInitializing'
    return this.#containers.every((c) => c.status === 'Completed') && this.#containers.length > 0 ? 'Completed' : 'Running'
  }

  object(): Record<string, unknown> {
    const { containers } = this.view()
    return podObject(this.desired, { uid: this.uid, address: this.address, node, createdAt: this.createdAt, phase: this.#phase, ready: this.ready, terminating: this.#terminating, injected: this.injected, containers })
  }
}

function absolute(dir: string, path: string | undefined): string {
  return path === undefined ? dir : path.startsWith('/') ? path : `${dir}/${path}`
}

export function newPodUid(): string {
  return randomUUID()
}
