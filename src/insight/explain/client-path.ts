// Where the client's sidecar sends a call: the engine's decision over what is generated, with the plan's reasons for it.
import { formatAddress, type Fault } from '#engine'
import { mapDecided, type Decided } from '#lib/decided.ts'
import type { Ref } from '#lib/problem.ts'
import { refTo } from '#api'
import type { ProxyPlan } from '#plan'
import { decideOutbound, outboundConfig, type ClusterChoice, type Outbound, type OutboundDecision } from '../simulate/index.ts'
import { originalAddress, type Question } from './question.ts'
import type { RouteTaken } from './types.ts'

export type Routed =
  /** No rule and no service: the last resort, passed on (`choice`, by `outbound`) or refused; `http`: as a request, which gets an answer. */
  | { readonly kind: 'unknown'; readonly choice?: ClusterChoice; readonly outbound: Outbound; readonly http: boolean }
  | { readonly kind: 'local'; readonly route: Decided<RouteTaken>; readonly status: number; readonly what: 'direct' | 'redirect' | 'no-route' | 'not-http' | 'bad-path' | 'bad-method' | 'bad-expression'; readonly location?: string }
  /** Every call, on purpose. */
  | { readonly kind: 'aborted'; readonly route: Decided<RouteTaken>; readonly status: string }
  | { readonly kind: 'clusters'; readonly route: Decided<RouteTaken>; readonly choices: readonly ClusterChoice[]; readonly outbound: Outbound; readonly status: number; readonly http: boolean }

export function routeCall(q: Question, plan: ProxyPlan): Routed {
  const { port } = q.target
  const outbound = outboundConfig(plan, port)
  const address = originalAddress(q, (a) => outbound.config.byAddress.has(formatAddress({ address: a, port })))
  const decision = decideOutbound(outbound.config, { original: { address, port }, source: q.source, bytes: q.bytes, request: q.request })
  switch (decision.kind) {
    case 'closed':
      return { kind: 'unknown', outbound, http: false }
    case 'not-http':
      return { kind: 'local', what: 'not-http', status: 400, route: { value: { rule: `port ${port} carries HTTP` }, because: [{ rule: 'route.not-asked', source: 'default', effect: 'chosen' }] } }
    case 'refused':
      return { kind: 'local', what: `bad-${decision.what}`, status: decision.status, route: { value: { rule: `a ${decision.what} that is refused` }, because: [{ rule: 'route.not-asked', source: 'default', effect: 'chosen' }] } }
    case 'no-route':
      return { kind: 'local', what: 'no-route', status: 404, route: { value: { rule: 'no rule matches: 404' }, because: [{ rule: 'route.no-match', source: hostTakenBy(q, plan, decision), effect: 'chosen' }] } }
    case 'answer': {
      if (decision.virtualHost === 'block_all') return { kind: 'unknown', outbound, http: q.bytes.http !== undefined }
      return { kind: 'local', what: decision.what, status: decision.status, route: reasonsOf(plan, decision), ...(decision.location === undefined ? {} : { location: decision.location }) }
    }
    case 'forward': {
      const route = reasonsOf(plan, decision)
      if (route === undefined || decision.choices.every((c) => c.cluster === 'PassthroughCluster' && decision.route?.virtualHost === 'allow_any')) return { kind: 'unknown', outbound, http: decision.route !== undefined && q.bytes.http !== undefined, ...(decision.choices[0] === undefined ? {} : { choice: decision.choices[0] }) }
      const fault = faultOf(decision.fault)
      if (fault?.abort?.percent === 100) return { kind: 'aborted', route, status: fault.abort.status }
      return { kind: 'clusters', route: fault === undefined ? route : mapDecided(route, (r) => ({ ...r, fault })), choices: decision.choices, outbound, status: decision.notFoundStatus, http: decision.route !== undefined }
    }
  }
}

function faultOf({ delay, abort }: Fault = {}): RouteTaken['fault'] {
  const percent = (share: number): number => Math.round(share * 1e6) / 1e4
  const both = {
    ...(delay === undefined || delay.share === 0 ? {} : { delay: { ms: delay.ms, percent: percent(delay.share) } }),
    ...(abort === undefined || abort.share === 0 ? {} : { abort: { status: abort.grpcStatus === undefined ? String(abort.httpStatus) : `grpc-status ${abort.grpcStatus}`, percent: percent(abort.share) } }),
  }
  return Object.keys(both).length === 0 ? undefined : both
}

/** The plan's element that became what the engine took; undefined: the listener's last resort. */
function reasonsOf(plan: ProxyPlan, decision: Extract<OutboundDecision, { kind: 'answer' }>): Decided<RouteTaken>
function reasonsOf(plan: ProxyPlan, decision: Extract<OutboundDecision, { kind: 'forward' }>): Decided<RouteTaken> | undefined
function reasonsOf(plan: ProxyPlan, decision: Extract<OutboundDecision, { kind: 'answer' | 'forward' }>): Decided<RouteTaken> | undefined {
  const by = decision.kind === 'answer' ? decision : decision.route
  const because = by === undefined
    ? plan.outbound.find((l) => l.name === decision.listener.name)?.tcpRoutes[Number(/^route-(\d+)/.exec(decision.chain.name)?.[1] ?? -1)]?.because
    : plan.routeTables.find((t) => t.name === by.table)?.virtualHosts.find((v) => v.name === by.virtualHost)?.routes[by.index]?.because
  return because === undefined ? undefined : { value: { rule: because.value }, because: because.because }
}

/** The list of rules that took the host over and has none for the call. */
function hostTakenBy(q: Question, plan: ProxyPlan, { table, virtualHost }: { readonly table: string; readonly virtualHost: string | undefined }): Ref | 'default' {
  const source = plan.routeTables.find((t) => t.name === table)?.virtualHosts.find((v) => v.name === virtualHost)?.routes[0]?.because.because[0]?.source ?? 'default'
  const virtual = source === 'default' ? undefined : q.mesh.virtualServices.find((v) => v.metadata.namespace === source.namespace && v.metadata.name === source.name)
  return virtual === undefined ? source : refTo(virtual, 'spec.http')
}
