// The control plane, built by hand from top to bottom: sources → mesh → plan → generate → delta ADS; the CA beside it.
import { Server, experimental } from '@grpc/grpc-js'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import type { Problem } from '#lib/problem.ts'
import { unserved, type ApiObject, type MeshConfigSpec, type RequestAuthentication } from '#api'
import { createCertificateHandler, type Authority, type Caller, type TokenReviewer } from '#ca'
import { parseCertificates } from '#identity'
import { foreignHostProblem, foreignHosts } from '#mesh'
import { keysWanted } from '#plan'
import { objectMark, watchFiles, type KindStatus, type Objects } from '#sources'
import { createCertificateMethod, deltaMethod, sotwMethod } from '#xds'
import { authoritySource, type AuthoritySource } from './authority-source.ts'
import type { Credentials } from './credentials.ts'
import { Discovery } from './discovery.ts'
import { fileCredentials } from './file-credentials.ts'
import { fixedMeshConfig, type MeshConfigSource } from './mesh-config-source.ts'
import { IssuerKeys, type IssuerKeysOptions } from './issuer-keys.ts'
import { controlPlaneMetrics } from './metrics.ts'
import { reportProblems, reportsOnce } from './report-problems.ts'
import { ServingCertificate } from './serving-certificate.ts'
import { nextSnapshot, type Snapshot } from './snapshot.ts'
import { stagedAuthority, type StagedAuthority, type StagedAuthorityOptions, type Trust } from './staged-authority.ts'
import { serveStatus, type StatusAddress } from './status-port.ts'
import { revokedPeers } from './revoked-peers.ts'
import { trustResource } from './trust-resource.ts'

/** Where objects come from: files by default, or a cluster. */
export type ObjectSource = (onChange: (objects: Objects) => void) => { current(): Objects; close(): void }

export interface ControlPlaneOptions {
  /** Files and folders that are watched; ignored where `objects` is given. */
  readonly config?: readonly string[]
  /** Folders of `config` in which files appear whole, by a rename: they are taken up at once. */
  readonly wholeConfig?: readonly string[]
  readonly objects?: ObjectSource
  /** What the source calls when its config changes. */
  readonly meshConfig: MeshConfigSpec | ((onChange: () => void) => MeshConfigSource | Promise<MeshConfigSource>)
  /** `root-cert.pem` is written here; `cacerts/` here is the plugged-in authority. */
  readonly stateDir?: string
  /** Default: by `stateDir`. */
  readonly authority?: (trustDomain: string, onChange: (authority: Authority) => void) => Promise<AuthoritySource>
  readonly staging?: Pick<StagedAuthorityOptions, 'leastMs' | 'mostMs' | 'muteMs' | 'share'>
  /** `ip:port`; 0 chooses a port. */
  readonly listen: string
  /** On loopback where only a port is given. */
  readonly statusPort: number | StatusAddress
  readonly reviewer: TokenReviewer
  /** A token that is bound to a pod counts only for a pod that the snapshot knows. */
  readonly onlyKnownPods?: boolean
  /** DNS names of the serving certificate. */
  readonly serverNames?: readonly string[]
  /** The self-signed root outlives this process: key in `stateDir`/root, mode 0600. Default: memory alone. */
  readonly keepRoot?: boolean
  /** Default 24 hours. */
  readonly certificateLifetimeMs?: number
  /** Of all objects those that this mesh is made from. Default: all. */
  readonly scope?: (objects: readonly ApiObject[], config: MeshConfigSpec) => readonly ApiObject[]
  readonly kinds?: () => readonly KindStatus[]
  readonly clusterStatus?: () => object
  /** What /ready says beside its status. */
  readonly readyNotes?: () => readonly string[]
  readonly leads?: () => boolean
  readonly mayDebug?: (token: string) => Promise<boolean>
  /** Secrets that DestinationRules name. Default: those among the objects. */
  readonly credentials?: (onChange: () => void) => Credentials
  /** How keys of RequestAuthentications are fetched. */
  readonly issuerKeys?: Pick<IssuerKeysOptions, 'loopback' | 'refreshMs' | 'retryMs'>
  readonly onTrust?: (trust: Trust) => void
  readonly onSnapshot?: (snapshot: Snapshot, problems: readonly Problem[]) => void
  readonly log: Logger
}

export interface ControlPlane {
  /** Where xDS and CA are served. */
  readonly port: number
  readonly statusPort: number
  /** undefined: nothing could be made of the sources yet. */
  readonly snapshot: () => Snapshot | undefined
  readonly authority: StagedAuthority
  readonly serving: ServingCertificate
  readonly meshConfig: () => MeshConfigSpec
  readonly registry: Registry
  /** `drainMs`: not ready any more, but still answering for so long; then streams end so that proxies go elsewhere. Default 0. `drained`: what else ends then. */
  stop(drainMs?: number, drained?: () => Promise<void>): Promise<void>
}

const usualServerNames = ['istiod.istio-system.svc', 'istiod.istio-system', 'istiod']
/** An issuer that does not answer holds up nobody for longer. */
const mostKeysWaitMs = 2000
/** On one connection: a sidecar opens two, and one now and then to renew. */
const mostStreams = 100
const maxLifetimeMs = 90 * 86_400_000

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { log, stateDir } = options
  const registry = new Registry()
  const metrics = controlPlaneMetrics(registry, {
    proxies: () => discovery.status().length, objects: () => snapshot?.mesh.objects.length ?? 0, kinds: () => options.kinds?.() ?? [], leads: () => options.leads?.(),
    rootEndsMs: () => Math.min(...parseCertificates(authority.trust().roots).map((c) => Date.parse(c.validTo))), signerEndsMs: () => authority.current().certificate.notAfter.getTime(),
  })
  if (stateDir !== undefined) mkdirSync(stateDir, { recursive: true })

  let ending = false
  let snapshot: Snapshot | undefined
  let held: Objects | undefined
  let waiting: Promise<unknown> | undefined
  const keys = new IssuerKeys({ log, onChange: () => held !== undefined && waiting === undefined && take(held), ...options.issuerKeys })
  const reported = new WeakSet<Problem>()
  const unservedSaid = reportsOnce(log)
  const foreignSaid = reportsOnce(log)
  const take = (objects: Objects): void => {
    const fromMs = performance.now()
    held = objects
    reportProblems(objects.problems.filter((p) => !reported.has(p) && reported.add(p)), log)
    unservedSaid(objects.objects.flatMap(unserved))
    const scoped = options.scope?.(objects.objects, config.current()) ?? objects.objects
    const asking = keys.want(keysWanted(scoped.filter((o): o is RequestAuthentication => o.kind === 'RequestAuthentication' && o.apiVersion.startsWith('security.istio.io/'))))
    if (asking !== undefined) waiting = Promise.race([asking, pause(mostKeysWaitMs, undefined, { ref: false })]).finally(() => (waiting = undefined))
    // Proxies that verify tokens go on with the keys that they have until new ones are here, or don't come.
    if (waiting !== undefined) return void waiting.then(() => !ending && held === objects && publish(objects, scoped, fromMs))
    publish(objects, scoped, fromMs)
  }
  const publish = (objects: Objects, scoped: readonly ApiObject[], fromMs: number): void => {
    try {
      snapshot = nextSnapshot(snapshot, scoped, config.current(), keys.held())
    } catch (error) {
      return log.error({ error: error instanceof Error ? error.stack : String(error) }, 'snapshot could not be made, the last good one stays')
    }
    if (snapshot.number === 1) log.info({ objects: objects.objects.length, workloads: snapshot.mesh.workloads.length, ms: Math.round(performance.now() - fromMs) }, 'first snapshot taken')
    foreignSaid(foreignHosts(snapshot.mesh).map((f): Problem => ({ ...foreignHostProblem(f, { config: config.current() }), severity: 'warning' })))
    discovery.publish(snapshot, fromMs)
    if (options.credentials === undefined) discovery.publishSecrets()
    options.onSnapshot?.(snapshot, objects.problems)
  }
  const config = typeof options.meshConfig === 'function' ? await options.meshConfig(() => held !== undefined && take(held)) : fixedMeshConfig(options.meshConfig)
  const trustDomain = (): string => config.current().trustDomain ?? 'cluster.local'

  const credentials = options.credentials?.(() => discovery.publishSecrets()) ?? fileCredentials(() => snapshot?.mesh.objects ?? [], log)
  const revoked = revokedPeers(Date.now, log)
  const discovery = new Discovery({
    credentials, revoked: revoked.named,
    trustDomains: () => [trustDomain(), ...(config.current().trustDomainAliases ?? [])], trust: () => trustResource(authority.trust()), now: Date.now, log, count: metrics.push, converged: metrics.converged,
  })
  const offer = (next: Authority): void => authority.offer(next)
  const source = await (options.authority?.(trustDomain(), offer) ?? authoritySource({ stateDir: needed(stateDir), keepRoot: options.keepRoot === true, trustDomain: trustDomain(), now: Date.now, log, onChange: offer }))
  const announce = (trust: Trust): void => {
    if (stateDir !== undefined) writeWhole(join(stateDir, 'root-cert.pem'), trust.roots)
    discovery.publishSecrets()
    revoked.take(trust.revocations).catch((error: unknown) => log.error({ error: String(error) }, 'revocation lists can’t be read, the last ones go on'))
    options.onTrust?.(trust)
  }
  const authority: StagedAuthority = stagedAuthority({
    first: source.first, ...(source.held === undefined ? {} : { held: source.held }), ...(source.former === undefined ? {} : { former: source.former }), now: Date.now, log, everyoneSince: (ms) => discovery.everyoneSince(ms), ...options.staging,
    onChange(trust) {
      announce(trust)
      serving.renew().catch((error: unknown) => log.error({ error: String(error) }, 'serving certificate could not be renewed, the last one goes on'))
    },
  })
  const serving = new ServingCertificate(authority.current, options.serverNames ?? usualServerNames, Date.now, log)
  announce(authority.trust())
  await serving.renew()

  const watch = (options.objects ?? ((onChange) => watchFiles(options.config ?? [], onChange, options.wholeConfig)))(take)
  if (options.objects === undefined) take(watch.current())

  const knows = ({ namespace, pod, serviceAccount }: Caller): 'known' | 'unknown' | 'another' => {
    const workload = snapshot?.workloadById.get(`${pod}.${namespace}`)
    return workload === undefined ? 'unknown' : workload.serviceAccount === serviceAccount ? 'known' : 'another'
  }
  const server = new Server({ 'grpc.keepalive_time_ms': 30_000, 'grpc.max_receive_message_length': 16 * 1024 * 1024, 'grpc.max_concurrent_streams': mostStreams })
  server.addService({ delta: deltaMethod, sotw: sotwMethod }, { delta: discovery.handle, sotw: discovery.handleSotw })
  server.addService({ create: createCertificateMethod }, {
    create: createCertificateHandler({
      authority: authority.current, maySign: authority.maySign, reviewer: options.reviewer, trustDomain, defaultLifetimeMs: options.certificateLifetimeMs ?? 86_400_000, maxLifetimeMs, now: Date.now, log, count: metrics.csr,
      ...(options.onlyKnownPods === true ? { knows } : {}),
    }),
  })
  const port = await bind(server, options.listen, serving)
  const status = await serveStatus(typeof options.statusPort === 'number' ? { host: '127.0.0.1', port: options.statusPort } : options.statusPort, {
    registry, log, names: options.serverNames ?? usualServerNames, snapshot: () => snapshot?.number ?? 0, proxies: () => discovery.status(),
    marks: (under) => (snapshot?.mesh.objects ?? []).filter((o) => o.origin.file?.startsWith(under) === true).map(objectMark),
    ready: () => snapshot !== undefined && !ending,
    ...(options.readyNotes === undefined ? {} : { notes: options.readyNotes }),
    ...(options.kinds === undefined ? {} : { kinds: options.kinds }), ...(options.clusterStatus === undefined ? {} : { cluster: options.clusterStatus }), ...(options.mayDebug === undefined ? {} : { mayDebug: options.mayDebug }),
  })
  return {
    port, statusPort: (status.address() as { port: number }).port, snapshot: () => snapshot, authority, serving, meshConfig: () => config.current(), registry,
    async stop(drainMs = 0, drained) {
      ending = true
      if (drainMs > 0) await pause(drainMs)
      await drained?.()
      if (drainMs > 0) {
        discovery.drain()
        // What was just said shall still go out.
        await Promise.race([new Promise((resolve) => server.tryShutdown(resolve)), pause(1000)])
      }
      watch.close()
      config.close()
      credentials.close()
      keys.close()
      source.close()
      await authority.close()
      serving.close()
      server.forceShutdown()
      await new Promise((resolve) => {
        status.close(resolve)
        status.closeAllConnections()
      })
    },
  }
}

function needed(stateDir: string | undefined): string {
  if (stateDir === undefined) throw new KithError('FLAG_MISSING', 'without an authority of its own the control plane needs a state folder')
  return stateDir
}

function bind(server: Server, listen: string, serving: ServingCertificate): Promise<number> {
  const credentials = experimental.createCertificateProviderServerCredentials(serving as never, serving as never, false)
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, credentials, (error, port) => {
      if (error === null) resolve(port)
      else reject(new KithError('PORT_IN_USE', `${listen} can't be opened: ${error.message}`, { cause: error }))
    })
  })
}

/** In one step: whoever reads sees the old file or the new one. */
function writeWhole(path: string, text: string): void {
  const aside = `${path}.${process.pid}`
  writeFileSync(aside, text)
  renameSync(aside, path)
}
