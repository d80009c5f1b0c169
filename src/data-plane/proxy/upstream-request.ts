// A request on its way to an upstream: one try or several, the body kept for as long as another try may need it, the response passed back.
// Law: a request is sent again only where nothing of an answer had come and all of it is still at hand: once where the peer has certainly not
// processed it; else where the route's retry policy asks for it, counted among its attempts.
import { randomBytes } from 'node:crypto'
import { mayRetry, retryDelayMs, type FormatOperator, type ForwardAction, type HeaderOps, type RouteMatched, type TryOutcome } from '#engine'
import type { Trailers } from './downstream.ts'
import type { Exchange } from './exchange.ts'
import { failures, goneFailure, withReason, type Failure } from './failures.ts'
import type { Pool, PoolFailure, PoolUser } from './http-pool.ts'
import type { Body } from './http1/body.ts'
import type { Head } from './http1/head.ts'
import { H } from './http1/names.ts'
import * as out from './http1/writer.ts'
import { remoteAddress, requestLookup } from './request-record.ts'
import { writeRequestHead } from './request-head.ts'
import { splice } from './splice.ts'
import type { Host, UpstreamCluster } from './upstream-cluster.ts'
import type { Gone, ResponseSink, UpstreamStream } from './upstream-stream.ts'

/** Of a body, for as long as it may be sent again. With a retry policy: Envoy's limit. Without one a body is sent again only where the peer has
 * acknowledged nothing of it, and a peer that takes more than this has. */
const maxRetainedBytes = { retried: 1024 * 1024, other: 256 * 1024 }
/** Of a body that waits for a connection: more is not read. */
const maxWaitingBytes = 64 * 1024

export class UpstreamRequest implements PoolUser, ResponseSink {
  readonly #exchange: Exchange
  readonly #cluster: UpstreamCluster
  readonly #matched: RouteMatched
  readonly #action: ForwardAction
  #pool: Pool | undefined
  #upstream: UpstreamStream | undefined
  /** What a new try would need of the body; undefined = too much to keep. */
  #retained: Buffer[] | undefined = []
  #retainedBytes = 0
  readonly #maxRetainedBytes: number
  #replayed = false
  #tried: Set<Host> | undefined
  #tryTimer: NodeJS.Timeout | undefined
  #startMs = 0
  #hashed: string | undefined
  /** Tells the client its new cookie. */
  #cookie: HeaderOps | undefined

  constructor(exchange: Exchange, cluster: UpstreamCluster, matched: RouteMatched, action: ForwardAction) {
    this.#exchange = exchange
    this.#cluster = cluster
    this.#matched = matched
    this.#action = action
    this.#maxRetainedBytes = action.retry === undefined ? maxRetainedBytes.other : maxRetainedBytes.retried
  }

  /** Asks for a connection. `fresh`: not a pooled one. */
  attempt(fresh: boolean): void {
    const exchange = this.#exchange
    const { core, facts, http } = exchange.connection
    const { config } = this.#cluster
    const host =
      config.discovery === 'ORIGINAL_DST'
        ? this.#cluster.original(facts.original.address, facts.original.port, performance.now())
        : this.#cluster.pick(this.#hash(), this.#action.retry?.avoidPreviousHosts === true ? this.#tried : undefined)
    if (host === undefined) return exchange.fail(failures.noHealthyUpstream)
    exchange.host = host
    exchange.attempts++
    host.active++
    if (this.#action.autoHostRewrite && host.endpoint.hostname !== '') exchange.authority = host.endpoint.hostname
    const authority = config.autoSni || config.autoSanValidation ? withoutPort(exchange.authority === '' ? exchange.view.authority : exchange.authority) : ''
    const http2 = config.http === 'http2' || (config.http === 'downstream' && exchange.connection.protocol === 'HTTP/2')
    // Istio's sidecars don't offer extended CONNECT (RFC 8441) either.
    if (http2 && exchange.upgrade !== '') return exchange.fail(failures.upgradeRefused)
    this.#pool = core.upstreams.httpPool(this.#cluster, host, { authority, alpn: this.#matched.route.upstreamAlpn ?? http.upstreamAlpn, inbound: facts.inbound, http2 })
    this.#pool.acquire(this, fresh)
  }

  /** The same at every attempt. A request without its cookie is given one, and goes by it. */
  #hash(): string | undefined {
    if (this.#hashed !== undefined) return this.#hashed
    for (const policy of this.#action.hash) {
      const value = policy.value(this.#exchange.view, remoteAddress(this.#exchange.connection.facts, this.#exchange.connection.http, this.#exchange.view))
      if (value !== undefined) return (this.#hashed = value)
      if (policy.setCookie === undefined) continue
      this.#hashed = randomBytes(8).toString('hex')
      this.#cookie = { set: [{ kind: 'append', name: 'set-cookie', value: [policy.setCookie(this.#hashed)] }], remove: [] }
      return this.#hashed
    }
    return undefined
  }

  onConnection(upstream: UpstreamStream): void {
    const exchange = this.#exchange
    if (exchange.over) {
      this.#pool?.release(upstream, true)
      return
    }
    this.#upstream = upstream
    this.#startMs = performance.now()
    const { tls, local } = upstream
    exchange.upstreamTls = tls
    exchange.upstreamLocal = local
    exchange.upstreamPrincipal = tls?.peer?.principal ?? ''
    upstream.begin(this, exchange.connection.head.method, exchange.upgrade !== '')
    const perTryMs = this.#action.retry?.perTryTimeoutMs ?? 0
    if (perTryMs > 0) this.#tryTimer = setTimeout(() => this.#failed({ kind: 'per-try-timeout' }, failures.perTryTimeout), perTryMs)
    this.#write(upstream)
    exchange.connection.resume()
  }

  /** The head and whatever of the body is here. */
  #write(upstream: UpstreamStream): void {
    const exchange = this.#exchange
    const { head, body, trailers } = exchange.connection
    buildRequestHead(exchange, this.#matched, { host: exchange.authority, mesh: !exchange.connection.facts.inbound && exchange.upstreamPrincipal !== '', attempt: exchange.attempts })
    upstream.sendHead(this.#retained ?? [], body, head.chunked)
    if (body.done) upstream.finish(trailers)
    if (this.#retainedBytes > this.#maxRetainedBytes) this.#retained = undefined
  }

  onNoConnection(failure: PoolFailure): void {
    const exchange = this.#exchange
    if (exchange.over) return
    if (failure.kind === 'overflow') return exchange.fail(failures.overflow)
    exchange.upstreamReason = failure.reason
    if (failure.kind === 'secret') return exchange.fail(failures.secretMissing)
    const base = failure.timedOut ? failures.connectTimeout : failures.connectFailure
    this.#failed({ kind: 'connect-failure' }, withReason(base, failure.reason.startsWith('TLS') ? failure.reason : ''))
  }

  retain(part: Buffer): void {
    this.#retained?.push(part)
    this.#retainedBytes += part.length
    if (this.#retainedBytes > this.#maxRetainedBytes && this.#upstream !== undefined) this.#retained = undefined
  }

  send(part: Buffer): void {
    const { connection } = this.#exchange
    this.retain(part)
    if (this.#upstream === undefined) {
      if (this.#retainedBytes > maxWaitingBytes) connection.pause()
    } else if (!this.#upstream.send(part)) connection.pause()
  }

  /** The request's body is whole. */
  finish(): void {
    this.#upstream?.finish(this.#exchange.connection.trailers)
  }

  resume(): void {
    this.#upstream?.resume()
  }

  onUpstreamDrain(): void {
    const { connection } = this.#exchange
    connection.touched = true
    connection.resume()
  }

  onInterim(head: Head): void {
    const { connection } = this.#exchange
    if (head.status !== 100 || connection.http.proxy100Continue) connection.interim(head)
  }

  onHead(head: Head, body: Body, buf: Buffer, from: number, to: number): void {
    const exchange = this.#exchange
    const { connection } = exchange
    const { http, facts, core } = connection
    clearTimeout(this.#tryTimer)
    exchange.serviceTimeMs = Math.max(0, Math.round(performance.now() - this.#startMs))
    const { status } = head
    if (exchange.host !== undefined) this.#cluster.report(exchange.host, status >= 502 && status <= 504 ? 'gateway' : status >= 500 ? '5xx' : 'ok', performance.now())
    if (this.#mayTryAgain({ kind: 'status', status, grpcStatus: head.get('grpc-status') })) {
      this.drop()
      return this.#retryLater()
    }
    exchange.responseHead = head
    exchange.responseBody = body
    exchange.status = status
    exchange.details = 'via_upstream'
    exchange.answered = true
    this.#retained = undefined
    const upstream = this.#upstream as UpstreamStream
    const tunnel = upstream.tunnel()
    const { route, target } = this.#matched
    const shape = {
      http,
      head,
      inbound: facts.inbound,
      tunnel: tunnel !== undefined,
      serviceTimeMs: exchange.serviceTimeMs,
      metadata: facts.inbound && facts.tls?.peer !== undefined && connection.head.byId(H.peerMetadata) >= 0 ? core.ownMetadata : undefined,
      ops: [...(target === undefined ? [] : [target.responseHeaders]), route.responseHeaders, ...(this.#cookie === undefined ? [] : [this.#cookie]), ...(exchange.corsHeaders === undefined ? [] : [exchange.corsHeaders])],
      lookup: (operator: FormatOperator) => requestLookup(exchange, operator),
    }
    if (!connection.respond(shape, body, buf, from, to)) upstream.pause()
    if (tunnel !== undefined) this.#tunnel(upstream, tunnel)
  }

  onBody(buf: Buffer, from: number, to: number): void {
    if (!this.#exchange.connection.respondBytes(buf, from, to)) this.#upstream?.pause()
  }

  /** From here on bytes pass both ways untouched. */
  #tunnel(upstream: UpstreamStream, far: NonNullable<ReturnType<UpstreamStream['tunnel']>>): void {
    const exchange = this.#exchange
    const near = exchange.connection.tunnel()
    if (near === undefined) return exchange.breakOff('UPE', 'upgrade_failed')
    upstream.detach()
    this.#upstream = undefined
    if (near.early !== undefined) far.transport.write(near.early)
    const spliced = splice(near.transport, far.transport, (result) => {
      if (result.broken === 'a') exchange.flag('DC')
      far.closed()
      exchange.end(true)
      near.closed()
    })
    exchange.tunnelled(spliced)
  }

  onResponseDone(trailers: Trailers): void {
    const exchange = this.#exchange
    if (exchange.over) return
    const { connection } = exchange
    exchange.responseTrailers = trailers
    connection.respondEnd(trailers)
    const upstream = this.#upstream
    const complete = connection.body.done
    this.#upstream = undefined
    if (upstream !== undefined) this.#pool?.release(upstream, complete)
    exchange.end(!complete || connection.head.close)
  }

  onUpstreamGone({ unprocessed, why, error }: Gone): void {
    const exchange = this.#exchange
    if (exchange.over) return
    this.#upstream = undefined
    const failure = goneFailure(why)
    if (exchange.answered) return exchange.breakOff(failure.flag, failure.details.replace('before', 'after'))
    if (error !== undefined) exchange.upstreamReason = (error as NodeJS.ErrnoException).code ?? error.message
    if (unprocessed && !this.#replayed && this.#retained !== undefined) {
      this.#replayed = true
      exchange.attempts--
      return this.#again(true)
    }
    this.#failed(why === 'refused' ? { kind: 'refused-stream' } : { kind: 'reset', beforeRequest: false }, failure)
  }

  #again(fresh: boolean): void {
    clearTimeout(this.#tryTimer)
    const exchange = this.#exchange
    if (exchange.host !== undefined) {
      exchange.host.active--
      ;(this.#tried ??= new Set()).add(exchange.host)
    }
    exchange.host = undefined
    this.attempt(fresh)
  }

  #mayTryAgain(outcome: TryOutcome): boolean {
    const { retry } = this.#action
    if (retry === undefined || this.#retained === undefined || this.#exchange.upgrade !== '') return false
    return this.#exchange.attempts <= retry.attempts && mayRetry(retry, outcome) && this.#cluster.retries < this.#cluster.config.limits.retries
  }

  #retryLater(): void {
    const { retry } = this.#action
    if (retry === undefined) return
    this.#cluster.retries++
    setTimeout(() => {
      this.#cluster.retries--
      if (!this.#exchange.over) this.#again(false)
    }, retryDelayMs(retry, this.#exchange.attempts - 1, Math.random()))
  }

  #failed(outcome: TryOutcome, failure: Failure): void {
    const exchange = this.#exchange
    if (exchange.over || exchange.answered) return
    this.drop()
    if (exchange.host !== undefined) this.#cluster.report(exchange.host, 'local', performance.now())
    if (this.#mayTryAgain(outcome)) this.#retryLater()
    else exchange.fail(exchange.attempts > 1 && this.#action.retry !== undefined ? { ...failure, flag: `${failure.flag},URX` } : failure)
  }

  /** Lets go of the connection under way; it can't serve another. */
  drop(): void {
    clearTimeout(this.#tryTimer)
    const upstream = this.#upstream
    this.#upstream = undefined
    this.#pool?.cancel(this)
    upstream?.abort()
  }

  /** The exchange is over. */
  leave(): void {
    clearTimeout(this.#tryTimer)
    this.#retained = undefined
  }
}

interface Variant {
  /** '' = as it came. */
  readonly host: string
  /** The other end is a sidecar of the mesh: it hears who we are. */
  readonly mesh: boolean
  readonly attempt: number
}

/** Builds into the writer. */
function buildRequestHead(exchange: Exchange, matched: RouteMatched, variant: Variant): void {
  const { http, head, facts, core } = exchange.connection
  const { route, target } = matched
  writeRequestHead({
    http,
    head,
    inbound: facts.inbound,
    mutual: facts.tls?.peer !== undefined,
    encrypted: facts.tls !== undefined,
    clientCert: facts.clientCert,
    path: exchange.path,
    host: variant.host,
    requestId: exchange.requestId,
    forwardedFor: http.useRemoteAddress ? [exchange.view.header('x-forwarded-for'), facts.remote.address].filter((x) => x !== undefined).join(',') : '',
    upgrade: exchange.upgrade,
    metadata: variant.mesh ? core.ownMetadata : undefined,
    attempt: route.attemptCount ? variant.attempt : 0,
    ops: [...(exchange.ownOps === undefined ? [] : [exchange.ownOps]), ...(target === undefined ? [] : [target.requestHeaders]), route.requestHeaders],
    lookup: (operator) => requestLookup(exchange, operator),
    originalPath: exchange.pathBefore,
  })
}

/** The head for a copy of the request, as bytes of its own. */
export function takeRequestHead(exchange: Exchange, matched: RouteMatched, variant: Variant): Buffer {
  buildRequestHead(exchange, matched, variant)
  return out.take()
}

function withoutPort(authority: string): string {
  return /^(.*):\d+$/.exec(authority)?.[1] ?? authority
}
