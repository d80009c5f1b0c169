// Both ends of a call: what each will do, the verdict, and every rule that had a say.
// Law: what a proxy does is asked of its engine over what is generated for it; the plan says why.
import { invariant, KithError } from '#lib/errors.ts'
import { byDefault, type Decided, type Reason } from '#lib/decided.ts'
import type { Problem } from '#lib/problem.ts'
import { formatAddress, type RuntimeCluster } from '#engine'
import { endpointsOf, type Mesh } from '#mesh'
import { planEndpoints, podTlsAt, type ProxyPlan, type Upstream } from '#plan'
import { bytesOnTheWire, candidates, onTheWire, runtimeEndpoints, type ClusterChoice, type Outbound } from '../simulate/index.ts'
import { routeCall, type Routed } from './client-path.ts'
import { credentialNeeds } from './credential.ts'
import { waysOut } from './redirection.ts'
import { clientSide, rewritten } from './client-side.ts'
import { aborted, endsAt, listenerNeeded, localAnswer, nameNeeded, noUpstream, nowhere, outside, ownPod } from './dead-ends.ts'
import type { End } from './ends.ts'
import { hintsFor } from './hints.ts'
import { instead } from './instead.ts'
import { transports } from './no-endpoint.ts'
import { whyUnknown } from './unknown.ts'
import { assumedAddress } from './assumed-address.ts'
import { findWorkload } from './find-workload.ts'
import { problemsOf } from './concerning.ts'
import { askAbout, byWay, type Question } from './question.ts'
import { arrive, type Sent } from './server-side.ts'
import { answered } from './symptom.ts'
import { isLoopback, parseTarget, wrongTarget } from './target.ts'
import type { Call, ClientSide, EndpointAnswer, Explanation, Spread, WireTls } from './types.ts'

type Clusters = Extract<Routed, { kind: 'clusters' }>

/** Throws NO_SUCH_WORKLOAD or WRONG_TARGET where the call names nothing. `namespace` completes `from`. */
export function explain(mesh: Mesh, call: Call, namespace = 'default'): Explanation {
  const { q, answer } = explainOnce(mesh, call, namespace)
  if (answer.blocked === null) return answer
  const others = instead(q, call, namespace, answer, (other) => explainOnce(other, call, namespace).answer)
  return others.length === 0 ? answer : { ...answer, blocked: { ...answer.blocked, instead: others } }
}

function explainOnce(mesh: Mesh, call: Call, namespace: string): { readonly q: Question; readonly answer: Explanation } {
  const target = parseTarget(call.to)
  const client = findWorkload(mesh, call.from, namespace)
  if (target === undefined) throw new KithError('WRONG_TARGET', wrongTarget(mesh, client, call.to))
  const q = askAbout(mesh, client, target, call)
  const answers = isLoopback(target.host) ? [ownPod(q)] : client.sidecar.value ? byEachWay(q) : withHints(q, undefined, withoutSidecar(q))
  return { q, answer: summarize(call, answers, problemsOf(q, answers)) }
}

function withHints(q: Question, outbound: Outbound | undefined, answers: readonly EndpointAnswer[]): EndpointAnswer[] {
  return answers.map((a) => ({ ...a, hints: [...a.hints, ...hintsFor(q, a, outbound)] }))
}

/** What the pod's rules lead to the sidecar, and what they keep from it: of several addresses each goes its own way. */
function byEachWay(q: Question): EndpointAnswer[] {
  const ways = waysOut(q.client, q.resolved.addresses, q.target.port, q.target.scheme === 'udp' ? 'udp' : 'tcp')
  const total = ways.reduce((sum, w) => sum + w.weight, 0)
  const alike = [...Map.groupBy(ways, (w) => JSON.stringify([w.redirected, w.own, w.asInbound])).values()]
  return alike.flatMap((group) => {
    const part = byWay(q, group)
    const share = group.reduce((sum, w) => sum + w.weight, 0) / total
    const rests = [group[0]?.provided, assumedAddress(part)].filter((p) => p !== null && p !== undefined).join('; ')
    const answers = part.bySidecar ? withSidecar(part) : withHints(part, undefined, withoutSidecar(part))
    return answers.map((a) => needing(rests === '' ? null : rests, { ...a, share: a.share * share }))
  })
}

function withSidecar(q: Question): EndpointAnswer[] {
  const plan = q.clientPlan()
  const routed = routeCall(q, plan)
  if (routed.kind === 'unknown') return withHints(q, routed.outbound, unknownDestination(q, plan, routed, routed.choice))
  if (routed.kind === 'aborted') return [aborted(q, routed)]
  if (routed.kind === 'local') return [localAnswer(q, routed)]
  if (routed.choices.length === 0) return [noUpstream(q, routed, { cluster: '', weight: 1 }, null)]
  const total = routed.choices.reduce((sum, c) => sum + c.weight, 0)
  const answersOf = (choice: ClusterChoice): EndpointAnswer[] => (choice.cluster === 'PassthroughCluster' ? unknownDestination(q, plan, routed, choice) : clusterAnswers(q, plan, routed, choice))
  return routed.choices.flatMap((choice) => withHints(q, routed.outbound, answersOf(choice)).map((a) => ({ ...a, share: total === 0 ? a.share : (a.share * choice.weight) / total })))
}

function clusterAnswers(q: Question, plan: ProxyPlan, routed: Clusters, choice: ClusterChoice): EndpointAnswer[] {
  const cluster = routed.outbound.cluster(choice.cluster)
  const upstream = plan.upstreams.find((u) => u.name === choice.cluster)
  if (cluster === undefined || upstream === undefined) return [noUpstream(q, routed, choice, null)]
  const client = (tls: Decided<WireTls>): ClientSide => ({ ...clientSide(q, rewritten(q, routed.route, choice)), destination: { host: upstream.host, port: upstream.port, subset: upstream.subset }, tls })
  if (cluster.discovery === 'ORIGINAL_DST') {
    // The client chose the pod itself (a headless service, a balancer that passes through), or an address outside: no endpoint's mark counts.
    const sentOn = (address: string, port: number): Sent => sentTo(q, cluster, upstream, { address, port, because: podTlsAt(plan, upstream.pods, address, port)?.because ?? [], socketMatch: {} }, choice)
    const places = directPlaces(q)
    if (places?.length === 0) return [noUpstream(q, routed, choice, upstream)]
    if (places === undefined) return [{ ...outside(q, client(sentOn('', q.target.port).tls)), weight: choice.weight }]
    return places.map((p) => {
      const at = dialled(q, p)
      const sent = sentOn(at.address, at.port)
      return answerAt(q, client(sent.tls), sent, { ...p, share: 1 / places.length }, choice.weight)
    })
  }
  const planned = upstream.dnsEndpoints ?? planEndpoints(q.context, plan, new Set([upstream.name]))[0]?.endpoints ?? []
  const all = cluster.inline?.all ?? runtimeEndpoints({ upstream: upstream.name, endpoints: planned })
  const up = candidates(cluster, all)
  if (up.length === 0) return [noUpstream(q, routed, choice, upstream)]
  return up.map(({ endpoint: e, share }) => {
    const sent = sentTo(q, cluster, upstream, { ...e, because: planned.find((p) => p.address === e.address && p.port === e.port)?.tls.because ?? [] }, choice)
    return needing(credentialNeeds(q, upstream.tls.value), answerAt(q, client(sent.tls), sent, { ...e, share }, choice.weight))
  })
}

interface Place {
  readonly address: string
  readonly port: number
  readonly socketMatch: Readonly<Record<string, string>>
  /** What automatic mTLS says of it. */
  readonly because: readonly Reason[]
}

/** The engine says what goes on the wire; the plan, why: the rule's own words, and for automatic mTLS the endpoint's. */
function sentTo(q: Question, cluster: RuntimeCluster, upstream: Pick<Upstream, 'tls'>, to: Place, choice: ClusterChoice): Sent {
  const wire = onTheWire(cluster, to)
  const because = upstream.tls.value.mode === 'AUTO' ? [...upstream.tls.because, ...to.because] : upstream.tls.because
  return {
    tls: { value: wire.wire, because }, onTheWire: wire, bytes: bytesOnTheWire(wire, choice.alpn, choice.authority, q.bytes),
    ...(choice.cluster.startsWith('outbound|') ? { destination: { port: Number(choice.cluster.split('|')[1]), host: choice.cluster.split('|')[3] ?? '' } } : {}),
    ...(choice.path === undefined ? {} : { request: { path: choice.path, authority: choice.authority ?? q.request.authority } }),
  }
}

/** What the outcome rests on besides. */
function needing(also: string | null, answer: EndpointAnswer): EndpointAnswer {
  return also === null || answer.blocked !== null ? answer : { ...answer, provided: answer.provided === null ? also : `${also}; ${answer.provided}` }
}

function answerAt(q: Question, client: ClientSide, sent: Sent, to: { readonly address: string; readonly port: number; readonly share: number; readonly priority?: number; readonly locality?: string }, weight: number): EndpointAnswer {
  const { address, port, share, priority = 0, locality = '' } = to
  return { address: formatAddress({ address, port }), weight, share, priority, locality, client, hints: [], ...arrive(q, sent, address, port) }
}

/** The application's own connection: to the service's ready endpoints as kube-proxy picks them, or straight to an address. */
function withoutSidecar(q: Question): EndpointAnswer[] {
  const [direct, reason] = q.way === undefined ? ['no sidecar: straight to the address', 'tls.no-sidecar'] : ['past the caller’s sidecar: straight to the address', 'tls.past-sidecar']
  const rule = q.resolved.hostname === true ? `${q.target.host} is the pod’s own hostname, which stands for its own address in /etc/hosts, before any Service` : direct
  const tls = byDefault<WireTls>('DISABLE', reason)
  const client: ClientSide = { ...clientSide(q, byDefault({ rule }, reason)), tls }
  const places = directPlaces(q)
  if (places === undefined) return [{ ...outside(q, client), provided: nameNeeded(q) }]
  if (places.length === 0) return [nowhere(q, client, false)]
  return places.map((p) => needing(listenerNeeded(q), answerAt(q, client, { tls, bytes: q.bytes }, { ...p, share: 1 / places.length }, 1)))
}

/** Where the application's own connection leads. undefined: somewhere outside the mesh. */
function directPlaces(q: Question): { address: string; port: number }[] | undefined {
  const { service, workload, addresses } = q.resolved
  if (service !== undefined && service.origin === 'kubernetes' && service.externalName === undefined) {
    const port = service.ports.find((p) => p.number === q.target.port)
    // Nothing translates the port on the way to a pod's own address.
    if (service.headless) return addresses.map((address) => ({ address, port: q.target.port }))
    const [has, called] = port === undefined ? [] : transports(port, q)
    return port === undefined || has !== called ? [] : endpointsOf(q.mesh, service, port).filter((e) => e.ready).map((e) => ({ address: e.address, port: e.port }))
  }
  if (workload !== undefined) return addresses.map((address) => ({ address, port: q.target.port }))
  return undefined
}

/** What the sidecar itself connects to: of a service its virtual address, which the kernel exchanges for a pod's only then. */
function dialled(q: Question, place: { readonly address: string; readonly port: number }): { readonly address: string; readonly port: number } {
  const { service } = q.resolved
  const [address] = service === undefined || service.origin !== 'kubernetes' || service.headless ? [] : q.resolved.addresses
  return address === undefined ? place : { address, port: q.target.port }
}

/** What no listener knows: passed on to where the application was going, or refused. */
function unknownDestination(q: Question, plan: ProxyPlan, { outbound, http }: Pick<Clusters, 'outbound' | 'http'>, choice: ClusterChoice = { cluster: 'PassthroughCluster', weight: 1 }): EndpointAnswer[] {
  const egress = plan.egress
  const source = egress.because[0]?.source ?? 'default'
  const unknown = whyUnknown(q, source)
  const left: Reason[] = unknown.reason === undefined ? [] : [{ ...unknown.reason, effect: 'chosen' }]
  if (egress.value === 'REGISTRY_ONLY') {
    const route = { value: { rule: `${unknown.what}: refused` }, because: [...left, { rule: 'route.blackhole', source, effect: 'chosen' as const }] }
    const symptom = http ? answered(q.target.scheme === 'grpc', 502, 'caller') : 'the connection is closed'
    return [endsAt(clientSide(q, route), symptom, unknown.ending as readonly [End, never])]
  }
  const route = { value: { rule: `${unknown.what}: passed on${unknown.meant}` }, because: [...left, { rule: 'route.passthrough', source, effect: 'chosen' as const }] }
  const hints = unknown.hint === null ? [] : [unknown.hint]
  const client: ClientSide = { ...clientSide(q, route), tls: byDefault<WireTls>('DISABLE', 'tls.passthrough') }
  const places = directPlaces(q)
  if (places === undefined) return [{ ...outside(q, client), provided: nameNeeded(q), hints }]
  if (places.length === 0) return [nowhere(q, client, http)]
  const cluster = outbound.cluster('PassthroughCluster')
  invariant(cluster !== undefined, 'every proxy has what passes through')
  return places.map((p) => {
    const at = dialled(q, p)
    const because = podTlsAt(plan, plan.passthrough, at.address, at.port)?.because ?? []
    const tls: Upstream['tls'] = because.length === 0 ? byDefault({ mode: 'DISABLE' }, 'tls.passthrough') : byDefault({ mode: 'AUTO', sni: '', sans: [] }, 'tls.auto-address')
    const sent = sentTo(q, cluster, { tls }, { ...at, because, socketMatch: {} }, choice)
    return { ...answerAt(q, { ...client, tls: sent.tls }, sent, { ...p, share: 1 / places.length }, choice.weight), hints }
  })
}

function summarize(call: Call, all: readonly EndpointAnswer[], problems: readonly Problem[]): Explanation {
  // Who only stands by makes no difference today.
  const answers = all.filter((a) => a.share > 0)
  const first = answers[0] as EndpointAnswer
  const same = answers.every((a) => a.outcome === first.outcome && a.server?.mtls?.value === first.server?.mtls?.value && placeOf(a) === placeOf(first))
  const outcome = answers.every((a) => a.outcome === first.outcome) ? first.outcome : 'mixed'
  return { call: { from: call.from, to: call.to }, outcome, client: first.client, server: first.server, blocked: outcome === 'mixed' ? null : first.blocked, provided: outcome === 'mixed' ? null : first.provided, hints: [...new Set(answers.flatMap((a) => a.hints))], endpoints: same && outcome !== 'mixed' ? [] : answers, spread: spreadOf(all), observed: null, notObserved: null, problems }
}

/** Where the route leads: weighted destinations may differ in any of the three. */
function placeOf({ client: { destination } }: EndpointAnswer): string {
  return destination === null ? '' : `${destination.host} ${destination.port} ${destination.subset ?? ''}`
}

function spreadOf(all: readonly EndpointAnswer[]): Spread[] {
  const known = all.filter((a) => a.address !== '')
  return known.map(({ address, server, share, priority, locality, outcome }) => ({ address, workload: server?.workload ?? null, share, priority, locality, outcome })).sort((a, b) => b.share - a.share || a.priority - b.priority)
}
