// Where a call ends before any server of the mesh: outside it, at an answer of the proxy's own, at a cluster without endpoints, at a name or port that nobody has.
import { byDefault, mapDecided } from '#lib/decided.ts'
import { nearest } from '#lib/nearest.ts'
import { isIP } from 'node:net'
import type { Upstream } from '#plan'
import type { ClusterChoice } from '../simulate/index.ts'
import type { Routed } from './client-path.ts'
import { clientSide, rewritten } from './client-side.ts'
import type { Question } from './question.ts'
import { answered } from './symptom.ts'
import type { ClientSide, EndpointAnswer, WireTls } from './types.ts'

/** One end for all of the calls. */
const whole = { share: 1, priority: 0, locality: '', provided: null }

type Clusters = Extract<Routed, { kind: 'clusters' }>

/** A host whose address only the application knows: nothing of the mesh is at the other end. */
export function outside(q: Question, client: ClientSide): EndpointAnswer {
  const wire = client.tls?.value ?? 'DISABLE'
  return { address: `${q.target.host.includes(':') ? `[${q.target.host}]` : q.target.host}:${q.target.port}`, weight: 1, ...whole, outcome: wire === 'DISABLE' ? 'plaintext' : wire === 'ISTIO_MUTUAL' ? 'mtls' : 'tls', client, server: null, blocked: null }
}

/** `localhost`: what listens in the caller's own pod. */
export function ownPod(q: Question): EndpointAnswer {
  const route = byDefault({ rule: 'the caller’s own pod' }, 'route.loopback')
  const redirected = q.client.sidecar.value ? byDefault(false, 'capture.loopback') : null
  return outside(q, { ...clientSide(q, route), identity: null, redirected, tls: byDefault<WireTls>('DISABLE', 'tls.loopback') })
}

/** The service is known, and nobody answers at this port of it. */
export function nowhere(q: Question, client: ClientSide, http: boolean): EndpointAnswer {
  const { service } = q.resolved
  const { host, port } = q.target
  const has = service?.ports.some((p) => p.number === port) === true
  const ports = (service?.ports ?? []).map((p) => (p.name === '' ? String(p.number) : `${p.number} (${p.name})`)).join(', ')
  const why = service === undefined || has ? `nothing answers at ${host}:${port}: no ready pod stands behind it` : `${service.host} has no port ${port}; it has ${ports === '' ? 'none' : ports}`
  const symptom = q.bySidecar ? (http ? answered(q.target.scheme === 'grpc', 503, 'caller', { flag: 'flag UF' }) : 'the connection is closed') : 'connection refused or timed out'
  const fix = service === undefined || has ? ['check that ready pods match the Service’s selector'] : [`call ${service.ports.length === 1 ? `port ${service.ports[0]?.number}` : 'one of them'}, or add the port to the Service`]
  return { ...outside(q, client), outcome: 'blocked', blocked: { at: 'client', why, symptom, source: 'default', fix } }
}

/** Nobody in the mesh has this name; who else has it is not known here. */
export function nameNeeded(q: Question): string | null {
  const { host } = q.target
  return isIP(host) !== 0 || q.resolved.service !== undefined || q.resolved.workload !== undefined ? null : `DNS outside the mesh has an address for ${host}`
}

/** A pod's own hostname leads to whatever listens there; null: it declares the port, or the name is another. */
export function listenerNeeded({ client, resolved, target }: Question): string | null {
  if (resolved.hostname !== true || client.ports.some((p) => p.port === target.port)) return null
  const declared = client.ports.length === 0 ? '' : ` (it declares ${client.ports.map((p) => p.port).join(', ')})`
  return `a container of the caller’s own pod listens on port ${target.port}${declared}; to call the Service, write ${target.host}.${client.namespace}`
}

/** `; did you mean httpbin.bar?` where the name is nobody's and resembles one that the caller could write. */
export function didYouMean(q: Question): string {
  const { host } = q.target
  if (isIP(host) !== 0 || q.resolved.service !== undefined || q.resolved.workload !== undefined) return ''
  const names = q.mesh.services.flatMap((s) => (s.origin === 'entry' ? [s.host] : [s.host, `${s.name}.${s.namespace}`, `${s.name}.${s.namespace}.svc`, ...(s.namespace === q.client.namespace ? [s.name] : [])]))
  const near = nearest(host, names)
  return near === undefined ? '' : `; did you mean ${near}?`
}

/** Why a method is refused. */
export const smallLetters = (method: string): string => `the method ${method} has small letters: no policy on ${method.toUpperCase()} would see it, so sidecars refuse it`

export function localAnswer(q: Question, routed: Extract<Routed, { kind: 'local' }>): EndpointAnswer {
  const { status, what, location } = routed
  const source = routed.route.because[0]?.source ?? 'default'
  const why = {
    'no-route': 'a VirtualService took this host over, and none of its rules matches the call', redirect: `the route answers with a redirect to ${location ?? ''}`, direct: `the route answers by itself with ${status}`,
    'not-http': `port ${q.target.port} carries HTTP, and the application sends TLS`, 'bad-path': `the path ${q.request.path} can’t be normalised`, 'bad-method': smallLetters(q.request.method),
  }[what]
  const fix = { 'no-route': ['add a rule without match as the last one'], 'bad-method': [`send ${q.request.method.toUpperCase()}`], 'not-http': ['speak plain http:// from the application; the sidecars make the TLS', `or name the Service’s port https-… so that TLS passes through`] }[what as string] ?? []
  const symptom = what === 'not-http' ? 'the connection is closed, or 400, during the TLS handshake' : answered(q.target.scheme === 'grpc', status, 'caller')
  return { address: '', weight: 1, ...whole, outcome: 'blocked', client: clientSide(q, routed.route), server: null, blocked: { at: 'client', why, symptom, source, fix } }
}

/** Fault injection that leaves no call. */
export function aborted(q: Question, { route, status }: Extract<Routed, { kind: 'aborted' }>): EndpointAnswer {
  const source = route.because[0]?.source ?? 'default'
  const blocked = { at: 'client' as const, why: `the route aborts every call on purpose (fault.abort) with ${status}`, symptom: /^\d+$/.test(status) ? answered(q.target.scheme === 'grpc', Number(status), 'caller', { flag: 'flag FI' }) : `${status} from the caller’s sidecar (response flag FI)`, source, fix: ['remove fault.abort from the route, or lower its percentage'] }
  return { address: '', weight: 1, ...whole, outcome: 'blocked', client: clientSide(q, route), server: null, blocked }
}

export function noUpstream(q: Question, routed: Clusters, choice: ClusterChoice, upstream: Upstream | null): EndpointAnswer {
  const [, port = '', subset = '', host = ''] = choice.cluster.split('|')
  const source = routed.route.because[0]?.source ?? 'default'
  const destination = host === '' ? null : { host, port: Number(port), subset: subset === '' ? null : subset }
  const subsetWords = subset === '' ? '' : ` subset ${subset}`
  const why = upstream === null ? (host === '' ? 'the route leads nowhere' : `the route leads to ${host}:${port}${subsetWords}, which this client’s mesh does not know`) : `${host}:${port}${subsetWords} has no ready endpoint`
  const symptom = routed.http ? answered(q.target.scheme === 'grpc', upstream === null ? routed.status : 503, 'caller', { flag: upstream === null ? 'flag NC' : 'flag UH' }) : 'the connection is closed'
  const fix = upstream === null ? [subset === '' ? 'check the destination’s host and port' : `define subset ${subset} in a DestinationRule for ${host} that this client sees`] : [subset === '' ? 'check that ready pods match the Service’s selector' : `check the labels of subset ${subset}`]
  const client: ClientSide = { ...clientSide(q, rewritten(q, routed.route, choice)), destination, tls: upstream === null ? null : mapDecided(upstream.tls, (t): WireTls => (t.mode === 'AUTO' ? 'DISABLE' : t.mode)) }
  return { address: '', weight: choice.weight, ...whole, outcome: 'blocked', client, server: null, blocked: { at: 'client', why, symptom, source, fix } }
}
