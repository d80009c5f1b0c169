// The TCP proxy, compiled: one cluster, or several by weight.
import { compileAccessLogs, type AccessLog } from './access-log.ts'
import { durationMs, fields, type Notes } from './notes.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { TcpProxy as TcpProxyProto } from '../../../generated/types/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'

export interface TcpProxy {
  readonly kind: 'tcp'
  readonly statPrefix: string
  readonly targets: readonly { readonly cluster: string; readonly weight: number }[]
  readonly totalWeight: number
  /** 0 = none. */
  readonly idleTimeoutMs: number
  readonly maxConnectAttempts: number
  /** The balancer hashes the client's address. */
  readonly hashesSource: boolean
  readonly accessLogs: readonly AccessLog[]
}

export const tcpProxyType = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'

export function compileTcpProxy(any: Any | undefined, notes: Notes): TcpProxy | undefined {
  const proxy = notes.unpack<TcpProxyProto>(any, tcpProxyType)
  if (proxy === undefined) return undefined
  notes.onlyServes(proxy, fields('stat_prefix cluster weighted_clusters idle_timeout access_log max_connect_attempts hash_policy'))
  for (const { policySpecifier } of proxy.hashPolicy) if (policySpecifier.case !== 'sourceIp') notes.notServed(`hash_policy.${policySpecifier.case ?? 'without a policy'}`)
  const specifier = proxy.clusterSpecifier
  if (specifier.case === undefined) notes.error('tcp_proxy has neither cluster nor weighted_clusters')
  const targets = specifier.case === 'cluster' ? [{ cluster: specifier.value, weight: 1 }] : (specifier.value?.clusters ?? []).map((c) => ({ cluster: c.name, weight: c.weight }))
  return {
    kind: 'tcp',
    statPrefix: proxy.statPrefix,
    targets,
    totalWeight: targets.reduce((sum, t) => sum + t.weight, 0),
    idleTimeoutMs: durationMs(proxy.idleTimeout, 3_600_000),
    maxConnectAttempts: proxy.maxConnectAttempts ?? 1,
    hashesSource: proxy.hashPolicy.some((p) => p.policySpecifier.case === 'sourceIp'),
    accessLogs: compileAccessLogs(proxy.accessLog, notes),
  }
}

/** `pick` in [0,1). */
export function chooseTcpTarget(proxy: TcpProxy, pick: number): string {
  let left = pick * proxy.totalWeight
  for (const target of proxy.targets) {
    left -= target.weight
    if (left < 0) return target.cluster
  }
  return proxy.targets[0]?.cluster ?? ''
}
