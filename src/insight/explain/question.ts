// A call in the terms of the engine: who calls, where to, what the first bytes look like; and the plans that it is asked of.
import { isIP } from 'node:net'
import { asBytes, type RouteRequest } from '#engine'
import { familiesOf, familyOf, type Mesh, type Workload } from '#mesh'
import { planContext, planFrom, planServer, type PlanContext, type ProxyPlan } from '#plan'
import type { FirstBytes } from '../simulate/index.ts'
import type { Way } from './redirection.ts'
import { resolveTarget, type Resolved, type Target } from './target.ts'
import type { Call } from './types.ts'

export interface Question {
  readonly mesh: Mesh
  readonly context: PlanContext
  readonly client: Workload
  readonly target: Target
  readonly resolved: Resolved
  readonly request: RouteRequest
  /** Of the request, by small letters. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** What the application writes. */
  readonly bytes: FirstBytes
  /** Where the application's connection goes first; absent: the caller has no sidecar, or the way has not been looked at. */
  readonly way?: Way
  /** The caller's sidecar takes part. */
  readonly bySidecar: boolean
  /** When the call is made, where that counts. */
  readonly nowMs?: number
  /** The caller's own address. */
  readonly source: string
  clientPlan(): ProxyPlan
  /** What comes in at a workload. */
  serverPlan(workload: Workload): ProxyPlan
}

/** Of a network for documentation: an address that no mesh has. */
const somewhereElse = '192.0.2.1'

export function askAbout(mesh: Mesh, client: Workload, written: Target, call: Call): Question {
  const context = planContext(mesh, client)
  const resolved = ofFamily(client, resolveTarget(mesh, client, written.host))
  const target = withScheme(written, resolved)
  const servers = new Map<Workload, ProxyPlan>()
  let whole: ProxyPlan | undefined
  return {
    mesh, context, client, target, resolved, bySidecar: client.sidecar.value, headers: headersOf(target, call), request: requestOf(target, call), bytes: bytesOf(target), source: client.addresses[0] ?? somewhereElse, ...(call.nowMs === undefined ? {} : { nowMs: call.nowMs }),
    clientPlan: () => (whole ??= planFrom(context)),
    serverPlan: (w) => servers.get(w) ?? (servers.set(w, planServer(planContext(mesh, w))).get(w) as ProxyPlan),
  }
}

/** The same question for one way that the application's connection may take, or for several that are alike. */
export function byWay(q: Question, ways: readonly Way[]): Question {
  const [way] = ways
  if (way === undefined) return q
  const addresses = ways.flatMap((w) => (w.address === undefined ? [] : [w.address]))
  return { ...q, way, bySidecar: way.redirected.value, resolved: { ...q.resolved, addresses } }
}

/** Nothing was written before the address: a port that declares HTTP is called as such. */
function withScheme(target: Target, { service }: Resolved): Target {
  if (target.written) return target
  const protocol = service?.ports.find((p) => p.number === target.port)?.protocol
  return protocol === 'http' || protocol === 'http2' ? { ...target, scheme: 'http' } : protocol === 'grpc' || protocol === 'udp' ? { ...target, scheme: protocol } : target
}

/** The lines of each header, by small letters; gRPC says what it is. */
function headersOf({ scheme }: Target, call: Call): Readonly<Record<string, readonly string[]>> {
  const lines = new Map<string, readonly string[]>(scheme === 'grpc' ? [['content-type', ['application/grpc']]] : [])
  const given = new Map<string, string[]>()
  for (const [name, value] of Object.entries(call.headers ?? {})) given.set(name.toLowerCase(), [...(given.get(name.toLowerCase()) ?? []), ...(typeof value === 'string' ? [value] : value)])
  return Object.fromEntries([...lines, ...given])
}

function requestOf(target: Target, call: Call): RouteRequest {
  const headers = headersOf(target, call)
  const lines = new Map(Object.entries(headers).map(([name, values]) => [name, values.map(asBytes)]))
  return {
    authority: headers['host']?.[0] ?? target.authority, path: target.path, method: call.method ?? (target.scheme === 'grpc' ? 'POST' : 'GET'), scheme: target.scheme === 'https' ? 'https' : 'http',
    header: (name) => lines.get(name)?.join(','), lines: (name) => lines.get(name) ?? [],
  }
}

function bytesOf({ scheme, host }: Target): FirstBytes {
  if (scheme === 'https') return { tls: { serverName: isIP(host) === 0 ? host : '', alpn: ['h2', 'http/1.1'] } }
  return scheme === 'http' ? { http: 'http/1.1' } : scheme === 'grpc' ? { http: 'h2c' } : {}
}

/** A resolver's answers that the caller has no address for lead nowhere. */
function ofFamily(client: Workload, resolved: Resolved): Resolved {
  const families = familiesOf(client.addresses)
  const addresses = resolved.addresses.filter((a) => families.includes(familyOf(a)))
  return addresses.length === 0 ? resolved : { ...resolved, addresses }
}

/** Where the application's connection goes: an address that a listener is for before any other. A network stands for its first address. */
export function originalAddress(q: Question, hasListener: (address: string) => boolean): string {
  const addresses = q.resolved.addresses.map((a) => a.split('/')[0] as string)
  return addresses.find(hasListener) ?? addresses[0] ?? somewhereElse
}
