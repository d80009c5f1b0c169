// One TCP connection through the proxy: a cluster, an endpoint, bytes both ways. Law: nothing is read from the client before the upstream stands, so nothing is lost and nothing is sent in clear by mistake.
import { chooseTcpTarget, formatAddress, type FormatOperator, type TcpProxy } from '#engine'
import type { ConnectionFactsSeen, Core, Live } from './core.ts'
import { endpointPeer, serviceOf, type TcpSeries } from './metrics.ts'
import { connectionOperators } from './operators.ts'
import { metadataOf, unknownPeer } from './peer-metadata.ts'
import { splice, type Splice } from './splice.ts'
import type { Transport } from './transport.ts'
import type { Host, UpstreamCluster } from './upstream-cluster.ts'

/** How long a connection outlives the chain that let it in: Istio's drain time. */
const drainMs = 45_000

export class TcpConnection implements Live {
  readonly #core: Core
  readonly facts: ConnectionFactsSeen
  readonly #proxy: TcpProxy
  readonly #transport: Transport
  #cluster: UpstreamCluster | undefined
  #host: Host | undefined
  #upstream: Transport | undefined
  #splice: Splice | undefined
  #series: TcpSeries | undefined
  #flags = ''
  #reason = ''
  #attempts = 0
  #over = false
  #lastMs = performance.now()

  constructor(core: Core, facts: ConnectionFactsSeen, proxy: TcpProxy, transport: Transport) {
    this.#core = core
    this.facts = facts
    this.#proxy = proxy
    this.#transport = transport
    core.live.add(this)
    transport.pause()
    transport.events = { onData() {}, onEnd() {}, onDrain() {}, onClose: () => this.#finish('DC') }
    this.#start()
  }

  #start(): void {
    const name = chooseTcpTarget(this.#proxy, Math.random())
    const cluster = this.#core.upstreams.get(name)
    if (cluster === undefined) return this.#fail('NC', `cluster ${name} is unknown`)
    this.#cluster = cluster
    const pending = this.#core.upstreams.prepare(cluster)
    if (pending === undefined) this.#connect(cluster)
    else void pending.then(() => (this.#over ? undefined : this.#connect(cluster)))
  }

  #connect(cluster: UpstreamCluster): void {
    const { original, inbound } = this.facts
    const { config, counts } = cluster
    const host = config.discovery === 'ORIGINAL_DST' ? cluster.original(original.address, original.port, performance.now()) : cluster.pick(this.#proxy.hashesSource ? this.facts.remote.address : undefined, undefined)
    if (host === undefined) return this.#fail('UH', '')
    if (counts.connections >= config.limits.connections) return this.#fail('UO', '')
    this.#host = host
    this.#attempts++
    counts.connections++
    host.active++
    this.#core.upstreams.open(cluster, host, { authority: this.facts.serverName, alpn: undefined, inbound, http2: false }, (failure, upstream) => {
      if (upstream === undefined) {
        this.#release()
        cluster.report(host, 'local', performance.now())
        this.#reason = failure !== undefined && 'reason' in failure ? failure.reason : ''
        if (this.#over) return
        if (this.#attempts < this.#proxy.maxConnectAttempts) return this.#connect(cluster)
        return this.#fail('UF', this.#reason)
      }
      if (this.#over) {
        this.#release()
        upstream.destroy()
        return
      }
      cluster.report(host, 'ok', performance.now())
      this.#tie(upstream)
    })
  }

  #tie(upstream: Transport): void {
    this.#upstream = upstream
    this.#series = this.#seriesOf(upstream)
    this.#series.opened++
    this.#splice = splice(this.#transport, upstream, (result) => {
      this.#release()
      // A client's reset has no flag in Envoy either.
      this.#finish(result.broken !== 'b' ? '' : result.wasReset ? 'UR' : 'UC')
    })
  }

  #release(): void {
    const host = this.#host
    if (host === undefined || this.#cluster === undefined) return
    host.active--
    this.#cluster.counts.connections--
  }

  #fail(flag: string, reason: string): void {
    this.#reason = reason
    this.#transport.destroy()
    this.#finish(flag)
  }

  #finish(flag: string): void {
    if (this.#over) return
    this.#over = true
    this.#flags = flag
    this.#core.live.delete(this)
    const series = this.#series ?? this.#seriesOf(undefined)
    if (this.#series === undefined) series.opened++
    series.closed++
    series.received += this.#splice?.sent ?? 0
    series.sent += this.#splice?.received ?? 0
    if (this.#proxy.accessLogs.length > 0) this.#core.accessLogs.log(this.#proxy.accessLogs, flag, (operator) => this.#lookup(operator))
  }

  #seriesOf(upstream: Transport | undefined): TcpSeries {
    const { identity, metrics } = this.#core
    const facts = this.facts
    const own = metadataOf(identity)
    const principal = upstream?.tls?.peer?.principal ?? ''
    const common = { protocol: 'tcp', code: '', grpcStatus: '', flags: upstream === undefined ? 'UF' : '' } as const
    if (facts.inbound) {
      const peer = facts.tls?.peer
      return metrics.tcp({
        ...common,
        reporter: 'destination',
        source: unknownPeer,
        sourcePrincipal: peer?.principal ?? '',
        destination: own,
        destinationPrincipal: peer === undefined ? '' : facts.localPrincipal,
        service: serviceOf(this.#cluster?.config, { host: own.canonicalService, name: own.canonicalService, namespace: own.namespace }),
        security: peer === undefined ? 'none' : 'mutual_tls',
      })
    }
    return metrics.tcp({
      ...common,
      reporter: 'source',
      source: own,
      sourcePrincipal: principal === '' ? '' : `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`,
      destination: endpointPeer(this.#host?.endpoint.workload ?? ''),
      destinationPrincipal: principal,
      service: serviceOf(this.#cluster?.config, { host: 'unknown', name: 'unknown', namespace: 'unknown' }),
      security: 'unknown',
    })
  }

  #lookup(operator: FormatOperator): string | undefined {
    switch (operator.op) {
      case 'START_TIME':
        return new Date(this.facts.openedAt).toISOString()
      case 'RESPONSE_CODE':
        return '0'
      case 'RESPONSE_FLAGS':
        return this.#flags
      case 'UPSTREAM_TRANSPORT_FAILURE_REASON':
        return this.#reason.replaceAll('"', "'").replaceAll(' ', '_')
      case 'BYTES_RECEIVED':
        return String(this.#splice?.sent ?? 0)
      case 'BYTES_SENT':
        return String(this.#splice?.received ?? 0)
      case 'DURATION':
        return String(Math.round(performance.now() - this.facts.openedMs))
      case 'UPSTREAM_HOST':
      case 'UPSTREAM_REMOTE_ADDRESS':
        return this.#host?.key
      case 'UPSTREAM_CLUSTER':
      case 'UPSTREAM_CLUSTER_RAW':
        return this.#cluster?.config.name
      case 'UPSTREAM_LOCAL_ADDRESS':
        return this.#upstream === undefined ? undefined : formatAddress(this.#upstream.local)
      case 'UPSTREAM_PEER_URI_SAN':
        return this.#upstream?.tls?.peer?.principal
      case 'UPSTREAM_TLS_VERSION':
        return this.#upstream?.tls?.version
      default:
        return connectionOperators(this.facts, this.#core, operator)
    }
  }

  sweep(nowMs: number): void {
    this.#splice?.reap()
    if (this.#splice === undefined || this.#splice.touched) {
      if (this.#splice !== undefined) this.#splice.touched = false
      this.#lastMs = nowMs
    } else if (this.#proxy.idleTimeoutMs > 0 && nowMs - this.#lastMs > this.#proxy.idleTimeoutMs) this.destroy()
  }

  drain(): void {
    // A TCP connection is never between two requests: it ends by itself, or when the time for draining is over.
  }

  chainGone(): void {
    setTimeout(() => this.destroy(), drainMs).unref()
  }

  destroy(): void {
    this.#transport.destroy()
    this.#upstream?.destroy()
  }
}
