// Both ends of a call: what each will do, the verdict, and every rule that had a say. Reads plans; decides nothing again.
import { KithError } from '#lib/errors.ts'
import { byDefault, mapDecided, type Decided } from '#lib/decided.ts'
import { formatRef, type Problem } from '#lib/problem.ts'
import { endpointsOf, type Mesh, type Workload } from '#mesh'
import { inboundFor, planContext, planEndpoints, planFrom, decideMtls, type Endpoint, type PlanContext, type ProxyPlan, type Upstream, type UpstreamTls } from '#plan'
import { findListener, reach, routeCall, type Routed } from './client-path.ts'
import { findWorkload } from './find-workload.ts'
import type { RequestFacts } from './route.ts'
import { parseTarget, resolveTarget, type Resolved, type Target } from './target.ts'
import type { Blocked, Call, ClientSide, EndpointAnswer, Explanation, ServerSide, WireTls } from './types.ts'
import { judge, type ServerFacts } from './verdict.ts'

interface Question {
  readonly context: PlanContext
  readonly client: Workload
  readonly target: Target
  readonly resolved: Resolved
  readonly request: RequestFacts
  plan(workload: Workload): ProxyPlan
}

/** Throws NO_SUCH_WORKLOAD or WRONG_TARGET where the call names nothing. `namespace` completes `from`. */
export function explain(mesh: Mesh, call: Call, namespace = 'default'): Explanation {
  const target = parseTarget(call.to)
  if (target === undefined) throw new KithError('WRONG_TARGET', `"${call.to}" is no target: write http://host:port/path, tcp://host:port or address:port`)
  const client = findWorkload(mesh, call.from, namespace)
  const context = planContext(mesh, client)
  const plans = new Map<Workload, ProxyPlan>()
  const plan = (w: Workload): ProxyPlan => plans.get(w) ?? (plans.set(w, planFrom(w === client ? context : planContext(mesh, w))).get(w) as ProxyPlan)
  const request: RequestFacts = { authority: target.authority, path: target.path, method: call.method ?? 'GET', scheme: target.scheme === 'https' ? 'https' : 'http', headers: call.headers ?? {} }
  const question: Question = { context, client, target, resolved: resolveTarget(mesh, client, target.host), request, plan }
  const answers = client.sidecar.value ? withSidecar(question) : withoutSidecar(question)
  return summarize(call, answers, client.sidecar.value ? plan(client).problems : [])
}

function withSidecar(q: Question): EndpointAnswer[] {
  const plan = q.plan(q.client)
  const routed = routeCall(plan, findListener(plan, q.resolved, q.target.port), q.target, q.resolved, q.request)
  if (routed === undefined) return unknownDestination(q, plan)
  if (routed.local !== undefined) return [localAnswer(q, routed)]
  if (routed.targets.length === 0) return [noUpstream(q, routed, 'BlackHoleCluster', null)]
  return routed.targets.flatMap((t) => (t.upstream === 'PassthroughCluster' ? unknownDestination(q, plan) : targetAnswers(q, plan, routed, t.upstream, t.weight)))
}

function targetAnswers(q: Question, plan: ProxyPlan, routed: Routed, name: string, weight: number): EndpointAnswer[] {
  const found = reach(q.context, plan, name, (p, u) => planEndpoints(q.context, p, new Set([u.name]))[0]?.endpoints ?? [])
  if (found === undefined) return [noUpstream(q, routed, name, null)]
  const { upstream } = found
  if (upstream.discovery === 'ORIGINAL_DST') {
    const places = directPlaces(q)
    if (places?.length === 0) return [noUpstream(q, routed, name, upstream)]
    return places === undefined ? [outside(q, routed, upstream, weight)] : places.map((p) => chosenPod(q, routed, upstream, p, weight))
  }
  const healthy = found.endpoints.filter((e) => e.healthy)
  if (healthy.length === 0) return [noUpstream(q, routed, name, upstream)]
  return healthy.map((e) => endpointAnswer(q, routed, upstream, e, weight))
}

function endpointAnswer(q: Question, routed: Routed, upstream: Upstream, endpoint: Endpoint, weight: number): EndpointAnswer {
  const tls = wireTls(upstream.tls, endpoint)
  const client: ClientSide = { ...clientSide(q, routed.route), destination: { host: upstream.host, port: upstream.port, subset: upstream.subset }, tls }
  const server = serverSide(q, endpoint.address, endpoint.port)
  if (server === null) return { address: `${endpoint.address}:${endpoint.port}`, weight, outcome: tls.value === 'DISABLE' ? 'plaintext' : tls.value === 'ISTIO_MUTUAL' ? 'mtls' : 'tls', client, server, blocked: null }
  const verdict = judge(tls, server.facts, true, q.target.scheme !== 'tcp')
  return { address: `${endpoint.address}:${endpoint.port}`, weight, outcome: verdict.outcome, client, server: server.side, blocked: verdict.blocked }
}

/** The client chose the pod itself (a headless service, a balancer that passes through): the cluster's TLS goes there. */
function chosenPod(q: Question, routed: Routed, upstream: Upstream, place: { address: string; port: number }, weight: number): EndpointAnswer {
  const tls = unmarkedTls(upstream)
  const client: ClientSide = { ...clientSide(q, routed.route), destination: { host: upstream.host, port: upstream.port, subset: upstream.subset }, tls }
  return { ...directAnswer(q, client, place.address, place.port), weight }
}

/** AUTO becomes what this endpoint gets. */
function wireTls(tls: Decided<UpstreamTls>, endpoint: Endpoint): Decided<WireTls> {
  if (tls.value.mode !== 'AUTO') return mapDecided(tls, (t) => t.mode as WireTls)
  return { value: endpoint.tls.value, because: [...tls.because, ...endpoint.tls.because] }
}

/** Towards an endpoint that carries no mark, AUTO is plaintext. */
function unmarkedTls(upstream: Upstream): Decided<WireTls> {
  return mapDecided(upstream.tls, (t): WireTls => (t.mode === 'AUTO' ? 'DISABLE' : t.mode))
}

function serverSide(q: Question, address: string, port: number): { side: ServerSide; facts: ServerFacts } | null {
  const workload = q.context.mesh.workloadByAddress.get(address)
  if (workload === undefined) return null
  const inbound = workload.sidecar.value ? inboundFor(q.plan(workload).inbound, port) : undefined
  const side: ServerSide = {
    workload: `${workload.namespace}/${workload.name}`, sidecar: workload.sidecar, identity: workload.sidecar.value ? workload.identity : null, port,
    mtls: inbound === undefined ? null : decideMtls(q.context.mesh, workload, port), authorization: null,
  }
  return { side, facts: { name: `${workload.name}.${workload.namespace}`, sidecar: workload.sidecar.value, ...(inbound === undefined ? {} : { inbound }) } }
}

function clientSide(q: Question, route: Decided<{ readonly rule: string }>): ClientSide {
  const { client } = q
  return { workload: `${client.namespace}/${client.name}`, sidecar: client.sidecar, identity: client.sidecar.value ? client.identity : null, route, destination: null, tls: null }
}

const noSidecar = byDefault<WireTls>('DISABLE', 'tls.no-sidecar')

/** The application's own connection: to the service's ready endpoints as kube-proxy picks them, or straight to an address. */
function withoutSidecar(q: Question): EndpointAnswer[] {
  const route = byDefault({ rule: 'no sidecar: straight to the address' }, 'tls.no-sidecar')
  const client: ClientSide = { ...clientSide(q, route), tls: noSidecar }
  const places = directPlaces(q)
  if (places === undefined) return [{ address: `${q.target.host}:${q.target.port}`, weight: 1, outcome: 'plaintext', client, server: null, blocked: null }]
  if (places.length === 0) return [{ address: `${q.target.host}:${q.target.port}`, weight: 1, outcome: 'blocked', client, server: null, blocked: { at: 'client', why: `nothing answers at ${q.target.host}:${q.target.port}`, symptom: 'connection refused or timed out', source: 'default', fix: ['check the port and that ready pods stand behind the service'] } }]
  return places.map((p) => directAnswer(q, client, p.address, p.port))
}

function directAnswer(q: Question, client: ClientSide, address: string, port: number): EndpointAnswer {
  const server = serverSide(q, address, port)
  const verdict = server === null ? { outcome: 'plaintext' as const, blocked: null } : judge(client.tls ?? noSidecar, server.facts, client.sidecar.value, q.target.scheme !== 'tcp')
  return { address: `${address}:${port}`, weight: 1, outcome: verdict.outcome, client, server: server?.side ?? null, blocked: verdict.blocked }
}

/** undefined: somewhere outside the mesh. */
function directPlaces(q: Question): { address: string; port: number }[] | undefined {
  const { service, workload, addresses } = q.resolved
  if (service !== undefined && service.origin === 'kubernetes') {
    const port = service.ports.find((p) => p.number === q.target.port)
    // Nothing translates the port on the way to a pod's own address.
    if (service.headless) return addresses.map((address) => ({ address, port: q.target.port }))
    return port === undefined ? [] : endpointsOf(q.context.mesh, service, port).filter((e) => e.ready).map((e) => ({ address: e.address, port: e.port }))
  }
  if (workload !== undefined) return addresses.map((address) => ({ address, port: q.target.port }))
  return undefined
}

/** What no listener knows: passed on to where the application was going, or refused. */
function unknownDestination(q: Question, plan: ProxyPlan): EndpointAnswer[] {
  const egress = plan.egress
  const source = egress.because[0]?.source ?? 'default'
  if (egress.value === 'REGISTRY_ONLY') {
    const route = { value: { rule: 'unknown destination' }, because: [{ rule: 'route.blackhole', source, effect: 'chosen' as const }] }
    const blocked: Blocked = { at: 'client', why: `${q.target.host}:${q.target.port} is not known to the mesh, and ${source === 'default' ? 'REGISTRY_ONLY holds' : `${formatRef(source)} says REGISTRY_ONLY`}`, symptom: q.target.scheme === 'tcp' ? 'the connection is closed' : '502 from the caller’s sidecar', source, fix: [`add a ServiceEntry for ${q.target.host}`] }
    return [{ address: `${q.target.host}:${q.target.port}`, weight: 1, outcome: 'blocked', client: clientSide(q, route), server: null, blocked }]
  }
  const route = { value: { rule: 'unknown destination: passed on' }, because: [{ rule: 'route.passthrough', source, effect: 'chosen' as const }] }
  const client: ClientSide = { ...clientSide(q, route), destination: null, tls: byDefault<WireTls>('DISABLE', 'tls.passthrough') }
  const places = directPlaces(q)
  if (places === undefined || places.length === 0) return [{ address: `${q.target.host}:${q.target.port}`, weight: 1, outcome: 'plaintext', client, server: null, blocked: null }]
  return places.map((p) => directAnswer(q, client, p.address, p.port))
}

/** A host whose address only the application knows: nothing of the mesh is at the other end. */
function outside(q: Question, routed: Routed, upstream: Upstream, weight: number): EndpointAnswer {
  const tls = unmarkedTls(upstream)
  const client: ClientSide = { ...clientSide(q, routed.route), destination: { host: upstream.host, port: upstream.port, subset: upstream.subset }, tls }
  return { address: `${q.target.host}:${q.target.port}`, weight, outcome: tls.value === 'DISABLE' ? 'plaintext' : tls.value === 'ISTIO_MUTUAL' ? 'mtls' : 'tls', client, server: null, blocked: null }
}

function localAnswer(q: Question, routed: Routed): EndpointAnswer {
  const { status, what } = routed.local as NonNullable<Routed['local']>
  const source = routed.route.because[0]?.source ?? 'default'
  const why = { 'no-route': 'a VirtualService took this host over, and none of its rules matches the call', redirect: `the route answers with a redirect (${status})`, direct: `the route answers by itself with ${status}` }[what]
  const fix = what === 'no-route' ? ['add a rule without match as the last one'] : []
  return { address: '', weight: 1, outcome: 'blocked', client: clientSide(q, routed.route), server: null, blocked: { at: 'client', why, symptom: `${status} from the caller’s sidecar`, source, fix } }
}

function noUpstream(q: Question, routed: Routed, name: string, upstream: Upstream | null): EndpointAnswer {
  const [, port = '', subset = '', host = ''] = name.split('|')
  const source = routed.route.because[0]?.source ?? 'default'
  const destination = host === '' ? null : { host, port: Number(port), subset: subset === '' ? null : subset }
  const subsetWords = subset === '' ? '' : ` subset ${subset}`
  const why = upstream === null ? (host === '' ? 'the route leads nowhere' : `the route leads to ${host}:${port}${subsetWords}, which this client’s mesh does not know`) : `${host}:${port}${subsetWords} has no ready endpoint`
  const symptom = q.target.scheme === 'tcp' ? 'the connection is closed' : `503 from the caller’s sidecar (response flag ${upstream === null ? 'NC' : 'UH'})`
  const fix = upstream === null ? [subset === '' ? 'check the destination’s host and port' : `define subset ${subset} in a DestinationRule for ${host} that this client sees`] : [subset === '' ? 'check that ready pods match the Service’s selector' : `check the labels of subset ${subset}`]
  const client: ClientSide = { ...clientSide(q, routed.route), destination, tls: upstream === null ? null : unmarkedTls(upstream) }
  return { address: '', weight: 1, outcome: 'blocked', client, server: null, blocked: { at: 'client', why, symptom, source, fix } }
}

function summarize(call: Call, answers: readonly EndpointAnswer[], problems: readonly Problem[]): Explanation {
  const first = answers[0] as EndpointAnswer
  const same = answers.every((a) => a.outcome === first.outcome && a.server?.mtls?.value === first.server?.mtls?.value && a.client.destination?.host === first.client.destination?.host && a.client.destination?.subset === first.client.destination?.subset)
  const outcome = answers.every((a) => a.outcome === first.outcome) ? first.outcome : 'mixed'
  return { call: { from: call.from, to: call.to }, outcome, client: first.client, server: first.server, blocked: outcome === 'mixed' ? null : first.blocked, endpoints: same && outcome !== 'mixed' ? [] : answers, observed: null, problems }
}
