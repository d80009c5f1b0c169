// What the owners at both ends of a call should know: of the client what concerns its calls, of the servers what concerns who may come in.
import { formatRef, type Problem } from '#lib/problem.ts'
import { refTo } from '#api'
import { claimsHostOf } from './foreign.ts'
import { unservedAtBothEnds } from './not-served.ts'
import type { Question } from './question.ts'
import type { EndpointAnswer } from './types.ts'

const ofServers: ReadonlySet<string> = new Set(['PeerAuthentication', 'AuthorizationPolicy', 'RequestAuthentication'])
/** A Sidecar's listeners for what comes in. */
const ofIngress = ({ ref }: Problem): boolean => ref.kind === 'Sidecar' && /^spec\.(ingress|inboundConnectionPool)/.test(ref.path)
/** Asked for each end by itself. */
const isUnservedKind = (p: Problem): boolean => p.code === 'KITH0121' && p.ref.kind !== 'VirtualService'

/** Each once. */
export function problemsOf(q: Question, answers: readonly EndpointAnswer[]): Problem[] {
  const servers = new Set(answers.map((a) => a.server?.workload))
  const redirected = answers.some((a) => a.client.redirected?.value === true)
  const outgoing = redirected ? concerning(q, answers).filter((p) => !ofServers.has(p.ref.kind) && !isUnservedKind(p) && !ofIngress(p)) : []
  const takers = q.mesh.workloads.filter((w) => w.sidecar.value && servers.has(`${w.namespace}/${w.name}`))
  const incoming = takers.flatMap((w) => q.serverPlan(w).problems.filter((p) => ofServers.has(p.ref.kind) || ofIngress(p)))
  return [...new Map([...outgoing, ...incoming, ...unservedAtBothEnds(q, redirected, takers)].map((p) => [`${p.code} ${formatRef(p.ref)} ${p.message}`, p])).values()]
}

/** Of fields that are not served, what this call meets: the destination's own object and the rules for it, the route that it takes, the caller's Sidecar. */
function concerning(q: Question, answers: readonly EndpointAnswer[]): readonly Problem[] {
  const { scope } = q.context
  const objects = answers.flatMap(({ client: { destination } }) => {
    const service = destination === null ? undefined : scope.byHost.get(destination.host)
    return service === undefined ? [] : [service.object, ...(q.context.ruleFor(service)?.from ?? [])]
  })
  const routes = answers.flatMap((a) => a.client.route.because.flatMap((r) => (r.source === 'default' ? [] : [r.source])))
  const met = new Set([...[...objects, ...(scope.sidecar === undefined ? [] : [scope.sidecar])].map((o) => refTo(o)), ...routes].map((r) => `${r.kind} ${r.namespace}/${r.name}`))
  return q.clientPlan().problems.filter((p) => {
    if (p.code === 'KITH0120') return claimsHostOf(q, p)
    const always = (p.code !== 'KITH0110' && p.code !== 'KITH0121') || isUnservedKind(p)
    return always || met.has(`${p.ref.kind} ${p.ref.namespace}/${p.ref.name}`)
  })
}
