// Our own proxy as a sidecar's data plane: configuration over delta ADS, secrets handed over in memory.
import type { Logger } from '#lib/log.ts'
import { startProxy } from '#proxy'
import type { DataPlane } from './data-plane.ts'
import { announcements } from './announced.ts'
import { DiscoveryClient } from './discovery-client.ts'
import { nodeId, xdsNode, type AgentSettings } from './environment.ts'
import { trustedRoots } from './trust-change.ts'

export async function startKithDataPlane(settings: AgentSettings, log: Logger, proxyLog: Logger, onQuit: () => void, onOutdated: () => void): Promise<DataPlane> {
  const { pod, namespace, workload, serviceAccount, labels, cluster, trustDomain, owner, address, portBase, dialMap, mark, fileRoot } = settings
  const proxy = await startProxy({
    identity: { nodeId: nodeId(settings), pod, namespace, workload, serviceAccount, labels, cluster, trustDomain, addresses: [address], owner },
    interception: dialMap === undefined ? { mode: 'REDIRECT' } : { mode: 'NONE', dialMap },
    ...(portBase === undefined ? {} : { ports: { admin: portBase, prometheus: portBase + 3 } }), ...(mark === undefined ? {} : { mark }), ...(fileRoot === undefined ? {} : { fileRoot }), log: proxyLog, onQuit,
  })
  let configured = false
  const announced = announcements(onOutdated, log)
  const discovery = new DiscoveryClient({
    address: settings.discoveryAddress, serverName: settings.discoveryName, node: xdsNode(settings), certificate: announced.shown, proxy, log, pick: Math.random,
    onTrust: announced.heard,
    onConfigured() {
      configured = true
      log.info({ identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` }, 'ready')
    },
  })
  return {
    certificate(c) {
      announced.certificate(c)
      proxy.setSecret('ROOTCA', { kind: 'trust', roots: trustedRoots(c) })
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
