// What a caller's sidecar leaves out of a call at this moment: endpoints that outlier detection has ejected. In: its admin's page
// /clusters?format=json, parsed, of Kith's own sidecar or of an Envoy.
// Law: what has an unknown shape is left out, never thrown on.
import type { Explanation } from './types.ts'

/** The page of one sidecar. */
export interface ClustersPage {
  /** `pod/sleep-1.foo` */
  readonly pod: string
  readonly page: unknown
}

/** One hint for each sidecar and cluster of the call that leaves endpoints out: which, for how long, and what becomes of the call. */
export function ejectedIn(answer: Explanation, pages: readonly ClustersPage[]): string[] {
  const sides = answer.endpoints.length > 0 ? answer.endpoints : [answer]
  const clusters = new Set<string>()
  for (const { client } of sides) {
    const to = client.destination
    if (to !== null) clusters.add(`outbound|${to.port}|${to.subset ?? ''}|${to.host}`)
  }
  return pages.flatMap(({ pod, page }) => clustersOf(page).flatMap(({ name, hosts }) => (clusters.has(name) ? ejectedOf(pod, hosts) : [])))
}

interface Host {
  readonly address: string
  readonly healthy: boolean
  readonly ejected: boolean
  /** undefined: Envoy does not say. */
  readonly forMs: number | undefined
}

function clustersOf(page: unknown): { readonly name: string; readonly hosts: readonly Host[] }[] {
  const own = records(page, 'clusters').map((c) => ({ name: String(c['name']), hosts: records(c, 'hosts').map((h): Host => ({ address: String(h['address']), healthy: h['healthy'] === true, ejected: h['ejected'] === true, forMs: Number(h['ejectedForMs'] ?? 0) })) }))
  const envoys = records(page, 'cluster_statuses').map((c) => ({ name: String(c['name']), hosts: records(c, 'host_statuses').map(envoysHost) }))
  return [...own, ...envoys]
}

/** Of `admin.v3.HostStatus`. */
function envoysHost(status: Fields): Host {
  const socket = fields(fields(status['address'])['socket_address'])
  const health = fields(status['health_status'])
  const ejected = health['failed_outlier_check'] === true
  return { address: `${String(socket['address'])}:${String(socket['port_value'])}`, healthy: !ejected && health['eds_health_status'] !== 'UNHEALTHY', ejected, forMs: undefined }
}

function ejectedOf(pod: string, hosts: readonly Host[]): string[] {
  const ejected = hosts.filter((h) => h.ejected)
  if (ejected.length === 0) return []
  const names = ejected.map((h) => (h.forMs === undefined ? h.address : `${h.address} (for another ${Math.ceil(h.forMs / 1000)} s)`))
  const rest = hosts.some((h) => h.healthy) ? 'calls go to the others' : 'no endpoint is left: calls get 503, with the flag UH, unless the panic threshold lets them pass'
  return [`the sidecar of ${pod} has ejected ${names.join(', ')} by outlier detection, after errors: ${rest}`]
}

type Fields = Readonly<Record<string, unknown>>

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function records(value: unknown, field: string): readonly Fields[] {
  const list = fields(value)[field]
  return Array.isArray(list) ? list.map(fields) : []
}
