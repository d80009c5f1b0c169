// What stands beside the application, built by hand: certificate first, then configuration into the proxy, then ready.
import type { Logger } from '#lib/log.ts'
import { clusterNames } from '#lib/own-server.ts'
import { formatSpiffeId, parseTrustBundle } from '#identity'
import { serveAgentPort } from './agent-port.ts'
import { requestCertificate } from './ca-client.ts'
import type { DataPlane } from './data-plane.ts'
import type { AgentSettings } from './environment.ts'
import { makeKeyAndRequest } from './key-pair.ts'
import { mayLeave } from './leaving.ts'
import { applicationMetrics, mergeMetrics } from './merged-metrics.ts'
import { parseProbers } from './probes.ts'
import { ReadinessGate, readinessPlace, serveReadiness } from './readiness.ts'
import { followFile } from './root-file.ts'
import { Rotation, type WorkloadCertificate } from './rotation.ts'

export interface Sidecar {
  ready(): Promise<boolean> | boolean
  /** Idle connections end, new ones are still served: callers have not heard yet. */
  drain(): Promise<void>
  /** Drains until it may leave, then closes everything. `alone`: the application has gone before, or asked for it. */
  stop(alone?: boolean): Promise<void>
}

export interface SidecarOptions {
  /** Default: a child of the agent's. */
  readonly proxyLog?: Logger
  /** Already served; default: a gate of its own, and its port. */
  readonly gate?: ReadinessGate
}

const lookMs = 50

export async function startSidecar(settings: AgentSettings, log: Logger, onQuit: () => void, options: SidecarOptions = {}): Promise<Sidecar> {
  const proxyLog = options.proxyLog ?? log.child({ part: 'proxy' })
  const gate = options.gate ?? new ReadinessGate()
  const identity = formatSpiffeId(settings)
  let plane: DataPlane | undefined
  let mounted = ''
  const hand = (c: WorkloadCertificate): void => plane?.certificate({ ...c, mounted })
  const rotation: Rotation = new Rotation({
    identity, trustDomain: settings.trustDomain,
    fetch: async () => {
      const { key, csr } = await makeKeyAndRequest(identity)
      return { key, chain: await requestCertificate(settings, csr, rotation.current?.roots) }
    },
    onCertificate: hand, now: Date.now, pick: Math.random, log,
  })
  // While the certificate is asked for, the proxy is loaded: most of a sidecar's start is one of the two.
  const first = rotation.start()
  const started = await startDataPlane(settings, log, proxyLog, onQuit, () => rotation.renewNow()).catch((error: unknown) => {
    rotation.stop()
    throw error
  })
  plane = started
  if (rotation.current !== undefined) hand(rotation.current)
  const roots = followFile(settings.rootPath, (text, isFirst) => {
    if (!isFirst) log.info({}, 'the mesh’s root certificates have changed')
    mounted = readableRoots(text, log)
    if (isFirst) return
    // What is mounted counts at once: the CA may be known by it alone, and silent until all know it.
    if (rotation.current !== undefined) hand(rotation.current)
    rotation.renewNow()
  })
  let ending = false
  let drained = false
  let failedScrapes = 0
  const drain = async (): Promise<void> => {
    if (!drained) log.info({}, 'draining')
    drained = true
    await started.drain()
  }
  const ready = (): Promise<boolean> | boolean => !ending && rotation.current !== undefined && started.ready()
  const application = applicationMetrics(settings.prometheus, settings.statusPort)
  const metrics = async (): Promise<string> => mergeMetrics((await started.metrics()) + agentMetrics(rotation.current, failedScrapes), application, () => void failedScrapes++)
  const at = settings.portBase === undefined ? { host: undefined, port: settings.statusPort } : { host: '127.0.0.1', port: settings.portBase + 1 }
  const health = options.gate === undefined ? await serveReadiness(readinessPlace(settings.portBase), gate, log) : undefined
  const port = await serveAgentPort({
    at, gate, metrics, probers: parseProbers(settings.probers), log,
    isOwnName: clusterNames([settings.pod, settings.workload, settings.labels['app'] ?? ''], settings.namespace, settings.domain.replace(`${settings.namespace}.svc.`, '')),
    // Where connections are redirected, what comes from 127.0.0.6 is let through to the application; all else would meet the sidecar itself.
    application: { address: settings.address, from: settings.dialMap === undefined && settings.address.includes('.') ? '127.0.0.6' : undefined }, onQuit, onDrain: drain,
  })
  gate.ask(ready)
  await first
  await started.begin()
  return {
    ready,
    drain,
    async stop(alone = drained) {
      ending = true
      gate.end()
      const fromMs = performance.now()
      await drain()
      while (!mayLeave(settings.leaving, { elapsedMs: performance.now() - fromMs, connections: await started.connections(), alone })) await new Promise((resolve) => setTimeout(resolve, lookMs))
      roots.stop()
      rotation.stop()
      await started.end()
      port.close()
      health?.close()
    },
  }
}

/** Each data plane is loaded only where it runs: a sidecar shall be small. */
async function startDataPlane(settings: AgentSettings, log: Logger, proxyLog: Logger, onQuit: () => void, onOutdated: () => void): Promise<DataPlane> {
  if (settings.proxy === 'envoy') return (await import('./envoy/envoy-data-plane.ts')).startEnvoyDataPlane(settings, log, onQuit, onOutdated)
  return (await import('./kith-data-plane.ts')).startKithDataPlane(settings, log, proxyLog, onQuit, onOutdated)
}

/** A spoilt mount counts nothing, and the agent goes on. */
function readableRoots(text: string, log: Logger): string {
  try {
    return parseTrustBundle(text).pem
  } catch (error) {
    log.warn({ reason: (error as Error).message }, 'the mounted root certificates can’t be read')
    return ''
  }
}

function agentMetrics(certificate: WorkloadCertificate | undefined, failedScrapes: number): string {
  const scrapes = `# HELP istio_agent_scrape_failures_total Scrapes of the application that failed.\n# TYPE istio_agent_scrape_failures_total counter\nistio_agent_scrape_failures_total{type="application"} ${failedScrapes}\n`
  if (certificate === undefined) return scrapes
  return `${scrapes}# HELP cert_expiry_seconds Seconds until the workload certificate ends.\n# TYPE cert_expiry_seconds gauge\ncert_expiry_seconds{resource_name="default"} ${((certificate.notAfterMs - Date.now()) / 1000).toFixed(1)}\n`
}
