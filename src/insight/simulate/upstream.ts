// Which endpoints a cluster sends to, and what goes on the wire to each: the engine's socket choice, told in Istio's words.
import { chooseSocket, servingGroups, type RuntimeCluster, type RuntimeEndpoint, type UpstreamTls } from '#engine'
import type { FirstBytes } from './bytes.ts'

export type Wire = 'ISTIO_MUTUAL' | 'MUTUAL' | 'SIMPLE' | 'DISABLE'

export interface Candidate {
  readonly endpoint: RuntimeEndpoint
  /** Of the cluster's requests, in the long run; 0: it takes over where those before it fail. */
  readonly share: number
}

/** Whom the proxy's cluster chooses among as long as nobody is ejected, and who stands by. Empty: nobody may be chosen. */
export function candidates(cluster: RuntimeCluster, endpoints: readonly RuntimeEndpoint[]): readonly Candidate[] {
  const all = endpoints.map((endpoint) => ({ endpoint }))
  const up = all.filter(({ endpoint }) => endpoint.healthy)
  const chosen = servingGroups(all, up, cluster).flatMap(({ share, hosts }) => {
    const weights = hosts.reduce((sum, h) => sum + h.endpoint.weight, 0)
    return hosts.map((h) => ({ ...h, share: (share * h.endpoint.weight) / weights }))
  })
  const met = new Set(chosen.map((c) => c.endpoint))
  return chosen.length === 0 ? [] : [...chosen, ...up.filter((h) => !met.has(h.endpoint)).map((h) => ({ ...h, share: 0 }))]
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
