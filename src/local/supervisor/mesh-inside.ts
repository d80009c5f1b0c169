// The mesh put together by hand, top to bottom: sandbox, objects, control plane, external servers, pods, control socket.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { dump } from 'js-yaml'
import { KithError } from '#lib/errors.ts'
import type { Problem } from '#lib/problem.ts'
import { clusterDomainOf, decodeMeshConfig, refTo } from '#api'
import { sidecarMark, type Exemption } from '#interception'
import { readFiles, watchFiles, type Objects } from '#sources'
import { searchPath } from '../container-command.ts'
import { readMeshFile } from '../mesh-file.ts'
import { sidecarContainer } from '../pod-object.ts'
import { checkOpenFiles } from '../open-files.ts'
import { writeFile } from '../replace-file.ts'
import { brokenFiles, watchMeshFile } from './saved-files.ts'
import { statePaths, type MeshRecord } from '../state-dir.ts'
import type { MeshEvent } from '../types.ts'
import { AppliedFiles } from './applied-files.ts'
import { Cluster, type EventBody } from './cluster.ts'
import { shareCompileCache, sidecarCacheDir } from './compile-cache.ts'
import { startControlPlane } from './control-plane-process.ts'
import { serveControl } from './control-server.ts'
import { inForce, type SidecarFace } from './in-force.ts'
import { startExternal } from './external.ts'
import { explicitSandbox } from './explicit.ts'
import { privateRun } from './mounts.ts'
import { namespacedSandbox } from './namespaced.ts'
import type { SupervisorOptions } from './options.ts'
import { othersCanRead, ownerOf, reapForever } from './process-world.ts'
import { sidecarProgram } from './sidecar.ts'
import { createTokenIssuer } from './tokens.ts'

export interface MeshInside {
  stop(why: string): Promise<void>
  onDown(action: (why: string | undefined) => void): void
}

/** Where Envoy is, or at once why it can't be had: no pod would come up. */
async function envoyFor(mode: SupervisorOptions['mode']): Promise<string> {
  if (mode === 'explicit') throw new KithError('MODE_UNSUPPORTED', 'Envoy needs intercepted connections, which explicit mode has not: use --mode namespaced, or --proxy kith')
  const { findEnvoy } = await import('#agent') // all of the data plane: only for those who ask for Envoy
  return findEnvoy(process.env['KITH_ENVOY_PATH'] ?? '', searchPath())
}

const propagationMs = 5000
const mostEvents = 2000

export async function startMeshInside(options: SupervisorOptions): Promise<MeshInside> {
  const startedAt = new Date().toISOString()
  const startMs = Date.now()
  const paths = statePaths(options.stateDir)
  const events: MeshEvent[] = []
  const listeners = new Set<(event: MeshEvent) => void>()
  const emit = (body: EventBody): void => {
    const event = { at: new Date().toISOString(), ...body } as MeshEvent
    events.push(event)
    if (events.length > mostEvents) events.splice(0, mostEvents / 2)
    for (const listener of listeners) listener(event)
  }

  const file = readMeshFile(options.dir)
  for (const problem of file.problems) emit({ event: 'problem', problem })
  const fault = file.problems.find((p) => p.severity === 'error')
  if (fault !== undefined) throw new KithError('MESH_FILE_INVALID', `${fault.ref.file ?? 'kith.yaml'}${fault.ref.line === undefined ? '' : `:${fault.ref.line}`}: ${fault.message}${fault.help === undefined ? '' : `; ${fault.help}`}`)
  const { config: meshConfig, problems: configProblems } = decodeMeshConfig(file.meshConfig ?? {}, file.path === undefined ? {} : { file: file.path })
  for (const problem of configProblems) emit({ event: 'problem', problem })
  const domain = clusterDomainOf(meshConfig)
  const trustDomain = meshConfig.trustDomain ?? 'cluster.local'

  const proxy = options.proxy ?? file.proxy ?? 'kith'
  const envoyPath = proxy === 'envoy' ? await envoyFor(options.mode) : undefined
  if (options.mode === 'namespaced') {
    if (spawnSync('setpriv', ['--version']).error !== undefined) throw new KithError('NAMESPACES_REFUSED', 'setpriv is missing; it comes with util-linux')
    privateRun([options.stateDir, options.dir])
    if (process.pid === 1) reapForever()
  }
  const exemption: Exemption = options.ownUsers && othersCanRead([process.execPath, options.programs.agent, ...(envoyPath === undefined ? [] : [envoyPath])]) ? { by: 'owner', uid: 1337, gid: 1337 } : { by: 'mark', mark: sidecarMark }
  // Under sudo, programs of a user's folder run as that user: without capabilities, root could not even read it.
  const applicationUser = options.ownUsers && othersCanRead([process.execPath]) ? ownerOf(options.dir) : undefined
  const cacheShared = options.mode === 'namespaced' && exemption.by === 'owner' && shareCompileCache(process.env['NODE_COMPILE_CACHE'], exemption.uid)
  const sandbox = options.mode === 'namespaced' ? namespacedSandbox({ rootCertDir: paths.rootCert, podsDir: paths.pods, domain, exemption, ...(applicationUser === undefined ? {} : { applicationUser }) }) : await explicitSandbox({ stateDir: options.stateDir, podsDir: paths.pods, domain })

  const tokens = createTokenIssuer()
  const userPaths = file.resources === undefined ? [options.dir] : file.resources.map((r) => resolve(options.dir, r))
  const unreadable = readFiles(file.resources === undefined ? [] : userPaths).problems.find((p) => p.code === 'KITH0002')
  if (unreadable !== undefined) throw new KithError('MESH_FILE_INVALID', `spec.resources of kith.yaml: ${unreadable.message}`)
  const applied = new AppliedFiles(paths.applied)
  const meshConfigFile = file.meshConfig === undefined ? undefined : join(options.stateDir, 'mesh-config.yaml')
  if (meshConfigFile !== undefined) writeFile(meshConfigFile, dump(file.meshConfig))
  mkdirSync(paths.objects, { recursive: true })
  const configPaths = [...userPaths, paths.applied, paths.objects]

  let controlPlaneIsReady: () => void = () => undefined
  const controlPlaneReady = new Promise<void>((done) => (controlPlaneIsReady = done))
  const external = await startExternal(file.external, sandbox, { dir: options.dir, emit })
  const cluster = new Cluster({
    dir: options.dir, objectsDir: paths.objects, images: file.images, meshConfig, external: external.names, sandbox, tokens, controlPlaneReady, emit,
    sidecar: sidecarProgram({ program: options.programs.agent, proxy, ...(envoyPath === undefined ? {} : { envoyPath }), controlPlane: sandbox.controlPlaneAddress, trustDomain, inherited: { ...inheritedEnv(), ...(cacheShared ? { NODE_COMPILE_CACHE: sidecarCacheDir } : {}) } }),
  })
  const broken = brokenFiles()
  const watch = watchFiles([...userPaths, paths.applied], (now) => {
    cluster.update(now.objects)
    for (const mended of broken(now.problems)) emit({ event: 'mended', file: mended })
  }, [paths.applied])
  broken(watch.current().problems)
  const meshFileWatch = file.path === undefined ? undefined : watchMeshFile(options.dir, file, (images) => cluster.useImages(images), emit)
  // The pods' objects are written before the control plane reads for the first time, and it starts up while the pods get their places.
  reportUnusual(watch.current(), options.dir, emit)
  const first = cluster.plan(watch.current().objects)
  checkOpenFiles(first.reduce((sum, pod) => sum + pod.view().containers.length, 0))
  const plane = startControlPlane({
    sandbox, program: options.programs.controlPlane, stateDir: options.stateDir, configPaths: userPaths, wholePaths: [paths.applied, paths.objects], tokenKeys: tokens.keys, inherited: inheritedEnv(), ...(meshConfigFile === undefined ? {} : { meshConfigFile }),
    ...(file.certTtlSeconds === undefined ? {} : { certTtlSeconds: file.certTtlSeconds }),
    onReady(again) {
      emit({ event: 'control-plane', status: again ? 'restarted' : 'ready' })
      if (again) cluster.restartSidecars('the control plane has a new root certificate')
      controlPlaneIsReady()
    },
    onLog: (level, message, fields) => emit({ event: 'control-plane-log', level, message, fields }),
    onEnd: (detail) => emit({ event: 'control-plane', status: 'failed', detail }),
  })
  cluster.start(first)

  /** `patient`: what the machine refuses now, such as a full disk, may be allowed later. */
  const waitReady = async (timeoutMs: number, patient = false): Promise<void> => {
    const until = Date.now() + timeoutMs
    while (!(plane.runner.ready && external.ready() && cluster.settled)) {
      const refusal = plane.refusal()
      if (refusal !== undefined && !patient) throw new KithError(refusal.code, `the control plane could not start: ${refusal.reason}`)
      const stuck = cluster.views().find((v) => v.containers.some((c) => c.status === 'ErrImagePull'))
      if (stuck !== undefined || Date.now() > until) throw new KithError('MESH_NOT_READY', notReady(cluster, plane.runner.ready, external.waiting()))
      await new Promise((r) => setTimeout(r, 20))
    }
    // Ready pods are endpoints when every sidecar has heard of them; who calls at once would else find none.
    await propagated(plane, await plane.snapshot().catch(() => 0), 6)
  }
  void waitReady(600_000, true).then(() => emit({ event: 'ready', pods: cluster.views().length, afterMs: Date.now() - startMs }), () => undefined)

  const sidecars = (): readonly SidecarFace[] =>
    cluster.runners().filter((r) => r.injected && r.container(sidecarContainer).ready).map((r) => ({
      name: `${r.desired.name}.${r.desired.namespace}`, proxy, page: (path) => r.page(path),
    }))

  let down: (why: string | undefined) => void = () => undefined
  const record: MeshRecord = { dir: options.dir, mode: options.mode, startedAt, pid: process.pid, configPaths, ...(meshConfigFile === undefined ? {} : { meshConfigFile }) }
  const server = await serveControl({
    socketPath: paths.socket, cluster, waitReady,
    status: () => ({ dir: options.dir, mode: options.mode, pid: process.pid, startedAt, ...(options.modeReason === undefined ? {} : { reason: options.modeReason }) }),
    async change(op, text, origin) {
      const outcome = applied[op](text, origin, watch.current().objects)
      const changed = outcome.changes.filter((c) => c.action !== 'unchanged' && c.action !== 'not found')
      if (changed.length > 0) {
        emit({ event: 'applied', changes: changed })
        const problems = await inForce({ plane, applied: { dir: paths.applied, marks: () => applied.marks() }, sidecars })
        return { ...outcome, problems: [...outcome.problems, ...problems] }
      }
      return outcome
    },
    onEvent(listener) {
      for (const event of events) listener(event)
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    controlPlanePage: (path) => plane.page(path),
    down: (why) => down(why),
  })
  writeFile(paths.record, JSON.stringify(record))
  emit({ event: 'started', mode: options.mode, stateDir: options.stateDir, ...(options.modeReason === undefined ? {} : { reason: options.modeReason }) })

  return {
    onDown: (action) => (down = action),
    async stop(why) {
      emit({ event: 'stopping', why })
      watch.close()
      meshFileWatch?.close()
      await Promise.all([cluster.stop(), external.stop()])
      await plane.stop()
      sandbox.close()
      server.close()
    },
  }
}

/** What the user may wonder about: nothing to run, or something that does not run here. */
function reportUnusual({ objects, problems }: Objects, dir: string, emit: (event: EventBody) => void): void {
  const warn = (problem: Omit<Problem, 'severity'>): void => emit({ event: 'problem', problem: { ...problem, severity: 'warning' } })
  // What was refused is said by the control plane.
  if (objects.length === 0 && problems.length === 0) warn({ code: 'KITH0204', ref: { kind: '', namespace: '', name: '', path: '', file: dir }, message: 'no object was found: nothing runs', help: 'kith up takes a folder with Kubernetes YAML; kith.yaml maps images to commands' })
  for (const o of objects) if (o.kind === 'CronJob') warn({ code: 'KITH0205', ref: refTo(o, 'spec.schedule'), message: 'schedules of CronJobs are not kept here; the CronJob starts nothing', help: 'apply a Job to run it once' })
}

/** Every connected sidecar has what follows from the newest files: several looks in a row, since changes may have crossed, or not been read yet. */
async function propagated(plane: ReturnType<typeof startControlPlane>, snapshot: number, looks = 2): Promise<void> {
  const until = Date.now() + propagationMs
  let calm = 0
  while (calm < looks && Date.now() < until) {
    calm = (await plane.settled(snapshot).catch(() => false)) ? calm + 1 : 0
    await new Promise((r) => setTimeout(r, 20))
  }
}

function notReady(cluster: Cluster, planeReady: boolean, waiting: readonly string[]): string {
  const pods = cluster.views().filter((v) => !v.ready && v.status !== 'Completed').map((v) => {
    const why = v.containers.filter((c) => !c.ready).map((c) => `${c.name} ${c.status}${c.detail === undefined ? '' : `: ${c.detail}`}`)
    return `pod ${v.namespace}/${v.name} is ${v.status} (${why.join('; ')})`
  })
  return ['the mesh is not ready', ...(planeReady ? [] : ['the control plane does not serve yet']), ...waiting.map((w) => `external server does not accept connections: ${w}`), ...pods].join('\n  ')
}

/** Started programs read compiled code from the same cache as we do. */
function inheritedEnv(): Record<string, string> {
  return Object.fromEntries(['NODE_COMPILE_CACHE', 'LANG', 'TZ', 'HOME'].flatMap((k) => (process.env[k] === undefined ? [] : [[k, process.env[k] as string]])))
}
