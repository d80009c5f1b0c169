// What Istio's webhook refuses in a DestinationRule and its policies.
import type { DestinationRuleSpec } from '../kinds/networking.ts'
import type { ClientTls, ConnectionPoolSettings, LoadBalancer, OutlierDetectionSettings, PortTrafficPolicy, TrafficPolicy } from '../kinds/traffic-policy.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { fqdnFault, isAddress, isLabel, labelSetFault, portFault, wildcardDomainFault } from './names.ts'
import { checkExportTo, checkSelector } from './shared.ts'
import { checkLocality, checkZoneAware } from './locality.ts'

export function checkDestinationRule(object: ApiObject, found: Findings): void {
  const spec = object.spec as DestinationRuleSpec
  found.error('spec.host', spec.host === undefined ? 'host is required' : wildcardDomainFault(spec.host))
  checkTrafficPolicy(found, 'spec.trafficPolicy', spec.trafficPolicy)
  const seen = new Set<string>()
  spec.subsets?.forEach((subset, i) => {
    const at = `spec.subsets[${i}]`
    const name = subset.name ?? ''
    if (seen.has(name)) found.error(`${at}.name`, `the subset ${name} stands here twice`)
    seen.add(name)
    found.error(`${at}.name`, subsetFault(name))
    found.error(`${at}.labels`, labelSetFault(subset.labels))
    // Istio warns of no subset's policy, nor of a port's.
    checkTrafficPolicy(found.errorsOnly(), `${at}.trafficPolicy`, subset.trafficPolicy)
  })
  checkExportTo(found, object.metadata.namespace, spec.exportTo, spec.workloadSelector === undefined ? 'other' : 'selecting DestinationRule')
  checkSelector(found, 'spec.workloadSelector', spec.workloadSelector)
}

export function subsetFault(name: string): string | undefined {
  if (name === '') return 'a subset needs a name'
  return isLabel(name) ? undefined : `${JSON.stringify(name)} is no subset name: letters, digits and -, at most 63 characters`
}

function checkTrafficPolicy(found: Findings, path: string, policy: TrafficPolicy | undefined): void {
  if (policy === undefined) return
  if (Object.entries(policy).every(([, value]) => Array.isArray(value) && value.length === 0)) return found.error(path, 'a traffic policy must say something: loadBalancer, connectionPool, outlierDetection, tls, portLevelSettings, tunnel, proxyProtocol or retryBudget')
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) return found.error(path, 'tunnel and proxyProtocol exclude one another')
  checkParts(found, path, policy)
  policy.portLevelSettings?.forEach((level, i) => {
    const at = `${path}.portLevelSettings[${i}]`
    if (level.port === undefined) found.error(`${at}.port`, 'a port is required')
    if (Object.keys(level).every((name) => name === 'port')) found.error(at, 'a port’s policy must say something: loadBalancer, connectionPool, outlierDetection or tls')
    checkParts(found.errorsOnly(), at, level)
  })
  const tunnel = policy.tunnel
  if (tunnel !== undefined) {
    if (!['', 'CONNECT', 'POST'].includes(tunnel.protocol ?? '')) found.error(`${path}.tunnel.protocol`, `${JSON.stringify(tunnel.protocol)} is neither CONNECT nor POST`)
    const host = tunnel.targetHost ?? ''
    if (!isAddress(host)) found.error(`${path}.tunnel.targetHost`, fqdnFault(host))
    found.error(`${path}.tunnel.targetPort`, portFault(tunnel.targetPort ?? 0))
  }
}

function checkParts(found: Findings, path: string, parts: TrafficPolicy | PortTrafficPolicy): void {
  checkOutlier(found, `${path}.outlierDetection`, parts.outlierDetection)
  checkConnectionPool(found, `${path}.connectionPool`, parts.connectionPool)
  checkLoadBalancer(found, `${path}.loadBalancer`, parts.loadBalancer, parts.outlierDetection !== undefined)
  checkClientTls(found, `${path}.tls`, parts.tls)
}

function checkOutlier(found: Findings, path: string, outlier: OutlierDetectionSettings | undefined): void {
  if (outlier === undefined) return
  if ((outlier.consecutiveErrors ?? 0) !== 0) found.warn(`${path}.consecutiveErrors`, 'consecutiveErrors is deprecated', 'use consecutiveGatewayErrors or consecutive5xxErrors')
  if (outlier.splitExternalLocalOriginErrors !== true && (outlier.consecutiveLocalOriginFailures ?? 0) > 0) {
    found.error(`${path}.consecutiveLocalOriginFailures`, 'consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true')
  }
  for (const name of ['maxEjectionPercent', 'minHealthPercent'] as const) {
    const value = outlier[name] ?? 0
    if (value < 0 || value > 100) found.error(`${path}.${name}`, `${value} is no percentage from 0 to 100`)
  }
}

export function checkConnectionPool(found: Findings, path: string, pool: ConnectionPoolSettings | undefined): void {
  if (pool === undefined) return
  if (pool.http === undefined && pool.tcp === undefined) return found.error(path, 'a connection pool must have tcp or http')
  const negative = (at: string, value: number | undefined): void => found.error(at, (value ?? 0) < 0 ? 'must not be negative' : undefined)
  for (const name of ['http1MaxPendingRequests', 'http2MaxRequests', 'maxRequestsPerConnection', 'maxRetries', 'maxConcurrentStreams'] as const) negative(`${path}.http.${name}`, pool.http?.[name])
  if (pool.http?.h2UpgradePolicy === 'UPGRADE' && pool.http.useClientProtocol === true) found.error(`${path}.http.useClientProtocol`, 'useClientProtocol can’t be true where h2UpgradePolicy is UPGRADE')
  const keepAlive = pool.http?.http2KeepAlive
  if (keepAlive !== undefined) for (const name of ['interval', 'timeout'] as const) if (keepAlive[name] === undefined) found.error(`${path}.http.http2KeepAlive.${name}`, `http2KeepAlive needs ${name}`)
  negative(`${path}.tcp.maxConnections`, pool.tcp?.maxConnections)
}

const largestMaglev = 5_000_011

function checkLoadBalancer(found: Findings, path: string, balancer: LoadBalancer | undefined, hasOutlier: boolean): void {
  if (balancer === undefined) return
  const hash = balancer.consistentHash
  if (hash !== undefined) {
    if (hash.httpCookie !== undefined && (hash.httpCookie.name ?? '') === '') found.error(`${path}.consistentHash.httpCookie.name`, 'a cookie needs a name')
    const attributes = new Set<string>()
    hash.httpCookie?.attributes?.forEach(({ name = '' }, i) => {
      const at = `${path}.consistentHash.httpCookie.attributes[${i}].name`
      if (name === '') found.error(at, 'a cookie’s attribute needs a name')
      else if (attributes.has(name)) found.error(at, `the attribute ${name} stands here twice`)
      attributes.add(name)
    })
    if ((hash.minimumRingSize ?? 0) !== 0) {
      found.warn(`${path}.consistentHash.minimumRingSize`, 'minimumRingSize is deprecated', 'use ringHash.minimumRingSize')
      if (hash.ringHash !== undefined || hash.maglev !== undefined) found.error(`${path}.consistentHash.minimumRingSize`, 'minimumRingSize can’t stand beside ringHash or maglev')
    }
    const size = hash.maglev === undefined ? undefined : (hash.maglev.tableSize ?? 0)
    if (size !== undefined && (size === 0 || size >= largestMaglev || !isPrime(size))) found.error(`${path}.consistentHash.maglev.tableSize`, `the table size must be a prime number below ${largestMaglev}`)
  }
  if (balancer.localityLbSetting !== undefined && balancer.zoneAwareLbSetting !== undefined) found.error(`${path}.zoneAwareLbSetting`, 'zoneAwareLbSetting can’t stand beside localityLbSetting')
  checkLocality(found, `${path}.localityLbSetting`, balancer.localityLbSetting, hasOutlier)
  checkZoneAware(found, `${path}.zoneAwareLbSetting`, balancer.zoneAwareLbSetting, hasOutlier)
  const warmup = balancer.warmup
  if (warmup !== undefined && warmup.duration === undefined) found.error(`${path}.warmup.duration`, 'a warmup needs a duration')
  if ((warmup?.minimumPercent ?? 0) > 100) found.error(`${path}.warmup.minimumPercent`, 'a percentage is at most 100')
  if ((warmup?.aggression ?? 1) <= 0) found.error(`${path}.warmup.aggression`, 'the aggression must be more than 0')
}

function isPrime(n: number): boolean {
  // 1 passes, as Envoy has it.
  if (n < 4) return n > 0
  if (n % 2 === 0) return false
  for (let factor = 3; factor * factor <= n; factor += 2) if (n % factor === 0) return false
  return true
}

export function checkClientTls(found: Findings, path: string, tls: ClientTls | undefined): void {
  if (tls === undefined) return
  const mode = tls.mode ?? 'DISABLE'
  const set = (name: keyof ClientTls): boolean => (tls[name] ?? '') !== ''
  if (tls.insecureSkipVerify === true) {
    const idle = (['caCertificates', 'credentialName', 'subjectAltNames'] as const).filter((name) => !(name === 'credentialName' && mode === 'MUTUAL')).find((name) => set(name))
    if ((mode === 'SIMPLE' || mode === 'MUTUAL') && idle !== undefined) found.error(`${path}.${idle}`, `${idle} can’t stand beside insecureSkipVerify: true`)
  }
  if ((mode === 'SIMPLE' || mode === 'MUTUAL') && set('credentialName')) {
    const other = (['clientCertificate', 'caCertificates', 'privateKey', 'caCrl'] as const).find((name) => set(name))
    if (other !== undefined) found.error(`${path}.${other}`, `${other} can’t stand beside credentialName`)
    return
  }
  if (mode === 'MUTUAL') for (const name of ['clientCertificate', 'privateKey'] as const) if (!set(name)) found.error(`${path}.${name}`, `mode MUTUAL needs a ${name} (ISTIO_MUTUAL uses the workload’s own)`)
}
