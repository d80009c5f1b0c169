// Our own proxy as a sidecar's data plane: configuration over delta ADS, secrets handed over in memory.
import type { Logger } from '#lib/log.ts'
import { startProxy } from '#proxy'
import type { DataPlane } from './data-plane.ts'
import { DiscoveryClient } from './discovery-client.ts'
import { nodeId, xdsNode, type AgentSettings } from './environment.ts'
import type { WorkloadCertificate } from './rotation.ts'
import { isOutdated } from './trust-change.ts'

const outdatedAgainMs = 3000

export async function startKithDataPlane(settings: AgentSettings, log: Logger, proxyLog: Logger, onQuit: () => void, onOutdated: () => void): Promise<DataPlane> {
  const { pod, namespace, workload, serviceAccount, labels, cluster, trustDomain, owner, address, portBase, dialMap, mark, fileRoot } = settings
  const proxy = await startProxy({
    identity: { nodeId: nodeId(settings), pod, namespace, workload, serviceAccount, labels, cluster, trustDomain, addresses: [address], owner },
    interception: dialMap === undefined ? { mode: 'REDIRECT' } : { mode: 'NONE', dialMap },
    ...(portBase === undefined ? {} : { ports: { admin: portBase, prometheus: portBase + 3 } }), ...(mark === undefined ? {} : { mark }), ...(fileRoot === undefined ? {} : { fileRoot }), log: proxyLog, onQuit,
  })
  let configured = false
  let current: WorkloadCertificate | undefined
  let announced = ''
  let again: NodeJS.Timeout | undefined
  const discovery = new DiscoveryClient({
    address: settings.discoveryAddress, serverName: settings.discoveryName, node: xdsNode(settings), certificate: () => current as WorkloadCertificate, proxy, log, pick: Math.random,
    onTrust(roots) {
      announced = roots
      if (current === undefined || !isOutdated(current, roots)) return
      log.info({}, 'the control plane trusts other roots or another authority')
      onOutdated()
    },
    onConfigured() {
      configured = true
      log.info({ identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` }, 'ready')
    },
  })
  return {
    certificate(c) {
      current = c
      proxy.setSecret('ROOTCA', { kind: 'trust', roots: c.roots })
      proxy.setSecret('default', { kind: 'certificate', chain: c.chain, key: c.key })
      discovery.reconnect()
      // It was under way when that was said, or another replica of the control plane gave it, which has not heard.
      clearTimeout(again)
      if (isOutdated(c, announced)) again = setTimeout(onOutdated, outdatedAgainMs)
    },
    begin: () => discovery.start(),
    ready: () => configured && proxy.ready(),
    metrics: () => proxy.metrics(),
    drain: () => proxy.drain(0),
    connections: () => proxy.connections().downstream,
    async end() {
      configured = false
      clearTimeout(again)
      discovery.stop()
      await proxy.stop()
    },
  }
}
