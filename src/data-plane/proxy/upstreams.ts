// All clusters of the running configuration, DNS ones resolved; and how a connection to one of their endpoints is opened.
import { lookup } from 'node:dns/promises'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { RuntimeConfig, RuntimeEndpoint } from '#engine'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import type { Dialler } from './dial.ts'
import { HttpUpstream } from './http-upstream.ts'
import type { Pool, PoolFailure } from './http-pool.ts'
import type { SidecarBudget } from './http2/budget.ts'
import { Http2Upstream } from './http2/upstream.ts'
import type { TlsClients, TlsTarget } from './tls-client.ts'
import { SocketTransport, type TlsFacts, type Transport } from './transport.ts'
import { UpstreamCluster, type Host } from './upstream-cluster.ts'

/** What the caller knows of the connection that it wants. */
export interface Guise {
  /** Host of the request, without port: auto SNI and auto SAN. '' = none. */
  readonly authority: string
  /** Overrides the TLS context's. */
  readonly alpn: readonly string[] | undefined
  readonly inbound: boolean
  /** What will be spoken. */
  readonly http2: boolean
}

type Opened = (failure: PoolFailure | undefined, socket: Socket | undefined, facts: TlsFacts | undefined) => void

const noAlpn: readonly string[] = []

export class Upstreams {
  readonly #clusters = new Map<string, UpstreamCluster>()
  readonly #dialler: Dialler
  readonly #tls: TlsClients
  readonly #log: Logger
  readonly #resolvedMs = new Map<string, number>()
  readonly #alpnServed = new WeakMap<readonly string[], readonly string[]>()

  readonly #onBug: (error: unknown) => void
  readonly #http2: SidecarBudget

  constructor(dialler: Dialler, tls: TlsClients, log: Logger, onBug: (error: unknown) => void, http2: SidecarBudget) {
    this.#http2 = http2
    this.#onBug = onBug
    this.#dialler = dialler
    this.#tls = tls
    this.#log = log
  }

  update(config: RuntimeConfig): void {
    for (const [name, compiled] of config.clusters) {
      let cluster = this.#clusters.get(name)
      if (cluster === undefined) this.#clusters.set(name, (cluster = new UpstreamCluster(compiled)))
      else cluster.reconfigure(compiled)
      if (compiled.discovery === 'EDS') cluster.setEndpoints(config.endpoints.get(compiled.edsName)?.all ?? [])
      else if (compiled.discovery === 'STATIC') cluster.setEndpoints(compiled.inline?.all ?? [])
      else if (compiled.discovery !== 'ORIGINAL_DST') this.#resolvedMs.delete(name)
    }
    for (const [name, cluster] of this.#clusters) {
      if (config.clusters.has(name)) continue
      cluster.retire()
      this.#clusters.delete(name)
    }
  }

  get(name: string): UpstreamCluster | undefined {
    return this.#clusters.get(name)
  }

  all(): IterableIterator<UpstreamCluster> {
    return this.#clusters.values()
  }

  /** Resolves a DNS cluster's names when they are due; everything else is ready. Never rejects. */
  prepare(cluster: UpstreamCluster): Promise<void> | undefined {
    const { name, discovery, dnsRefreshMs } = cluster.config
    if (discovery !== 'STRICT_DNS' && discovery !== 'LOGICAL_DNS') return undefined
    const due = (this.#resolvedMs.get(name) ?? 0) + dnsRefreshMs
    if (Date.now() < due) return undefined
    this.#resolvedMs.set(name, Date.now())
    const work = this.#resolve(cluster)
    return cluster.hosts.length > 0 ? undefined : work
  }

  async #resolve(cluster: UpstreamCluster): Promise<void> {
    const { name, inline, dnsFamily, discovery } = cluster.config
    const family = dnsFamily === 'V4_ONLY' ? 4 : dnsFamily === 'V6_ONLY' ? 6 : 0
    const found = await Promise.all(
      (inline?.all ?? []).map(async (e): Promise<RuntimeEndpoint[]> => {
        try {
          const mapped = this.#dialler.addressOf(e.address)
          const answers = mapped === undefined ? await lookup(e.address, { all: true, family }) : [{ address: mapped, family: mapped.includes(':') ? 6 : 4 }]
          const used = discovery === 'LOGICAL_DNS' ? answers.slice(0, 1) : answers
          return used.map((a) => ({ ...e, hostname: e.address, address: a.address, key: a.family === 6 ? `[${a.address}]:${e.port}` : `${a.address}:${e.port}` }))
        } catch (error) {
          this.#log.warn({ cluster: name, host: e.address, code: (error as NodeJS.ErrnoException).code }, 'name cannot be resolved')
          return []
        }
      }),
    )
    const endpoints = found.flat()
    // The last good answer is better than none.
    if (endpoints.length > 0 || cluster.hosts.length === 0) cluster.setEndpoints(endpoints)
    if (endpoints.length === 0) this.#resolvedMs.delete(name)
  }

  /** The pool that serves requests to this host in this guise. */
  httpPool(cluster: UpstreamCluster, host: Host, guise: Guise): Pool {
    const target = this.#target(cluster, host, guise)
    const nowMs = (): number => performance.now()
    const make = (): Pool =>
      guise.http2
        ? cluster.newHttp2Pool({
            nowMs,
            open: (done, onClosed) =>
              this.#open(cluster, host, guise, (failure, socket, facts) => {
                if (socket === undefined) return done(failure, undefined)
                done(
                  undefined,
                  new Http2Upstream(socket, { facts, config: cluster.config, openedMs: nowMs(), onClosed, onBug: this.#onBug, budget: this.#http2, log: this.#log, endpoint: host.key }),
                )
              }),
          })
        : cluster.newPool({
            nowMs,
            open: (done, onClosed) =>
              this.open(cluster, host, guise, (failure, transport) => {
                if (transport === undefined) return done(failure, undefined)
                done(undefined, new HttpUpstream(transport, nowMs(), onClosed))
              }),
          })
    return target === undefined ? host.pool('', noAlpn, '', guise.http2, make) : host.pool(target.sni, target.alpn, target.dnsName, guise.http2, make)
  }

  #target(cluster: UpstreamCluster, host: Host, guise: Guise): TlsTarget | undefined {
    const { tls } = host.socket
    if (tls === null) return undefined
    const { config } = cluster
    const sni = tls.sni === '' && config.autoSni ? guise.authority : tls.sni
    const dnsName = config.autoSanValidation && (tls.validation?.sans.length ?? 0) === 0 ? guise.authority : ''
    return { tls, sni, alpn: this.#served(guise.alpn ?? tls.alpn, guise.http2), dnsName, endpoint: host.key }
  }

  /** Istio's TCP metadata exchange is never spoken, HTTP/2 only where it was meant: what isn't spoken isn't offered. */
  #served(alpn: readonly string[], http2: boolean): readonly string[] {
    if (http2) return alpn
    let served = this.#alpnServed.get(alpn)
    if (served === undefined) this.#alpnServed.set(alpn, (served = alpn.filter((p) => p !== 'h2' && p !== 'istio-h2' && p !== 'istio-peer-exchange')))
    return served
  }

  /** A connected transport, after its handshake. Calls back once; never throws. */
  open(cluster: UpstreamCluster, host: Host, guise: Guise, done: (failure: PoolFailure | undefined, transport: Transport | undefined) => void): void {
    this.#open(cluster, host, guise, (failure, socket, facts) => done(failure, socket === undefined ? undefined : new SocketTransport(socket, this.#onBug, facts)))
  }

  #open(cluster: UpstreamCluster, host: Host, guise: Guise, done: Opened): void {
    const { config } = cluster
    const startMs = performance.now()
    const fail = (error: NodeJS.ErrnoException | undefined, what: string): void => {
      const timedOut = error?.code === 'ETIMEDOUT' || error?.code === 'TLS_TIMEOUT'
      const reason = error instanceof KithError || what === 'tls' ? `TLS_error: ${error?.message ?? ''}` : (error?.code ?? '')
      if (what === 'tls') this.#log.warn({ cluster: config.name, endpoint: host.key, error: error?.message, rule: config.metadata.rule, source: config.metadata.source }, 'upstream tls failed')
      done(error?.code === 'SECRET_MISSING' || error?.code === 'FILE_UNREADABLE' ? { kind: 'secret', reason: error.message } : { kind: 'connect', timedOut, reason }, undefined, undefined)
    }
    const keepaliveMs = config.keepalive?.timeMs
    this.#dialler.dial({ to: host.endpoint, bindAddress: config.bindAddress, inbound: guise.inbound, timeoutMs: config.connectTimeoutMs, keepaliveMs }, (error, socket) => {
      if (error !== undefined) return fail(error, 'connect')
      const target = this.#target(cluster, host, guise)
      if (target === undefined) return done(undefined, socket, undefined)
      this.#handshake(socket, target, Math.max(1, config.connectTimeoutMs - (performance.now() - startMs)), (tlsError, tlsSocket, facts) => {
        if (tlsError !== undefined || tlsSocket === undefined) fail(tlsError as NodeJS.ErrnoException, 'tls')
        else done(undefined, tlsSocket, facts)
      })
    })
  }

  #handshake(socket: Socket, target: TlsTarget, timeoutMs: number, done: (error: Error | undefined, socket: TLSSocket | undefined, facts: TlsFacts | undefined) => void): void {
    try {
      this.#tls.wrap(socket, target, timeoutMs, done)
    } catch (error) {
      socket.destroy()
      done(error as Error, undefined, undefined)
    }
  }

  /** Pooled connections end after what is under way on them. */
  retire(): void {
    for (const cluster of this.#clusters.values()) cluster.retire()
  }

  sweep(): void {
    const now = performance.now()
    for (const cluster of this.#clusters.values()) cluster.sweep(now)
  }

  /** Gauges, by name and label: endpoints that outlier detection leaves out now, of each cluster that has such a rule. */
  ejections(): Record<string, number> {
    const gauges: Record<string, number> = {}
    for (const { config, ejected } of this.#clusters.values()) {
      if (config.outlier !== undefined) gauges[`envoy_cluster_outlier_detection_ejections_active{cluster_name="${config.name}"}`] = ejected
    }
    return gauges
  }

  connections(): number {
    let n = 0
    for (const cluster of this.#clusters.values()) n += cluster.counts.connections
    return n
  }

  destroy(): void {
    for (const cluster of this.#clusters.values()) cluster.destroy()
    this.#clusters.clear()
  }
}
