// The control plane, built by hand from top to bottom: sources → mesh → plan → generate → delta ADS; the CA beside it.
import { Server, experimental } from '@grpc/grpc-js'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Counter, Gauge, Registry } from 'prom-client'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { formatRef, type Problem } from '#lib/problem.ts'
import type { MeshConfigSpec } from '#api'
import { createCertificateHandler, type Authority, type TokenReviewer } from '#ca'
import { watchFiles, type Objects } from '#sources'
import { createCertificateMethod, deltaMethod, sotwMethod } from '#xds'
import { authoritySource } from './authority-source.ts'
import { Discovery } from './discovery.ts'
import { ServingCertificate } from './serving-certificate.ts'
import { nextSnapshot, type Snapshot } from './snapshot.ts'
import { serveStatus } from './status-port.ts'

export interface ControlPlaneOptions {
  /** Files and folders that are watched. */
  readonly config: readonly string[]
  readonly meshConfig: MeshConfigSpec
  /** `root-cert.pem` is written here; `cacerts/` here is the plugged-in authority. */
  readonly stateDir: string
  /** `ip:port`; 0 chooses a port. */
  readonly listen: string
  readonly statusPort: number
  readonly reviewer: TokenReviewer
  /** The self-signed root outlives this process: key in `stateDir`/root, mode 0600. Default: memory alone. */
  readonly keepRoot?: boolean
  /** Default 24 hours. */
  readonly certificateLifetimeMs?: number
  readonly log: Logger
}

export interface ControlPlane {
  /** Where xDS and CA are served. */
  readonly port: number
  readonly statusPort: number
  /** undefined: nothing could be made of the sources yet. */
  readonly snapshot: () => Snapshot | undefined
  stop(): Promise<void>
}

const serverNames = ['istiod.istio-system.svc', 'istiod.istio-system', 'istiod']
const maxLifetimeMs = 90 * 86_400_000

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { log } = options
  const registry = new Registry()
  const pushes = new Counter({ name: 'pilot_xds_events_total', help: 'Pushes, ACKs, NACKs and refusals of proxies.', labelNames: ['event'], registers: [registry] })
  const issued = new Counter({ name: 'citadel_server_csr_count', help: 'Certificate requests by outcome.', labelNames: ['outcome'], registers: [registry] })
  const trustDomain = options.meshConfig.trustDomain ?? 'cluster.local'
  mkdirSync(options.stateDir, { recursive: true })
  const rootExpiry = new Gauge({ name: 'citadel_server_root_cert_expiry_timestamp', help: 'Unix time at which the signing certificate ends.', registers: [registry] })
  const announce = (authority: Authority): void => {
    writeWhole(join(options.stateDir, 'root-cert.pem'), authority.roots)
    rootExpiry.set(authority.certificate.notAfter.getTime() / 1000)
  }
  const authority = await authoritySource({
    stateDir: options.stateDir, keepRoot: options.keepRoot === true, trustDomain, now: Date.now, log,
    async onChange(next) {
      announce(next)
      await serving.renew()
    },
  })
  const serving = new ServingCertificate(authority.current, serverNames, Date.now, log)
  announce(authority.current())
  await serving.renew()

  const discovery = new Discovery({ trustDomains: [trustDomain, ...(options.meshConfig.trustDomainAliases ?? [])], now: Date.now, log, count: (event) => pushes.inc({ event }) })
  let snapshot: Snapshot | undefined
  const take = (objects: Objects): void => {
    const fromMs = performance.now()
    reportProblems(objects.problems, log)
    try {
      snapshot = nextSnapshot(snapshot, objects.objects, options.meshConfig)
    } catch (error) {
      return log.error({ error: error instanceof Error ? error.stack : String(error) }, 'snapshot could not be made, the last good one stays')
    }
    if (snapshot.number === 1) log.info({ objects: objects.objects.length, workloads: snapshot.mesh.workloads.length, ms: Math.round(performance.now() - fromMs) }, 'first snapshot taken')
    discovery.publish(snapshot, fromMs)
  }
  const watch = watchFiles(options.config, take)
  take(watch.current())

  const server = new Server({ 'grpc.keepalive_time_ms': 30_000, 'grpc.max_receive_message_length': 16 * 1024 * 1024 })
  server.addService({ delta: deltaMethod, sotw: sotwMethod }, { delta: discovery.handle, sotw: discovery.handleSotw })
  server.addService({ create: createCertificateMethod }, {
    create: createCertificateHandler({ authority: authority.current, reviewer: options.reviewer, trustDomain, defaultLifetimeMs: options.certificateLifetimeMs ?? 86_400_000, maxLifetimeMs, now: Date.now, log, count: (outcome) => issued.inc({ outcome }) }),
  })
  const port = await bind(server, options.listen, serving)
  const status = await serveStatus(options.statusPort, { registry, snapshot: () => snapshot?.number ?? 0, proxies: () => discovery.status(), ready: () => snapshot !== undefined })
  return {
    port, statusPort: (status.address() as { port: number }).port, snapshot: () => snapshot,
    async stop() {
      watch.close()
      authority.close()
      serving.close()
      server.forceShutdown()
      await new Promise((resolve) => status.close(resolve))
    },
  }
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

/** What a user must hear of, once each time it is read. */
function reportProblems(problems: readonly Problem[], log: Logger): void {
  for (const p of problems) {
    const fields = { code: p.code, where: formatRef(p.ref), file: p.ref.file, line: p.ref.line, field: p.ref.path, problem: p.message, help: p.help }
    if (p.severity === 'error') log.error(fields, 'refused, the last good one stays')
    else log.warn(fields, 'worth a look')
  }
}
