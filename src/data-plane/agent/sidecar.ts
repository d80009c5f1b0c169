// What stands beside the application, built by hand: certificate first, then configuration into the proxy, then ready.
import type { Logger } from '#lib/log.ts'
import { startProxy, type Proxy } from '#proxy'
import { requestCertificate } from './ca-client.ts'
import { DiscoveryClient } from './discovery-client.ts'
import { nodeId, type AgentSettings } from './environment.ts'
import { serveHealth } from './health-ports.ts'
import { makeKeyAndRequest } from './key-pair.ts'
import { parseProbers } from './probes.ts'
import { Rotation, type WorkloadCertificate } from './rotation.ts'

export interface Sidecar {
  readonly proxy: Proxy
  ready(): boolean
  /** Lets open work end, at most `drainMs`, then closes everything. */
  stop(): Promise<void>
}

export async function startSidecar(settings: AgentSettings, log: Logger, onQuit: () => void): Promise<Sidecar> {
  const identity = `spiffe://${settings.trustDomain}/ns/${settings.namespace}/sa/${settings.serviceAccount}`
  const proxy = await startProxy({
    identity: {
      nodeId: nodeId(settings), pod: settings.pod, namespace: settings.namespace, workload: settings.workload, serviceAccount: settings.serviceAccount, labels: settings.labels, cluster: settings.cluster, trustDomain: settings.trustDomain,
      addresses: [settings.address], owner: settings.owner,
    },
    interception: settings.dialMap === undefined ? { mode: 'REDIRECT' } : { mode: 'NONE', dialMap: settings.dialMap },
    ...(settings.portBase === undefined ? {} : { ports: { admin: settings.portBase, prometheus: settings.portBase + 3 } }), ...(settings.mark === undefined ? {} : { mark: settings.mark }), log: log.child({ part: 'proxy' }), onQuit,
  })
  let configured = false
  let discovery: DiscoveryClient | undefined
  const onCertificate = (c: WorkloadCertificate): void => {
    proxy.setSecret('ROOTCA', { kind: 'trust', roots: c.roots })
    proxy.setSecret('default', { kind: 'certificate', chain: c.chain, key: c.key })
    discovery?.reconnect()
  }
  const rotation = new Rotation({
    identity, trustDomain: settings.trustDomain,
    fetch: async () => {
      const { key, csr } = await makeKeyAndRequest(identity)
      return { key, chain: await requestCertificate(settings, csr) }
    },
    onCertificate, now: Date.now, pick: Math.random, log,
  })
  const ready = (): boolean => configured && proxy.ready()
  const [healthHost, base] = settings.portBase === undefined ? ['0.0.0.0', undefined] : ['127.0.0.1', settings.portBase]
  const health = await serveHealth({
    health: { host: healthHost, port: base === undefined ? 15021 : base + 2 }, agent: { host: healthHost, port: base === undefined ? 15020 : base + 1 }, ready, metrics: () => proxy.metrics() + agentMetrics(rotation.current), probers: parseProbers(settings.probers),
    podAddress: settings.address, onQuit,
  })
  await rotation.start()
  discovery = new DiscoveryClient({
    address: settings.discoveryAddress, serverName: settings.discoveryName, node: node(settings), certificate: () => rotation.current as WorkloadCertificate, proxy, onConfigured: () => {
      configured = true
      log.info({ identity }, 'ready')
    }, log, pick: Math.random,
  })
  discovery.start()
  return {
    proxy, ready,
    async stop() {
      configured = false
      rotation.stop()
      discovery.stop()
      await proxy.drain(settings.drainMs)
      health.close()
      await proxy.stop()
    },
  }
}

function node(s: AgentSettings): { id: string; cluster: string; metadata: Record<string, unknown> } {
  return { id: nodeId(s), cluster: `${s.workload}.${s.namespace}`, metadata: { NAMESPACE: s.namespace, LABELS: s.labels, SERVICE_ACCOUNT: s.serviceAccount, WORKLOAD_NAME: s.workload, CLUSTER_ID: s.cluster, INTERCEPTION_MODE: s.dialMap === undefined ? 'REDIRECT' : 'NONE', GENERATOR: 'kith' } }
}

function agentMetrics(certificate: WorkloadCertificate | undefined): string {
  if (certificate === undefined) return ''
  return `# HELP cert_expiry_seconds Seconds until the workload certificate ends.\n# TYPE cert_expiry_seconds gauge\ncert_expiry_seconds{resource_name="default"} ${((certificate.notAfterMs - Date.now()) / 1000).toFixed(1)}\n`
}
