// A cluster at work: its endpoints with their counters and pools, who is ejected, who comes next. Law: counters outlive updates; a changed guise retires its pools.
import { choose, chooseGroup, chooseSocket, hash32, servingGroups, type Candidate, type Group, type RuntimeCluster, type RuntimeEndpoint, type UpstreamTls } from '#engine'
import { HttpPool, type Pool, type PoolCounts, type PoolIo } from './http-pool.ts'
import { Http2Pool } from './http2/pool.ts'
import type { Http2Upstream } from './http2/upstream.ts'
import type { HttpUpstream } from './http-upstream.ts'

export class Host implements Candidate {
  readonly key: string
  endpoint: RuntimeEndpoint
  active = 0
  ejectedUntilMs = 0
  ejections = 0
  consecutive5xx = 0
  consecutiveGateway = 0
  consecutiveLocal = 0
  socket: { readonly name: string; readonly tls: UpstreamTls | null }
  lastUsedMs = 0
  readonly #pools = new Map<string, Pool>()
  #lastKey: readonly unknown[] = []
  #lastPool: Pool | undefined

  constructor(endpoint: RuntimeEndpoint, config: RuntimeCluster) {
    this.key = endpoint.key
    this.endpoint = endpoint
    this.socket = chooseSocket(config, endpoint)
  }

  get weight(): number {
    return this.endpoint.weight
  }

  get connections(): number {
    let n = 0
    for (const pool of this.#pools.values()) n += pool.size
    return n
  }

  /** The pool of one guise. `make` is called once for each. */
  pool(sni: string, alpn: readonly string[], dnsName: string, http2: boolean, make: () => Pool): Pool {
    const last = this.#lastKey
    if (this.#lastPool !== undefined && last[0] === sni && last[1] === alpn && last[2] === dnsName && last[3] === http2) return this.#lastPool
    const key = `${sni}|${alpn.join()}|${dnsName}|${http2}`
    let pool = this.#pools.get(key)
    if (pool === undefined) this.#pools.set(key, (pool = make()))
    this.#lastKey = [sni, alpn, dnsName, http2]
    this.#lastPool = pool
    return pool
  }

  sweep(): void {
    for (const [key, pool] of this.#pools) {
      pool.sweep()
      if (pool.size === 0 && pool !== this.#lastPool) this.#pools.delete(key)
    }
  }

  retire(): void {
    for (const pool of this.#pools.values()) pool.retire()
    this.#pools.clear()
    this.#lastPool = undefined
  }

  destroy(): void {
    for (const pool of this.#pools.values()) pool.destroy()
    this.retire()
  }
}

const idleOriginalMs = 60_000

/** What all connections of a cluster have in common; whom one goes to stands in its host's socket. */
function guiseOf(config: RuntimeCluster): string {
  return JSON.stringify({ ...config, metadata: undefined, inline: undefined, tls: undefined, matches: undefined, byAddress: undefined })
}

export class UpstreamCluster {
  config: RuntimeCluster
  readonly counts: PoolCounts = { connections: 0, pending: 0 }
  requests = 0
  retries = 0
  #hosts: readonly Host[] = []
  #groups: readonly Group<Host>[] = []
  readonly #originals = new Map<string, Host>()
  #turn = Math.floor(Math.random() * 1024)

  constructor(config: RuntimeCluster) {
    this.config = config
  }

  get hosts(): readonly Host[] {
    return this.config.discovery === 'ORIGINAL_DST' ? [...this.#originals.values()] : this.#hosts
  }

  /** A new version of the cluster: pools of the old guise end with their last request. */
  reconfigure(config: RuntimeCluster): void {
    if (config === this.config) return
    const same = guiseOf(this.config) === guiseOf(config)
    const sameRule = JSON.stringify(this.config.outlier) === JSON.stringify(config.outlier)
    this.config = config
    if (!sameRule) this.#forgetOutliers()
    for (const host of [...this.#hosts, ...this.#originals.values()]) {
      const before = JSON.stringify(host.socket)
      host.socket = chooseSocket(config, host.endpoint)
      if (!same || JSON.stringify(host.socket) !== before) host.retire()
    }
  }

  /** Who is ejected, and what counts towards it, ends with the rule that says so. */
  #forgetOutliers(): void {
    for (const host of this.hosts) {
      host.ejectedUntilMs = host.ejections = 0
      host.consecutive5xx = host.consecutiveGateway = host.consecutiveLocal = 0
    }
    this.#refresh()
  }

  /** How many endpoints are left out now. */
  get ejected(): number {
    let n = 0
    for (const host of this.#hosts) if (host.ejectedUntilMs > 0) n++
    return n
  }

  setEndpoints(endpoints: readonly RuntimeEndpoint[]): void {
    const before = new Map(this.#hosts.map((h) => [h.key, h]))
    const after: Host[] = []
    for (const endpoint of endpoints) {
      let host = before.get(endpoint.key)
      if (host === undefined) host = new Host(endpoint, this.config)
      else if (host.endpoint !== endpoint) {
        const guise = JSON.stringify(host.endpoint.socketMatch) !== JSON.stringify(endpoint.socketMatch)
        host.endpoint = endpoint
        host.socket = chooseSocket(this.config, endpoint)
        if (guise) host.retire()
      }
      before.delete(endpoint.key)
      after.push(host)
    }
    for (const gone of before.values()) gone.retire()
    this.#hosts = after
    this.#refresh()
  }

  #refresh(): void {
    this.#groups = servingGroups(this.#hosts, this.#hosts.filter((h) => h.endpoint.healthy && h.ejectedUntilMs === 0), this.config)
  }

  /** `avoid`: tried before, by this request. */
  pick(hash: string | undefined, avoid: ReadonlySet<Host> | undefined): Host | undefined {
    // What is hashed goes to the same place again.
    let from = this.#groups.length === 1 ? (this.#groups[0]?.hosts ?? []) : chooseGroup(this.#groups, hash === undefined ? Math.random() : hash32(hash) / 2 ** 32)
    if (avoid !== undefined && avoid.size > 0) {
      const others = from.filter((h) => !avoid.has(h))
      if (others.length > 0) from = others
    }
    return choose(this.config.lbPolicy, from, this.config.choiceCount, { pick: Math.random, turn: this.#turn++, hash })
  }

  /** The host of an ORIGINAL_DST cluster: whatever address the connection was meant for. */
  original(address: string, port: number, nowMs: number): Host {
    const to = this.config.portOverride ?? port
    const key = address.includes(':') ? `[${address}]:${to}` : `${address}:${to}`
    let host = this.#originals.get(key)
    if (host === undefined) {
      host = new Host({ address, port: to, key, hostname: '', weight: 1, healthy: true, priority: 0, locality: '', localityWeight: 1, socketMatch: {}, workload: '' }, this.config)
      this.#originals.set(key, host)
    }
    host.lastUsedMs = nowMs
    return host
  }

  newPool(io: PoolIo<HttpUpstream>): HttpPool {
    return new HttpPool(io, this.config, this.counts)
  }

  newHttp2Pool(io: PoolIo<Http2Upstream>): Http2Pool {
    return new Http2Pool(io, this.config, this.counts)
  }

  /** What a request or connection came to. `local`: no answer at all (connect failure, reset). */
  report(host: Host, outcome: 'ok' | '5xx' | 'gateway' | 'local', nowMs: number): void {
    const { outlier } = this.config
    if (outlier === undefined) return
    if (outcome === 'ok') {
      host.consecutive5xx = host.consecutiveGateway = host.consecutiveLocal = 0
      return
    }
    if (outcome === 'local' && outlier.splitLocal) {
      if (reached(++host.consecutiveLocal, outlier.consecutiveLocal)) this.#eject(host, nowMs)
      return
    }
    const gateway = outcome !== '5xx' && reached(++host.consecutiveGateway, outlier.consecutiveGateway)
    if (reached(++host.consecutive5xx, outlier.consecutive5xx) || gateway) this.#eject(host, nowMs)
  }

  #eject(host: Host, nowMs: number): void {
    const { outlier } = this.config
    if (outlier === undefined || host.ejectedUntilMs > 0) return
    const out = this.#hosts.filter((h) => h.ejectedUntilMs > 0).length
    // One may always go, as in Envoy.
    if (out > 0 && ((out + 1) / this.#hosts.length) * 100 > outlier.maxEjectionPercent) return
    host.ejections++
    host.ejectedUntilMs = nowMs + Math.min(outlier.maxEjectionMs, outlier.baseEjectionMs * host.ejections)
    host.consecutive5xx = host.consecutiveGateway = host.consecutiveLocal = 0
    this.#refresh()
  }

  sweep(nowMs: number): void {
    let back = false
    for (const host of this.#hosts) {
      host.sweep()
      if (host.ejectedUntilMs > 0 && nowMs >= host.ejectedUntilMs) {
        host.ejectedUntilMs = 0
        back = true
      }
    }
    if (back) this.#refresh()
    for (const [key, host] of this.#originals) {
      host.sweep()
      if (host.active === 0 && host.connections === 0 && nowMs - host.lastUsedMs > idleOriginalMs) this.#originals.delete(key)
    }
  }

  retire(): void {
    for (const host of this.hosts) host.retire()
  }

  destroy(): void {
    for (const host of this.hosts) host.destroy()
  }
}

function reached(count: number, limit: number): boolean {
  return limit > 0 && count >= limit
}
