// Where the client's sidecar sends a call: the engine's decision over what is generated, with the plan's reasons for it.
import { formatAddress, type RuntimeConfig } from '#engine'
import type { Decided } from '#lib/decided.ts'
import type { Ref } from '#lib/problem.ts'
import { refTo } from '#api'
import type { ProxyPlan } from '#plan'
import { decideOutbound, outboundConfig, type ClusterChoice, type OutboundDecision } from '../simulate/index.ts'
import { originalAddress, type Question } from './question.ts'
import type { RouteTaken } from './types.ts'

export type Routed =
  /** No rule and no service: the last resort, passed on (`choice`, by `config`) or refused. */
  | { readonly kind: 'unknown'; readonly choice?: ClusterChoice; readonly config: RuntimeConfig }
  | { readonly kind: 'local'; readonly route: Decided<RouteTaken>; readonly status: number; readonly what: 'direct' | 'redirect' | 'no-route' | 'not-http' | 'bad-path'; readonly location?: string }
  | { readonly kind: 'clusters'; readonly route: Decided<RouteTaken>; readonly choices: readonly ClusterChoice[]; readonly config: RuntimeConfig; readonly status: number; readonly http: boolean }

export function routeCall(q: Question, plan: ProxyPlan): Routed {
  const { port } = q.target
  const config = outboundConfig(plan, port)
  const address = originalAddress(q, (a) => config.byAddress.has(formatAddress({ address: a, port })))
  const decision = decideOutbound(config, { original: { address, port }, source: q.source, bytes: q.bytes, request: q.request })
  switch (decision.kind) {
    case 'closed':
      return { kind: 'unknown', config }
    case 'not-http':
      return { kind: 'local', what: 'not-http', status: 400, route: { value: { rule: `port ${port} carries HTTP` }, because: [{ rule: 'route.no-match', source: 'default', effect: 'chosen' }] } }
    case 'refused':
      return { kind: 'local', what: 'bad-path', status: decision.status, route: { value: { rule: 'a path that can’t be normalised' }, because: [{ rule: 'route.no-match', source: 'default', effect: 'chosen' }] } }
    case 'no-route':
      return { kind: 'local', what: 'no-route', status: 404, route: { value: { rule: 'no rule matches: 404' }, because: [{ rule: 'route.no-match', source: hostTakenBy(q, plan, decision), effect: 'chosen' }] } }
    case 'answer': {
      if (decision.virtualHost === 'block_all') return { kind: 'unknown', config }
      return { kind: 'local', what: decision.what, status: decision.status, route: reasonsOf(plan, decision), ...(decision.location === undefined ? {} : { location: decision.location }) }
    }
    case 'forward': {
      const route = reasonsOf(plan, decision)
      if (route === undefined || decision.choices.every((c) => c.cluster === 'PassthroughCluster' && decision.route?.virtualHost === 'allow_any')) return { kind: 'unknown', config, ...(decision.choices[0] === undefined ? {} : { choice: decision.choices[0] }) }
      return { kind: 'clusters', route, choices: decision.choices, config, status: decision.notFoundStatus, http: decision.route !== undefined }
    }
  }
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
