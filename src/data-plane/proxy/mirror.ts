// A copy of a request for another cluster, whose answer nobody reads. Law: it never slows the original: too slow a mirror is abandoned.
import type { Mirror, RouteMatched } from '#engine'
import type { Exchange } from './exchange.ts'
import type { Pool, PoolUser } from './http-pool.ts'
import { Body } from './http1/body.ts'
import * as out from './http1/writer.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'
import { takeRequestHead } from './upstream-request.ts'
import type { ResponseSink, UpstreamStream } from './upstream-stream.ts'

const maxWaitingBytes = 1024 * 1024

export class MirrorRequest implements PoolUser, ResponseSink {
  readonly #exchange: Exchange
  readonly #cluster: UpstreamCluster
  readonly #waiting: Buffer[] = []
  #waitingBytes = 0
  readonly #body = new Body()
  #head: Buffer | undefined
  #unknownLength = false
  #pool: Pool | undefined
  #upstream: UpstreamStream | undefined
  #bodyDone = false
  #over = false

  constructor(exchange: Exchange, cluster: UpstreamCluster) {
    this.#exchange = exchange
    this.#cluster = cluster
  }

  start(matched: RouteMatched, mirror: Mirror): void {
    const exchange = this.#exchange
    const { core, facts, http, head, body, protocol } = exchange.connection
    const host = this.#cluster.pick(undefined, undefined)
    if (host === undefined) return this.#abandon()
    const authority = exchange.authority === '' ? exchange.view.authority : exchange.authority
    const shadow = mirror.suffix ? authority.replace(/(:\d+)?$/, '-shadow$1') : authority
    const { tls } = host.socket
    const mesh = !facts.inbound && tls?.certificate !== undefined && 'sds' in tls.certificate
    this.#head = takeRequestHead(exchange, matched, { host: shadow, mesh, attempt: 1 })
    this.#unknownLength = head.chunked
    if (body.mode === 'stream') this.#body.stream()
    else if (head.chunked) this.#body.chunked()
    const kind = this.#cluster.config.http
    this.#pool = core.upstreams.httpPool(this.#cluster, host, { authority: authority.replace(/:\d+$/, ''), alpn: mesh ? (matched.route.upstreamAlpn ?? http.upstreamAlpn) : undefined, inbound: facts.inbound, http2: kind === 'http2' || (kind === 'downstream' && protocol === 'HTTP/2') })
    this.#pool.acquire(this, false)
  }

  onConnection(upstream: UpstreamStream): void {
    if (this.#over || this.#head === undefined) return this.#pool?.release(upstream, true)
    this.#upstream = upstream
    upstream.begin(this, this.#exchange.connection.head.method, false)
    out.begin()
    out.bytes(this.#head, 0, this.#head.length)
    upstream.sendHead(this.#waiting.splice(0), this.#body, this.#unknownLength)
    this.#waitingBytes = 0
    if (this.#bodyDone) upstream.finish(undefined)
  }

  onNoConnection(): void {
    this.#abandon()
  }

  /** The request's body, as it goes to the real upstream. */
  send(part: Buffer): void {
    if (this.#over) return
    if (this.#upstream !== undefined) return this.#write(this.#upstream, part)
    this.#waiting.push(part)
    this.#wait(part.length)
  }

  #write(upstream: UpstreamStream, part: Buffer): void {
    if (this.#over) return
    if (!upstream.send(part)) this.#wait(part.length)
  }

  #wait(bytes: number): void {
    this.#waitingBytes += bytes
    if (this.#waitingBytes > maxWaitingBytes) this.#abandon()
  }

  /** `complete`: the original's body was whole; else the copy can't be either. */
  finish(complete: boolean): void {
    if (this.#bodyDone) return
    this.#bodyDone = complete
    if (complete) this.#upstream?.finish(undefined)
    else this.#abandon()
  }

  #abandon(): void {
    if (this.#over) return
    this.#over = true
    this.#waiting.length = 0
    this.#pool?.cancel(this)
    this.#exchange.connection.core.metrics.count('kith_mirrors_abandoned_total')
    const upstream = this.#upstream
    this.#upstream = undefined
    upstream?.abort()
  }

  onInterim(): void {}
  onHead(): void {}
  onBody(): void {}

  onResponseDone(): void {
    const upstream = this.#upstream
    this.#upstream = undefined
    this.#over = true
    if (upstream === undefined) return
    this.#pool?.release(upstream, this.#bodyDone)
  }

  onUpstreamDrain(): void {
    this.#waitingBytes = 0
  }

  onUpstreamGone(): void {
    this.#over = true
    this.#upstream = undefined
  }
}
