// Of the rules of VirtualServices that speak of a call's host: which clause of each the call does not meet,
// and which come too late.
import { refTo, type VirtualService } from '#api'
import { formatRef } from '#lib/problem.ts'
import { hostCovers, resolveHost } from '#mesh'
import { mergeDelegates, scopeOf, virtualServicesFor } from '#plan'
import { httpClauseFailed, l4ClauseFailed } from './clauses.ts'
import type { Question } from './question.ts'
import type { RequestFacts } from './route.ts'
import { asRead } from './target.ts'
import type { Explanation, NotApplied, Ref } from './types.ts'

export function routesNotTaken(q: Question, answer: Explanation): NotApplied[] {
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
  const carriesHttp =
    kind === undefined ? declaresHttp || (q.bytes.http !== undefined && !declaresBytes) : kind === 'http'
  const seen: Seen = {
    taken,
    address: q.resolved.addresses[0]?.split('/')[0],
    serverName: q.bytes.tls?.serverName,
    ...(carriesHttp ? { request: requestFacts(q) } : {}),
  }
  const out: NotApplied[] = []
  const inScope = new Set(
    context.scope.byHost.get(host) === undefined
      ? scopeOf(mesh, client).virtualServices
      : virtualServicesFor(context, context.scope.byHost.get(host) as never),
  )
  for (const virtual of mesh.virtualServices) {
    const hosts = (virtual.spec.hosts ?? []).map((h) =>
      resolveHost(h, virtual.metadata.namespace, mesh.options.domain),
    )
    if (!hosts.some((h) => hostCovers(h, host))) {
      if (hosts.some((h) => h.split('.')[0] === host.split('.')[0]))
        out.push({
          source: refTo(virtual, 'spec.hosts'),
          why: `hosts ${hosts.join(', ')} do not cover ${host}`,
        })
      continue
    }
    if (!inScope.has(virtual)) {
      const gateways = virtual.spec.gateways ?? []
      const why =
        gateways.length > 0 && !gateways.includes('mesh')
          ? `it is for the gateways ${gateways.join(', ')}, not for the mesh`
          : `it is exported to ${(virtual.spec.exportTo ?? ['*']).join(', ')}, not to ${client.namespace}`
      out.push({ source: refTo(virtual, 'spec'), why })
      continue
    }
    out.push(...rulesNotMet(q, virtual, seen))
  }
  return out
}

const requestFacts = (q: Question): RequestFacts => ({
  authority: q.request.authority,
  path: asRead(q.target.path, q.mesh),
  method: q.request.method,
  scheme: 'http',
  headers: q.headers,
})

/**
 * Each http rule of the VirtualService that took the call's host, with the clause that the call does not
 * meet.
 */
export function rulesNotMatched(q: Question, taken: Ref): { readonly rule: string; readonly why: string }[] {
  const virtual = q.mesh.virtualServices.find(
    (v) => v.metadata.namespace === taken.namespace && v.metadata.name === taken.name,
  )
  if (virtual === undefined) return []
  return httpRules(q, virtual, requestFacts(q)).flatMap(({ owner, path, failed }) =>
    failed === undefined ? [] : [{ rule: formatRef(refTo(owner, path)), why: failed }],
  )
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
  const chosen = [answer, ...answer.endpoints].flatMap(({ client }) =>
    client.route.because.flatMap((r) => (r.effect === 'chosen' && r.source !== 'default' ? [r.source] : [])),
  )
  return new Map(chosen.map((r) => [keyOf(r), r]))
}

interface Rule {
  readonly owner: VirtualService
  readonly path: string
  /** undefined: it asks for nothing. */
  readonly failed: string | undefined
}

/**
 * Each match by itself; one that holds and was not taken came too late. Only what is HTTP to the proxy meets
 * http rules, only what isn't the others.
 */
function rulesNotMet(q: Question, virtual: VirtualService, seen: Seen): NotApplied[] {
  const { spec } = virtual
  const { request } = seen
  const all =
    request !== undefined
      ? httpRules(q, virtual, request)
      : [...l4Rules(q, virtual, 'tls', seen), ...l4Rules(q, virtual, 'tcp', seen)]
  const others = request !== undefined ? (['tls', 'tcp'] as const) : (['http'] as const)
  const notAsked = others
    .filter((kind) => (spec[kind] ?? []).length > 0)
    .map((kind): NotApplied => ({
      source: refTo(virtual, `spec.${kind}`),
      why:
        request !== undefined
          ? `${kind} rules are for connections that the sidecar reads no HTTP in`
          : 'http rules are for what the sidecar reads as HTTP, and this call is not',
    }))
  const first = [...seen.taken.values()][0]
  const unmet = all.flatMap(({ owner, path, failed }): NotApplied[] => {
    const source = refTo(owner, path)
    if (seen.taken.has(keyOf(source))) return []
    if (failed !== undefined) return [{ source, why: failed }]
    return first === undefined
      ? []
      : [{ source, why: `every clause of it holds, and ${formatRef(first)} comes before it` }]
  })
  return [...unmet, ...notAsked]
}

function httpRules(
  { context, client, target }: Question,
  virtual: VirtualService,
  request: RequestFacts,
): Rule[] {
  return mergeDelegates(context, virtual).flatMap(({ route, owner, index }) => {
    const path = `spec.http[${index}]`
    const matches = route.match ?? []
    return matches.length === 0
      ? [{ owner, path, failed: undefined }]
      : matches.map((m, n) => ({
          owner,
          path: `${path}.match[${n}]`,
          failed: httpClauseFailed(m, client, target.port, request),
        }))
  })
}

function l4Rules(
  { client, target }: Question,
  virtual: VirtualService,
  kind: 'tls' | 'tcp',
  seen: Seen,
): Rule[] {
  return (virtual.spec[kind] ?? []).flatMap((rule, i) => {
    const path = `spec.${kind}[${i}]`
    const matches = rule.match ?? []
    return matches.length === 0
      ? [{ owner: virtual, path, failed: undefined }]
      : matches.map((m, n) => ({
          owner: virtual,
          path: `${path}.match[${n}]`,
          failed: l4ClauseFailed(m, client, target.port, seen),
        }))
  })
}
