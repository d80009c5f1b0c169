// For each rule that did not apply to a call: which clause ruled it out, in a sentence.
import { refTo, type DestinationRule, type PeerAuthentication, type VirtualService } from '#api'
import { hostCovers, isVisible, resolveHost, selectorCovers, type Mesh, type Workload } from '#mesh'
import { scopeOf, virtualServicesFor, planContext } from '#plan'
import { accessNotMet } from './access-clauses.ts'
import { httpClauseFailed, sourceClauseFailed } from './clauses.ts'
import { findWorkload } from './find-workload.ts'
import { askAbout } from './question.ts'
import type { RequestFacts } from './route.ts'
import { asRead, parseTarget, resolveTarget } from './target.ts'
import type { Call, Explanation, NotApplied } from './types.ts'

/** Rules for the call's host and its server that had no say. */
export function whyNot(mesh: Mesh, call: Call, answer: Explanation, namespace = 'default'): NotApplied[] {
  const client = findWorkload(mesh, call.from, namespace)
  const server = serverOf(mesh, answer)
  const target = parseTarget(call.to)
  const access = server === undefined || target === undefined || !server.sidecar.value ? [] : accessNotMet(askAbout(mesh, client, target, call), answer, server)
  return [...routesNotTaken(mesh, client, call), ...rulesNotApplied(mesh, client, answer), ...(server === undefined ? [] : policiesNotInForce(mesh, server)), ...access]
}

function serverOf(mesh: Mesh, answer: Explanation): Workload | undefined {
  return mesh.workloads.find((w) => `${w.namespace}/${w.name}` === answer.server?.workload)
}

function routesNotTaken(mesh: Mesh, client: Workload, call: Call): NotApplied[] {
  const target = parseTarget(call.to)
  if (target === undefined || !client.sidecar.value) return []
  const host = resolveTarget(mesh, client, target.host).service?.host ?? target.host
  const request: RequestFacts | undefined = target.scheme === 'http' || target.scheme === 'grpc' ? { authority: target.authority, path: asRead(target.path), method: call.method ?? 'GET', scheme: 'http', headers: call.headers ?? {} } : undefined
  const out: NotApplied[] = []
  const context = planContext(mesh, client)
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
    out.push(...matchesNotMet(virtual, client, target.port, request))
  }
  return out
}

function matchesNotMet(virtual: VirtualService, client: Workload, port: number, request: RequestFacts | undefined): NotApplied[] {
  const each = <M>(kind: string, rules: readonly { readonly match?: readonly M[] }[] | undefined, failed: (match: M) => string | undefined): NotApplied[] =>
    (rules ?? []).flatMap((rule, i) => (rule.match ?? []).flatMap((match, n): NotApplied[] => {
      const why = failed(match)
      return why === undefined ? [] : [{ source: refTo(virtual, `spec.${kind}[${i}].match[${n}]`), why }]
    }))
  // Only what is HTTP to the proxy meets http rules, only what isn't the others.
  if (request !== undefined) return each('http', virtual.spec.http, (m) => httpClauseFailed(m, client, port, request))
  return [...each('tls', virtual.spec.tls, (m) => sourceClauseFailed(m, client, port)), ...each('tcp', virtual.spec.tcp, (m) => sourceClauseFailed(m, client, port))]
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
