// Which clause of a match rules a call out, in a sentence. The values are compared by the matcher that routes are taken by.
import type { HttpMatchSpec, L4MatchSpec, StringMatchSpec } from '#api'
import { addressBytes, cidrContains } from '#engine'
import { hostCovers, type Workload } from '#mesh'
import { pathMatches, textMatches, type RequestFacts } from './route.ts'

/** The first clause of an http match that does not hold; undefined where all do. `port`: the one that was called. */
export function httpClauseFailed(m: HttpMatchSpec, client: Workload, port: number, request: RequestFacts): string | undefined {
  const [path = '/', query = ''] = request.path.split('?', 2)
  const headers = new Map(Object.entries(request.headers).map(([k, v]) => [k.toLowerCase(), v]))
  const params = new URLSearchParams(query)
  return (
    sourceClauseFailed(m, client, port) ??
    (m.uri === undefined || (m.uri.exact ?? m.uri.prefix ?? m.uri.regex) === undefined || pathMatches(asPath(m.uri), path, m.ignoreUriCase === true) ? undefined : differs('path', m.uri, path)) ??
    textClause('scheme', m.scheme, request.scheme) ??
    textClause('method', m.method, request.method) ??
    textClause('authority', m.authority, request.authority) ??
    first(m.headers, (name, spec) => headerClause(name, spec, headers.get(name.toLowerCase()) ?? [])) ??
    first(m.withoutHeaders, (name, spec) => ((headers.get(name.toLowerCase()) ?? []).some((line) => textMatches(asText(spec), line)) ? `header ${name} is there, and withoutHeaders rules it out` : undefined)) ??
    first(m.queryParams, (name, spec) => textClause(`query parameter ${name}`, spec, params.get(name) ?? undefined))
  )
}

export interface ConnectionSeen {
  /** Where the application connected to; undefined: an address that the mesh does not know. */
  readonly address: string | undefined
  /** Of the application's TLS; undefined: it speaks none. */
  readonly serverName: string | undefined
}

/** The first clause of a tcp or tls match that does not hold. */
export function l4ClauseFailed(m: L4MatchSpec, client: Workload, port: number, { address, serverName }: ConnectionSeen): string | undefined {
  const from = sourceClauseFailed(m, client, port)
  if (from !== undefined) return from
  const subnets = m.destinationSubnets ?? []
  if (subnets.length > 0 && (address === undefined || !subnets.some((s) => inSubnet(s, address)))) return address === undefined ? `destinationSubnets: the address of this call is not known here, and ${subnets.join(', ')} are asked for` : `destinationSubnets: ${address} is in none of ${subnets.join(', ')}`
  const names = m.sniHosts ?? []
  if (names.length === 0) return undefined
  if (serverName === undefined || serverName === '') return serverName === undefined ? 'sniHosts: the application speaks no TLS, so that there is no server name' : 'sniHosts: the application’s TLS names no server'
  return names.some((n) => hostCovers(n, serverName)) ? undefined : `sniHosts: the server name ${serverName} is none of ${names.join(', ')}`
}

function inSubnet(subnet: string, address: string): boolean {
  const [prefix = '', length] = subnet.split('/')
  const [have, want] = [addressBytes(address), addressBytes(prefix)]
  return have !== undefined && want !== undefined && cidrContains({ bytes: want, length: length === undefined ? want.length * 8 : Number(length), text: subnet }, have)
}

/** What every match asks of the caller and the port. */
export function sourceClauseFailed(m: Pick<L4MatchSpec, 'port' | 'gateways' | 'sourceLabels' | 'sourceNamespace'>, client: Workload, port: number): string | undefined {
  if (m.port !== undefined && m.port !== 0 && m.port !== port) return `port ${port} is not ${m.port}`
  const gateways = m.gateways ?? []
  // A match that names gateways asks nothing of the caller's labels and namespace.
  if (gateways.length > 0) return gateways.includes('mesh') ? undefined : `it is for the gateways ${gateways.join(', ')}, not for the mesh`
  const label = Object.entries(m.sourceLabels ?? {}).find(([k, v]) => client.labels[k] !== v)
  if (label !== undefined) return `sourceLabels: the caller's ${label[0]} is ${JSON.stringify(client.labels[label[0]] ?? 'unset')}, not ${JSON.stringify(label[1])}`
  if (m.sourceNamespace !== undefined && m.sourceNamespace !== '' && m.sourceNamespace !== client.namespace) return `sourceNamespace: the caller's is ${client.namespace}, not ${m.sourceNamespace}`
  return undefined
}

const asText = (spec: StringMatchSpec): Parameters<typeof textMatches>[0] =>
  spec.exact !== undefined ? { exact: spec.exact } : spec.prefix !== undefined ? { prefix: spec.prefix } : spec.regex === undefined || spec.regex === '*' ? { present: true } : { regex: spec.regex }
const asPath = (spec: StringMatchSpec): Parameters<typeof pathMatches>[0] => (spec.exact !== undefined ? { exact: spec.exact } : spec.prefix !== undefined ? { prefix: spec.prefix } : { regex: spec.regex ?? '' })

/** Any line may match, as in a route. */
function headerClause(name: string, spec: StringMatchSpec, lines: readonly string[]): string | undefined {
  if (lines.some((line) => textMatches(asText(spec), line))) return undefined
  return lines.length === 0 ? `header ${name} is missing` : differs(`header ${name}`, spec, lines.join(','))
}

function textClause(what: string, spec: StringMatchSpec | undefined, value: string | undefined): string | undefined {
  if (spec === undefined || textMatches(asText(spec), value)) return undefined
  return value === undefined ? `${what} is missing` : differs(what, spec, value)
}

function differs(what: string, spec: StringMatchSpec, value: string): string {
  const said = JSON.stringify(value)
  if (spec.exact !== undefined) return `${what} ${said} is not ${JSON.stringify(spec.exact)}`
  if (spec.prefix !== undefined) return `${what} ${said} does not begin with ${JSON.stringify(spec.prefix)}`
  return `${what} ${said} is not, as a whole, what the regular expression ${JSON.stringify(spec.regex ?? '')} describes`
}

function first(specs: Readonly<Record<string, StringMatchSpec>> | undefined, failed: (name: string, spec: StringMatchSpec) => string | undefined): string | undefined {
  for (const [name, spec] of Object.entries(specs ?? {})) {
    const why = failed(name, spec)
    if (why !== undefined) return why
  }
  return undefined
}
