// What stands beside the application, built by hand: certificate first, then configuration into the proxy, then ready.
import type { Logger } from '#lib/log.ts'
import { formatSpiffeId } from '#identity'
import { requestCertificate } from './ca-client.ts'
import type { DataPlane } from './data-plane.ts'
import type { AgentSettings } from './environment.ts'
import { serveHealth } from './health-ports.ts'
import { makeKeyAndRequest } from './key-pair.ts'
import { parseProbers } from './probes.ts'
import { Rotation, type WorkloadCertificate } from './rotation.ts'

export interface Sidecar {
  ready(): Promise<boolean> | boolean
  /** Lets open work end, at most `drainMs`, then closes everything. */
  stop(): Promise<void>
}

export async function startSidecar(settings: AgentSettings, log: Logger, onQuit: () => void): Promise<Sidecar> {
  const identity = formatSpiffeId(settings)
  const plane = await startDataPlane(settings, log, onQuit)
  const rotation: Rotation = new Rotation({
    identity, trustDomain: settings.trustDomain,
    fetch: async () => {
      const { key, csr } = await makeKeyAndRequest(identity)
      return { key, chain: await requestCertificate(settings, csr, rotation.current?.roots) }
    },
    onCertificate: (c) => plane.certificate(c), now: Date.now, pick: Math.random, log,
  })
  let ending = false
  const ready = (): Promise<boolean> | boolean => !ending && rotation.current !== undefined && plane.ready()
  const [host, base] = settings.portBase === undefined ? ['0.0.0.0', 15019] : ['127.0.0.1', settings.portBase]
  const health = await serveHealth({
    agent: { host, port: base + 1 }, health: { host, port: base + 2 }, ready, metrics: async () => (await plane.metrics()) + agentMetrics(rotation.current), probers: parseProbers(settings.probers), podAddress: settings.address, onQuit,
  })
  await rotation.start()
  await plane.begin()
  return {
    ready,
    async stop() {
      ending = true
      rotation.stop()
      await plane.end(settings.drainMs)
      health.close()
    },
  }
}

/** Each data plane is loaded only where it runs: a sidecar shall be small. */
async function startDataPlane(settings: AgentSettings, log: Logger, onQuit: () => void): Promise<DataPlane> {
  if (settings.proxy === 'envoy') return (await import('./envoy/envoy-data-plane.ts')).startEnvoyDataPlane(settings, log, onQuit)
  return (await import('./kith-data-plane.ts')).startKithDataPlane(settings, log, onQuit)
}

function agentMetrics(certificate: WorkloadCertificate | undefined): string {
  if (certificate === undefined) return ''
  return `# HELP cert_expiry_seconds Seconds until the workload certificate ends.\n# TYPE cert_expiry_seconds gauge\ncert_expiry_seconds{resource_name="default"} ${((certificate.notAfterMs - Date.now()) / 1000).toFixed(1)}\n`
}
