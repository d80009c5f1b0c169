// For each rule that did not apply to a call: which clause ruled it out, in a sentence.
import { refTo, type DestinationRule, type PeerAuthentication, type VirtualService } from '#api'
import { formatRef } from '#lib/problem.ts'
import { hostCovers, isVisible, resolveHost, selectorCovers, type Mesh, type Workload } from '#mesh'
import { mergeDelegates, scopeOf, virtualServicesFor } from '#plan'
import { accessNotMet } from './access-clauses.ts'
import { httpClauseFailed, l4ClauseFailed } from './clauses.ts'
import { findWorkload } from './find-workload.ts'
import { refusedClaims } from './foreign.ts'
import { askAbout, headersOf, type Question } from './question.ts'
import type { RequestFacts } from './route.ts'
import { asRead, parseTarget } from './target.ts'
import type { Call, Explanation, NotApplied, Ref } from './types.ts'

/** Rules for the call's host and its server that had no say. */
export function whyNot(mesh: Mesh, call: Call, answer: Explanation, namespace = 'default'): NotApplied[] {
  const client = findWorkload(mesh, call.from, namespace)
  const server = serverOf(mesh, answer)
  const target = parseTarget(call.to)
  if (target === undefined) return []
  const q = askAbout(mesh, client, target, call)
  const access = server === undefined || !server.sidecar.value ? [] : accessNotMet(q, answer, server)
  return [...routesNotTaken(q, call, answer), ...(client.sidecar.value ? refusedClaims(q) : []), ...rulesNotApplied(mesh, client, answer), ...(server === undefined ? [] : policiesNotInForce(mesh, server)), ...access]
}

function serverOf(mesh: Mesh, answer: Explanation): Workload | undefined {
  return mesh.workloads.find((w) => `${w.namespace}/${w.name}` === answer.server?.workload)
}

function routesNotTaken(q: Question, call: Call, answer: Explanation): NotApplied[] {
  const { mesh, client, target, context } = q
  if (!client.sidecar.value) return []
  const { service } = q.resolved
  const host = service?.host ?? target.host
  const protocol = service?.ports.find((p) => p.number === target.port)?.protocol
  const taken = chosenRoutes(answer)
  const kind = /^spec\.(\w+)/.exec([...taken.values()][0]?.path ?? '')?.[1]
  const declaresHttp = protocol === 'http' || protocol === 'http2' || protocol === 'grpc'
  const declaresBytes = protocol === 'tcp' || protocol === 'tls' || protocol === 'udp'
  // What was taken says it; else the port, else what the application writes.
  const carriesHttp = kind === undefined ? declaresHttp || (q.bytes.http !== undefined && !declaresBytes) : kind === 'http'
  const seen: Seen = {
    taken, address: q.resolved.addresses[0]?.split('/')[0], serverName: q.bytes.tls?.serverName,
    ...(carriesHttp ? { request: { authority: q.request.authority, path: asRead(target.path, q.mesh), method: q.request.method, scheme: 'http', headers: headersOf(q.target, call) } } : {}),
  }
  const out: NotApplied[] = []
  const inScope = new Set(context.scope.byHost.get(host) === undefined ? scopeOf(mesh, client).virtualServices : virtualServicesFor(context, context.scope.byHost.get(host) as never))
  for (const virtual of mesh.virtualServices) {
    const hosts = (virtual.spec.hosts ?? []).map((h) => resolveHost(h, virtual.metadata.namespace, mesh.options.domain))
    if (!hosts.some((h) => hostCovers(h, host))) {
      if (hosts.some((h) => h.split('.')[0] === host.split('.')[0])) out.push({ source: refTo(virtual, 'spec.hosts'), why: `hosts ${hosts.join(', ')} do not cover ${host}` })
      continue
    }
    if (!inScope.has(virtual)) {
      const gateways = virtual.spec.gateways ?? []
      const why = gateways.length > 0 && !gateways.includes('mesh') ? `it is for the gateways ${gateways.join(', ')}, not for the mesh` : `it is exported to ${(virtual.spec.exportTo ?? ['*']).join(', ')}, not to ${client.namespace}`
      out.push({ source: refTo(virtual, 'spec'), why })
      continue
    }
    out.push(...rulesNotMet(q, virtual, seen))
  }
  return out
}

interface Seen {
  /** `foo/v spec.http[0].match[1]` of what took the call. */
  readonly taken: ReadonlyMap<string, Ref>
  readonly address: string | undefined
  readonly serverName: string | undefined
  /** Where the sidecar reads HTTP. */
  readonly request?: RequestFacts
}

const keyOf = (r: Ref): string => `${r.namespace}/${r.name} ${r.path}`

function chosenRoutes(answer: Explanation): Seen['taken'] {
  const chosen = [answer, ...answer.endpoints].flatMap(({ client }) => client.route.because.flatMap((r) => (r.effect === 'chosen' && r.source !== 'default' ? [r.source] : [])))
  return new Map(chosen.map((r) => [keyOf(r), r]))
}

interface Rule {
  readonly owner: VirtualService
  readonly path: string
  /** undefined: it asks for nothing. */
  readonly failed: string | undefined
}

/** Each match by itself; one that holds and was not taken came too late. Only what is HTTP to the proxy meets http rules, only what isn't the others. */
function rulesNotMet(q: Question, virtual: VirtualService, seen: Seen): NotApplied[] {
  const { spec } = virtual
  const { request } = seen
  const all = request !== undefined ? httpRules(q, virtual, request) : [...l4Rules(q, virtual, 'tls', seen), ...l4Rules(q, virtual, 'tcp', seen)]
  const others = request !== undefined ? (['tls', 'tcp'] as const) : (['http'] as const)
  const notAsked = others.filter((kind) => (spec[kind] ?? []).length > 0).map((kind): NotApplied => ({ source: refTo(virtual, `spec.${kind}`), why: request !== undefined ? `${kind} rules are for connections that the sidecar reads no HTTP in` : 'http rules are for what the sidecar reads as HTTP, and this call is not' }))
  const first = [...seen.taken.values()][0]
  const unmet = all.flatMap(({ owner, path, failed }): NotApplied[] => {
    const source = refTo(owner, path)
    if (seen.taken.has(keyOf(source))) return []
    if (failed !== undefined) return [{ source, why: failed }]
    return first === undefined ? [] : [{ source, why: `every clause of it holds, and ${formatRef(first)} comes before it` }]
  })
  return [...unmet, ...notAsked]
}

function httpRules({ context, client, target }: Question, virtual: VirtualService, request: RequestFacts): Rule[] {
  return mergeDelegates(context, virtual).flatMap(({ route, owner, index }) => {
    const path = `spec.http[${index}]`
    const matches = route.match ?? []
    return matches.length === 0 ? [{ owner, path, failed: undefined }] : matches.map((m, n) => ({ owner, path: `${path}.match[${n}]`, failed: httpClauseFailed(m, client, target.port, request) }))
  })
}

function l4Rules({ client, target }: Question, virtual: VirtualService, kind: 'tls' | 'tcp', seen: Seen): Rule[] {
  return (virtual.spec[kind] ?? []).flatMap((rule, i) => {
    const path = `spec.${kind}[${i}]`
    const matches = rule.match ?? []
    return matches.length === 0 ? [{ owner: virtual, path, failed: undefined }] : matches.map((m, n) => ({ owner: virtual, path: `${path}.match[${n}]`, failed: l4ClauseFailed(m, client, target.port, seen) }))
  })
}

function rulesNotApplied(mesh: Mesh, client: Workload, answer: Explanation): NotApplied[] {
  const host = answer.client.destination?.host
  if (host === undefined) return []
  const spoken = new Set(answer.client.tls?.because.map((r) => (r.source === 'default' ? '' : `${r.source.namespace}/${r.source.name}`)) ?? [])
  const service = mesh.servicesByHost.get(host)?.[0]
  return mesh.destinationRules.flatMap((rule: DestinationRule): NotApplied[] => {
    const { namespace, name } = rule.metadata
    const covers = hostCovers(resolveHost(rule.spec.host ?? '', namespace, mesh.options.domain), host)
    if (spoken.has(`${namespace}/${name}`)) return []
    if (!covers) return (rule.spec.host ?? '').split('.')[0] === host.split('.')[0] ? [{ source: refTo(rule, 'spec.host'), why: `host ${rule.spec.host ?? ''} is not ${host}` }] : []
    if (rule.spec.workloadSelector !== undefined && !selectorCovers(rule.spec.workloadSelector.matchLabels ?? {}, client.labels)) return [{ source: refTo(rule, 'spec.workloadSelector'), why: `workloadSelector does not cover ${client.name}.${client.namespace}` }]
    if (!isVisible(rule.spec.exportTo ?? [], namespace, client.namespace, mesh.options.config.defaultDestinationRuleExportTo ?? [])) return [{ source: refTo(rule, 'spec.exportTo'), why: `it is exported to ${(rule.spec.exportTo ?? []).join(', ')}, not to ${client.namespace}` }]
    const looked = [client.namespace, service?.namespace ?? '', mesh.options.rootNamespace]
    if (!looked.includes(namespace)) return [{ source: refTo(rule), why: `rules are looked up in ${looked.filter((n) => n !== '').join(', ')}; it is in ${namespace}` }]
    if (rule.spec.trafficPolicy === undefined) return [{ source: refTo(rule), why: 'it has no trafficPolicy' }]
    return [{ source: refTo(rule), why: whoComesFirst(mesh, rule, spoken, looked) }]
  })
}

/** The caller's namespace before the service's before the root's, an exact host before a wildcard, the oldest first. */
function whoComesFirst(mesh: Mesh, rule: DestinationRule, spoken: ReadonlySet<string>, looked: readonly string[]): string {
  const first = mesh.destinationRules.find((r) => spoken.has(`${r.metadata.namespace}/${r.metadata.name}`))
  if (first === undefined) return 'it says nothing of TLS for this call'
  const name = `DestinationRule ${first.metadata.namespace}/${first.metadata.name}`
  const at = (r: DestinationRule): number => looked.indexOf(r.metadata.namespace)
  if (at(first) < at(rule)) return `${name} comes first: rules in ${first.metadata.namespace} are looked up before those in ${rule.metadata.namespace}`
  if ((rule.spec.host ?? '').startsWith('*') && !(first.spec.host ?? '').startsWith('*')) return `${name} comes first: it names the host itself, not a wildcard`
  return `${name} comes first: it is older (or first by name), and theirs are not merged`
}

function policiesNotInForce(mesh: Mesh, server: Workload): NotApplied[] {
  return mesh.peerAuthentications.flatMap((policy: PeerAuthentication): NotApplied[] => {
    const labels = policy.spec.selector?.matchLabels ?? {}
    if (policy.metadata.namespace !== server.namespace || Object.keys(labels).length === 0) return []
    const off = Object.entries(labels).find(([k, v]) => server.labels[k] !== v)
    return off === undefined ? [] : [{ source: refTo(policy, 'spec.selector'), why: `selector: ${server.name}’s ${off[0]} is ${JSON.stringify(server.labels[off[0]] ?? 'unset')}, not ${JSON.stringify(off[1])}` }]
  })
}
