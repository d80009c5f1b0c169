// Our own proxy as a sidecar's data plane: configuration over delta ADS, secrets handed over in memory.
import type { Logger } from '#lib/log.ts'
import { HeldRevocations } from '#identity'
import { startProxy } from '#proxy'
import { announcements } from './announced.ts'
import type { DataPlane } from './data-plane.ts'
import { credentialSecret } from './credential-secret.ts'
import { DiscoveryClient } from './discovery-client.ts'
import { nodeId, xdsNode, type AgentSettings } from './environment.ts'
import type { WorkloadCertificate } from './rotation.ts'
import { trustedRoots } from './trust-change.ts'

export async function startKithDataPlane(settings: AgentSettings, log: Logger, proxyLog: Logger, onQuit: () => void, onOutdated: () => void): Promise<DataPlane> {
  const { pod, namespace, workload, serviceAccount, labels, cluster, trustDomain, owner, address, portBase, dialMap, mark, fileRoot, headTimeoutMs } = settings
  const proxy = await startProxy({
    identity: { nodeId: nodeId(settings), pod, namespace, workload, serviceAccount, labels, cluster, trustDomain, addresses: [address], owner },
    interception: dialMap === undefined ? { mode: 'REDIRECT' } : { mode: 'NONE', dialMap },
    ...(portBase === undefined ? {} : { ports: { admin: portBase, prometheus: portBase + 3 } }), ...(mark === undefined ? {} : { mark }), ...(fileRoot === undefined ? {} : { fileRoot }), ...(headTimeoutMs === undefined ? {} : { headTimeoutMs }), log: proxyLog, onQuit,
  })
  let configured = false
  let current: WorkloadCertificate | undefined
  const revocations = new HeldRevocations()
  const trust = (c: WorkloadCertificate): void => proxy.setSecret('ROOTCA', { kind: 'trust', roots: trustedRoots(c), ...(revocations.held === undefined ? {} : { revoked: revocations.held }) })
  const takeRevocations = async (pem: string): Promise<void> => {
    if (!(await revocations.take(pem))) return
    log.info({ certificates: revocations.held?.count ?? 0 }, 'certificates that were revoked')
    if (current !== undefined) trust(current)
  }
  const announced = announcements(onOutdated, log)
  const discovery = new DiscoveryClient({
    address: settings.discoveryAddress, serverName: settings.discoveryName, node: xdsNode(settings), certificate: announced.shown, proxy, log, pick: Math.random,
    onTrust(said) {
      announced.heard(said.roots)
      takeRevocations(said.revocations).catch((error: unknown) => log.error({ reason: (error as Error).message }, 'revocation lists can’t be used, the last ones go on'))
    },
    onSecret(resource) {
      try {
        const secret = credentialSecret(resource)
        if (secret === undefined) return log.warn({ secret: resource.name }, 'a secret of the control plane is neither certificate nor roots')
        proxy.setSecret(resource.name, secret)
        log.info({ secret: resource.name, kind: secret.kind }, 'secret taken up')
      } catch (error) {
        log.error({ secret: resource.name, code: (error as { code?: string }).code }, 'a secret can’t be used, the last good one stays')
      }
    },
    onConfigured() {
      configured = true
      log.info({ identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` }, 'ready')
    },
  })
  return {
    certificate(c) {
      current = c
      announced.certificate(c)
      trust(c)
      proxy.setSecret('default', { kind: 'certificate', chain: c.chain, key: c.key })
      discovery.reconnect()
    },
    begin: () => discovery.start(),
    ready: () => configured && proxy.ready(),
    metrics: () => proxy.metrics(),
    drain: () => proxy.drain(0),
    connections: () => proxy.connections().downstream,
    async end() {
      configured = false
      announced.end()
      discovery.stop()
      await proxy.stop()
    },
  }
}
