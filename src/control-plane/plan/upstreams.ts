// The clusters of one proxy: each visible service's ports, each subset that its DestinationRule defines.
import type { ConnectionPoolSettings, OutlierDetectionSettings } from '#api'
import { refTo } from '#api'
import type { MeshService, ServicePort } from '#mesh'
import type { PlanContext } from './context.ts'
import type { MergedRule } from './destination-rules.ts'
import { endpointsFor } from './endpoints.ts'
import { distributes } from './locality.ts'
import { effectivePolicy, type EffectivePolicy } from './traffic-policy.ts'
import type { ConnectionPool, HashOn, OutlierDetection, Upstream } from './types.ts'
import { podsBehind, visiblePods } from './pod-tls.ts'
import { decideUpstreamTls } from './upstream-tls.ts'

export function upstreamName(port: number, subset: string | null, host: string): string {
  return `outbound|${port}|${subset ?? ''}|${host}`
}

export function planUpstreams(context: PlanContext): Upstream[] {
  return context.scope.services
    .flatMap((service) => service.ports.filter((p) => p.protocol !== 'udp').flatMap((port) => planPort(context, service, port)))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function planPort(context: PlanContext, service: MeshService, port: ServicePort): Upstream[] {
  const rule = context.ruleFor(service)
  const subsets = [null, ...(rule?.subsets ?? []).map((s) => s.value.name ?? '').filter((n) => n !== '')]
  return subsets.map((subset) => planUpstream(context, service, port, subset, rule))
}

export function planUpstream(context: PlanContext, service: MeshService, port: ServicePort, subset: string | null, rule: MergedRule | undefined): Upstream {
  const policy = effectivePolicy(rule, port.number, subset)
  const tls = decideUpstreamTls(context, service, port, subset, policy)
  const balancing = planBalancing(context, policy)
  const discovery = balancing.policy === 'PASSTHROUGH' ? 'ORIGINAL_DST' : discoveryOf(service)
  const byAddress = discovery === 'ORIGINAL_DST' && tls.value.mode === 'AUTO' ? { pods: service.headless ? podsBehind(context, service, port) : visiblePods(context) } : {}
  const source = policy.tls?.from ?? rule?.policy?.from ?? rule?.from[0]
  return {
    name: upstreamName(port.number, subset, service.host), host: service.host, port: port.number, subset, protocol: port.protocol, meshExternal: service.meshExternal, discovery,
    ...(discovery === 'STRICT_DNS' || discovery === 'LOGICAL_DNS' ? dnsEndpoints(context, service, port, subset, rule) : {}),
    tls, ...byAddress, ...hashing(policy), destinationRule: source === undefined ? null : refTo(source, source === policy.tls?.from ? policy.tls.path : 'spec'), balancing,
    connectionPool: { ...planPool(policy.connectionPool?.value, context), ...retryBudgetOf(rule) }, ...(policy.outlierDetection === undefined ? {} : { outlier: planOutlier(policy.outlierDetection.value) }),
  }
}

function discoveryOf(service: MeshService): Upstream['discovery'] {
  if (service.resolution === 'dns') return service.host.startsWith('*') ? 'ORIGINAL_DST' : service.dnsRoundRobin === true ? 'LOGICAL_DNS' : 'STRICT_DNS'
  // A headless service's client has chosen the pod; sending it elsewhere would be wrong.
  if (service.headless || (service.origin === 'entry' && service.resolution === 'none')) return 'ORIGINAL_DST'
  return 'EDS'
}

function dnsEndpoints(context: PlanContext, service: MeshService, port: ServicePort, subset: string | null, rule: MergedRule | undefined): Pick<Upstream, 'dnsEndpoints' | 'dnsLocalityWeights'> {
  const { endpoints, weights } = endpointsFor(context, service, port, subset, rule)
  return { dnsEndpoints: endpoints, ...(weights === undefined ? {} : { dnsLocalityWeights: weights }) }
}

/** Of the general policy alone. */
function retryBudgetOf(rule: MergedRule | undefined): Pick<ConnectionPool, 'retryBudget'> {
  const budget = rule?.policy?.value.retryBudget
  return budget === undefined ? {} : { retryBudget: { ...(budget.percent === undefined ? {} : { percent: budget.percent }), ...(budget.minRetryConcurrency === undefined ? {} : { minConcurrency: budget.minRetryConcurrency }) } }
}

function planBalancing(context: PlanContext, policy: EffectivePolicy): Upstream['balancing'] {
  const lb = policy.loadBalancer?.value
  const locality = distributes(context, policy) ? { byLocality: true } : {}
  const ms = lb?.warmup?.duration ?? lb?.warmupDurationSecs
  const { minimumPercent, aggression } = lb?.warmup ?? {}
  const more = { ...locality, ...(ms === undefined ? {} : { warmup: { ms, ...(minimumPercent === undefined ? {} : { minimumPercent }), ...(aggression === undefined ? {} : { aggression }) } }) }
  const hash = lb?.consistentHash
  if (hash !== undefined) return hash.maglev === undefined ? { policy: 'RING_HASH', ringSize: hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? 1024, ...more } : { policy: 'MAGLEV', ...(hash.maglev.tableSize === undefined ? {} : { ringSize: hash.maglev.tableSize }), ...more }
  const simple = lb?.simple
  if (simple === 'ROUND_ROBIN' || simple === 'RANDOM' || simple === 'PASSTHROUGH') return { policy: simple, ...more }
  return { policy: 'LEAST_REQUEST', ...more }
}

function hashing(policy: EffectivePolicy): { hashOn?: HashOn } {
  const hash = policy.loadBalancer?.value.consistentHash
  if (hash?.httpHeaderName !== undefined) return { hashOn: { header: hash.httpHeaderName } }
  if (hash?.httpCookie !== undefined) {
    const { name = '', path, ttl, attributes } = hash.httpCookie
    const named = (attributes ?? []).map((a) => ({ name: a.name ?? '', value: a.value ?? '' }))
    return { hashOn: { cookie: { name, ...(path === undefined ? {} : { path }), ...(ttl === undefined ? {} : { ttlMs: ttl }), ...(named.length === 0 ? {} : { attributes: named }) } } }
  }
  if (hash?.useSourceIp === true) return { hashOn: { sourceIp: true } }
  return hash?.httpQueryParameterName === undefined ? {} : { hashOn: { queryParameter: hash.httpQueryParameterName } }
}

export function planPool(pool: ConnectionPoolSettings | undefined, context: Pick<PlanContext, 'mesh'>): ConnectionPool {
  const { tcp, http } = pool ?? {}
  const keepalive = tcp?.tcpKeepalive
  const all: { [K in keyof ConnectionPool]: ConnectionPool[K] | undefined } = {
    connectTimeoutMs: tcp?.connectTimeout ?? context.mesh.options.config.connectTimeout ?? 10_000, maxConnections: tcp?.maxConnections, maxPendingRequests: http?.http1MaxPendingRequests, maxRequests: http?.http2MaxRequests,
    maxRetries: http?.maxRetries, maxRequestsPerConnection: http?.maxRequestsPerConnection, idleTimeoutMs: http?.idleTimeout ?? tcp?.idleTimeout, maxConnectionDurationMs: tcp?.maxConnectionDuration,
    tcpKeepalive: keepalive === undefined ? undefined : { ...(keepalive.probes === undefined ? {} : { probes: keepalive.probes }), ...(keepalive.time === undefined ? {} : { timeMs: keepalive.time }), ...(keepalive.interval === undefined ? {} : { intervalMs: keepalive.interval }) },
    h2Upgrade: http?.h2UpgradePolicy === 'UPGRADE' ? true : undefined, useClientProtocol: http?.useClientProtocol, maxConcurrentStreams: http?.maxConcurrentStreams,
    http2Keepalive: http?.http2KeepAlive === undefined ? undefined : keepaliveOf(http.http2KeepAlive),
  }
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined && v !== 0)) as ConnectionPool
}

function keepaliveOf(k: NonNullable<NonNullable<ConnectionPoolSettings['http']>['http2KeepAlive']>): NonNullable<ConnectionPool['http2Keepalive']> {
  const all = { intervalMs: k.interval, timeoutMs: k.timeout }
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined))
}

function planOutlier(o: OutlierDetectionSettings): OutlierDetection {
  const all: { [K in keyof OutlierDetection]: OutlierDetection[K] | undefined } = {
    consecutive5xx: o.consecutive5xxErrors, consecutiveGatewayErrors: o.consecutiveGatewayErrors, intervalMs: o.interval, baseEjectionMs: o.baseEjectionTime, maxEjectionPercent: o.maxEjectionPercent, minHealthPercent: o.minHealthPercent,
    splitExternalLocalOriginErrors: o.splitExternalLocalOriginErrors, consecutiveLocalOriginFailures: o.consecutiveLocalOriginFailures,
  }
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined)) as OutlierDetection
}
