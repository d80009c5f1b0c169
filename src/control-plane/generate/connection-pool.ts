// connectionPool and outlierDetection in Envoy's words. Istio's default for every limit is none.
import type { ConnectionPool, OutlierDetection } from '#plan'
import { seconds, some, typed, type Obj } from './json.ts'

/** Which HTTP goes upstream; `downstream`: the version in which the request came. */
export type HttpProtocol = 'http1' | 'http2' | 'downstream'

const unlimited = 4_294_967_295

export function circuitBreakers(pool: ConnectionPool): Obj {
  const limits = { maxConnections: pool.maxConnections ?? unlimited, maxPendingRequests: pool.maxPendingRequests ?? unlimited, maxRequests: pool.maxRequests ?? unlimited, maxRetries: pool.maxRetries ?? unlimited }
  const { retryBudget: budget } = pool
  const retryBudget = budget === undefined ? undefined : some({ budgetPercent: budget.percent === undefined ? undefined : { value: budget.percent }, minRetryConcurrency: budget.minConcurrency })
  return { thresholds: [some({ ...limits, trackRemaining: true, retryBudget })] }
}

/** Whole seconds in Envoy. */
export function tcpKeepalive(pool: ConnectionPool): Obj | undefined {
  const k = pool.tcpKeepalive
  if (k === undefined) return undefined
  const whole = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : Math.max(1, Math.round(ms / 1000)))
  return { tcpKeepalive: some({ keepaliveProbes: k.probes, keepaliveTime: whole(k.timeMs), keepaliveInterval: whole(k.intervalMs) }) }
}

const optionsType = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

/** Envoy's typed_extension_protocol_options. `names`: auto_sni and its like. */
export function httpOptions(protocol: HttpProtocol, pool: ConnectionPool, names?: Obj): Obj {
  const duration = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : seconds(ms))
  const common = some({ idleTimeout: duration(pool.idleTimeoutMs), maxConnectionDuration: duration(pool.maxConnectionDurationMs), maxRequestsPerConnection: pool.maxRequestsPerConnection })
  const http2ProtocolOptions = some({ maxConcurrentStreams: pool.maxConcurrentStreams, connectionKeepalive: pool.http2Keepalive === undefined ? undefined : keepalive(pool.http2Keepalive) })
  const how = {
    downstream: { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions } },
    http2: { explicitHttpConfig: { http2ProtocolOptions } },
    http1: { explicitHttpConfig: { httpProtocolOptions: {} } },
  }[protocol]
  return { [optionsType]: typed(optionsType, some({ ...how, commonHttpProtocolOptions: Object.keys(common).length === 0 ? undefined : common, upstreamHttpProtocolOptions: names })) }
}

/** Envoy asks for a timeout wherever it pings; Istio's is 20 s. */
function keepalive(k: NonNullable<ConnectionPool['http2Keepalive']>): Obj {
  return some({ interval: k.intervalMs === undefined ? undefined : seconds(k.intervalMs), timeout: seconds(k.timeoutMs ?? 20_000) })
}

/** Ejection by success rate is off, as in Istio; gateway errors count only where they are asked for. */
export function outlierDetection(o: OutlierDetection): Obj {
  const { consecutiveGatewayErrors: gateway, consecutive5xx } = o
  return some({
    consecutive5xx: consecutive5xx === 0 ? undefined : consecutive5xx, enforcingConsecutive5xx: consecutive5xx === undefined ? undefined : consecutive5xx > 0 ? 100 : 0,
    consecutiveGatewayFailure: gateway === 0 ? undefined : gateway, enforcingConsecutiveGatewayFailure: gateway === undefined ? undefined : gateway > 0 ? 100 : 0,
    interval: o.intervalMs === undefined ? undefined : seconds(o.intervalMs), baseEjectionTime: o.baseEjectionMs === undefined ? undefined : seconds(o.baseEjectionMs), maxEjectionPercent: o.maxEjectionPercent,
    enforcingSuccessRate: 0, splitExternalLocalOriginErrors: o.splitExternalLocalOriginErrors,
    consecutiveLocalOriginFailure: o.consecutiveLocalOriginFailures, enforcingConsecutiveLocalOriginFailure: o.consecutiveLocalOriginFailures === undefined ? undefined : 100,
  })
}
