// Which endpoints a cluster sends to, and what goes on the wire to each: the engine's socket choice, told in Istio's words.
import { chooseSocket, type RuntimeCluster, type RuntimeEndpoint, type UpstreamTls } from '#engine'
import type { FirstBytes } from './bytes.ts'

export type Wire = 'ISTIO_MUTUAL' | 'MUTUAL' | 'SIMPLE' | 'DISABLE'

/** The best priority with a healthy endpoint; all of them in panic: what the proxy's cluster chooses among at rest. */
export function candidates(cluster: RuntimeCluster, endpoints: readonly RuntimeEndpoint[]): readonly RuntimeEndpoint[] {
  const up = endpoints.filter((e) => e.healthy)
  if (endpoints.length > 0 && (up.length / endpoints.length) * 100 < cluster.panicPercent) return endpoints
  const best = Math.min(...up.map((e) => e.priority))
  return up.filter((e) => e.priority === best)
}

export interface OnTheWire {
  readonly wire: Wire
  readonly tls: UpstreamTls | null
}

export function onTheWire(cluster: RuntimeCluster, endpoint: Pick<RuntimeEndpoint, 'socketMatch' | 'address' | 'port'>): OnTheWire {
  const { tls } = chooseSocket(cluster, endpoint)
  return { wire: wireOf(tls), tls }
}

/** The agent's own certificate is the mesh's; any other is the user's. */
function wireOf(tls: UpstreamTls | null): Wire {
  if (tls === null) return 'DISABLE'
  if (tls.certificate === undefined) return 'SIMPLE'
  return 'sds' in tls.certificate && tls.certificate.sds === 'default' ? 'ISTIO_MUTUAL' : 'MUTUAL'
}

/** What the server sees first. `alpn`: the route's, before the cluster's. TLS of the application goes inside. */
export function bytesOnTheWire({ tls }: OnTheWire, alpn: readonly string[] | undefined, authority: string | undefined, application: FirstBytes): FirstBytes {
  if (tls === null) return application
  return { tls: { serverName: tls.sni === '' ? (authority ?? '') : tls.sni, alpn: alpn ?? tls.alpn } }
}
