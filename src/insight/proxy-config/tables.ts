// What a sidecar holds, as istioctl's tables: clusters, listeners, routes, endpoints, secrets; beside each, what users wrote that made it so.
// In: pages of the sidecar's admin (/config_dump, /clusters, /certs), parsed. Law: what has an unknown shape is left blank, never thrown on.
import { isRecord } from '#api'

export interface Table { readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] }
export interface Filter { readonly fqdn?: string; readonly port?: string; readonly direction?: string; readonly subset?: string; readonly name?: string; readonly address?: string }

type Fields = Readonly<Record<string, unknown>>
const fields = (value: unknown): Fields => (isRecord(value) ? value : {})
const records = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isRecord) : [])
const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '')
const at = (value: unknown, path: string): unknown => path.split('.').reduce<unknown>((v, key) => fields(v)[key], value)

/** Resources of one type (`Cluster`, `Listener` …) in a dump. */
export function resourcesOf(dump: unknown, type: string): readonly Fields[] {
  return records(fields(dump)['configs']).filter((c) => text(c['type']).endsWith(`.${type}`)).map((c) => fields(c['resource']))
}

/** `outbound|8000|v1|httpbin.foo.svc.cluster.local` */
function partsOf(cluster: string): { readonly fqdn: string; readonly port: string; readonly subset: string; readonly direction: string } {
  const [direction = '', port = '', subset = '', fqdn = ''] = cluster.split('|')
  return cluster.includes('|') ? { direction, port, subset, fqdn } : { fqdn: cluster, port: '', subset: '', direction: '' }
}

function wanted(cluster: string, f: Filter): boolean {
  const p = partsOf(cluster)
  return (f.fqdn === undefined || p.fqdn === f.fqdn) && (f.port === undefined || p.port === f.port) && (f.direction === undefined || p.direction === f.direction) && (f.subset === undefined || p.subset === f.subset)
}

/** `DestinationRule foo/x spec.…` → `x.foo`; '' where the winner is of another kind. */
function writtenBy(resource: unknown, kind: string): string {
  const match = /^(\w+) ([^/ ]+)\/(\S+)/.exec(text(at(resource, 'metadata.filterMetadata.kith.source')))
  return match?.[1] === kind ? `${match[3]}.${match[2]}` : ''
}

const dash = (value: string): string => (value === '' ? '-' : value)
const byNumber = (a: string, b: string): number => (Number(a) || 0) - (Number(b) || 0)
const compare = (a = '', b = ''): number => (a === b ? 0 : a < b ? -1 : 1)

export function clusterTable(dump: unknown, filter: Filter = {}): Table {
  const rows = resourcesOf(dump, 'Cluster').filter((c) => wanted(text(c['name']), filter)).map((c) => {
    const { fqdn, port, subset, direction } = partsOf(text(c['name']))
    return [fqdn, dash(port), dash(subset), dash(direction), text(c['type']) || text(at(c, 'clusterType.name')) || 'STATIC', writtenBy(c, 'DestinationRule')]
  })
  return { header: ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'], rows: rows.sort((a, b) => compare(a[0], b[0]) || byNumber(a[1] as string, b[1] as string) || compare(a[2], b[2])) }
}

export function listenerTable(dump: unknown, filter: Filter = {}): Table {
  const rows = resourcesOf(dump, 'Listener').flatMap((l) => {
    const address = text(at(l, 'address.socketAddress.address'))
    const port = text(at(l, 'address.socketAddress.portValue'))
    if ((filter.port !== undefined && port !== filter.port) || (filter.address !== undefined && address !== filter.address)) return []
    const chains = [...records(l['filterChains']), ...(isRecord(l['defaultFilterChain']) ? [l['defaultFilterChain']] : [])]
    return chains.map((chain) => [address, port, matchText(fields(chain['filterChainMatch'])), destinationText(chain)])
  })
  return { header: ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'], rows: rows.sort((a, b) => byNumber(a[1] as string, b[1] as string)) }
}

function matchText(match: Fields): string {
  const list = (key: string): string => (Array.isArray(match[key]) ? (match[key] as unknown[]).map(text).join(',') : '')
  const ranges = records(match['prefixRanges']).map((r) => `${text(r['addressPrefix'])}/${text(r['prefixLen']) || '0'}`).join(',')
  const parts = [['SNI', list('serverNames')], ['Trans', text(match['transportProtocol'])], ['App', list('applicationProtocols')], ['Addr', ranges === '' ? (text(match['destinationPort']) === '' ? '' : `*:${text(match['destinationPort'])}`) : ranges]].filter(([, v]) => v !== '')
  return parts.length === 0 ? 'ALL' : parts.map(([k, v]) => `${k}: ${v}`).join('; ')
}

function destinationText(chain: Fields): string {
  const filters = records(chain['filters']).map((f) => fields(f['typedConfig']))
  const http = filters.find((f) => text(f['@type']).endsWith('HttpConnectionManager'))
  if (http !== undefined) {
    const route = text(at(http, 'rds.routeConfigName'))
    if (route !== '') return `Route: ${route}`
    const to = records(at(http, 'routeConfig.virtualHosts')).flatMap((v) => records(v['routes'])).map((r) => text(at(r, 'route.cluster'))).find((c) => c !== '')
    return to === undefined ? 'Inline Route' : `Inline Route: ${to}`
  }
  const tcp = filters.find((f) => text(f['@type']).endsWith('TcpProxy'))
  if (tcp === undefined) return 'Non-HTTP/Non-TCP'
  const weighted = records(at(tcp, 'weightedClusters.clusters')).map((c) => `${text(c['name'])} (${text(c['weight'])})`)
  return weighted.length > 0 ? `Clusters: ${weighted.join(', ')}` : text(tcp['cluster']).includes('|') ? `Cluster: ${text(tcp['cluster'])}` : text(tcp['cluster'])
}

export function routeTable(dump: unknown, filter: Filter = {}): Table {
  const rows = resourcesOf(dump, 'RouteConfiguration').filter((r) => filter.name === undefined || text(r['name']) === filter.name).flatMap((r) => records(r['virtualHosts']).flatMap((host) => records(host['routes']).map((route) => {
    const domains = (Array.isArray(host['domains']) ? host['domains'] : []).map(text)
    const shown = domains.slice(0, 2).join(', ') + (domains.length > 2 ? ` + ${domains.length - 2} more` : '')
    return [text(r['name']), text(host['name']), shown, routeMatch(fields(route['match'])), writtenBy(route, 'VirtualService') || (text(at(route, 'route.cluster')) === 'BlackHoleCluster' ? '404' : '')]
  })))
  return { header: ['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE'], rows: rows.sort((a, b) => byNumber(a[0] as string, b[0] as string)) }
}

function routeMatch(match: Fields): string {
  const path = text(match['path']) || (text(match['prefix']) === '' ? '' : `${text(match['prefix'])}*`) || (text(match['pathSeparatedPrefix']) === '' ? '' : `PathPrefix:${text(match['pathSeparatedPrefix'])}`) || (text(at(match, 'safeRegex.regex')) === '' ? '' : `regex ${text(at(match, 'safeRegex.regex'))}`)
  const headers = records(match['headers']).map((h) => text(h['name']))
  return `${path}${headers.length === 0 ? '' : ` if ${headers.join(', ')}`}`
}

/** From /clusters: as the sidecar sees them now. */
export function endpointTable(clusters: unknown, filter: Filter = {}): Table {
  const rows = records(fields(clusters)['clusters']).filter((c) => wanted(text(c['name']), filter)).flatMap((c) => records(c['hosts']).map((h) => [text(h['address']), h['healthy'] === true ? 'HEALTHY' : 'UNHEALTHY', h['ejected'] === true ? 'FAILED' : 'OK', text(h['transportSocket']), text(c['name'])]))
  return { header: ['ENDPOINT', 'STATUS', 'OUTLIER CHECK', 'TLS', 'CLUSTER'], rows: rows.sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1)) }
}

/** From /certs. */
export function secretTable(certs: unknown): Table {
  const rows = records(fields(certs)['certificates']).flatMap((s) => records(s['certificates']).map((c) => {
    const isTrust = text(s['kind']) === 'trust'
    return [text(s['name']), isTrust ? 'CA' : 'Cert Chain', 'ACTIVE', String(Number(c['secondsLeft']) > 0), text(c['serialNumber']).toLowerCase(), instant(c['expirationTime']), instant(c['validFrom']), text(c['subjectAltName']).replace('URI:', '')]
  }))
  return { header: ['RESOURCE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE', 'IDENTITY'], rows }
}

function instant(value: unknown): string {
  const date = new Date(text(value))
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().replace('.000Z', 'Z')
}
