// A request on its way to an upstream: one try or several, the body kept for as long as another try may need it, the response passed back.
// Law: a request is sent again only where nothing of an answer had come and all of it is still at hand.
import { randomBytes } from 'node:crypto'
import { mayRetry, retryDelayMs, type ForwardAction, type HeaderOps, type RouteMatched, type TryOutcome } from '#engine'
import type { Exchange } from './exchange.ts'
import { failures, withReason, type Failure } from './failures.ts'
import type { HttpPool, PoolFailure, PoolUser } from './http-pool.ts'
import type { HttpUpstream, ResponseSink } from './http-upstream.ts'
import type { Body } from './http1/body.ts'
import type { Head } from './http1/head.ts'
import { H } from './http1/names.ts'
import * as out from './http1/writer.ts'
import { requestLookup } from './request-record.ts'
import { writeRequestHead } from './request-head.ts'
import { interimHead, writeResponseHead } from './response-head.ts'
import { splice } from './splice.ts'
import type { Host, UpstreamCluster } from './upstream-cluster.ts'

const maxRetainedBytes = 64 * 1024
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])
const crlf = Buffer.from('\r\n', 'latin1')
const lastChunk = Buffer.from('0\r\n\r\n', 'latin1')

export class UpstreamRequest implements PoolUser, ResponseSink {
  readonly #exchange: Exchange
  readonly #cluster: UpstreamCluster
  readonly #matched: RouteMatched
  readonly #action: ForwardAction
  #pool: HttpPool | undefined
  #upstream: HttpUpstream | undefined
  /** What a new try would need of the body; undefined = too much to keep. */
  #retained: Buffer[] | undefined = []
  #retainedBytes = 0
  #reused = false
  #replayed = false
  #tried: Set<Host> | undefined
  #tryTimer: NodeJS.Timeout | undefined
  #startMs = 0
  #rechunk = false
  #hashed: string | undefined
  /** Tells the client its new cookie. */
  #cookie: HeaderOps | undefined

  constructor(exchange: Exchange, cluster: UpstreamCluster, matched: RouteMatched, action: ForwardAction) {
    this.#exchange = exchange
    this.#cluster = cluster
    this.#matched = matched
    this.#action = action
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
    this.#pool = core.upstreams.httpPool(this.#cluster, host, { authority, alpn: this.#matched.route.upstreamAlpn ?? http.upstreamAlpn, inbound: facts.inbound })
    this.#pool.acquire(this, fresh)
  }

  /** The same at every attempt. A request without its cookie is given one, and goes by it. */
  #hash(): string | undefined {
    if (this.#hashed !== undefined) return this.#hashed
    for (const policy of this.#action.hash) {
      const value = policy.value(this.#exchange.view, this.#exchange.connection.facts.remote.address)
      if (value !== undefined) return (this.#hashed = value)
      if (policy.setCookie === undefined) continue
      this.#hashed = randomBytes(8).toString('hex')
      this.#cookie = { set: [{ kind: 'append', name: 'set-cookie', value: [policy.setCookie(this.#hashed)] }], remove: [] }
      return this.#hashed
    }
    return undefined
  }

  onConnection(upstream: HttpUpstream, reused: boolean): void {
    const exchange = this.#exchange
    if (exchange.over) {
      this.#pool?.release(upstream)
      return
    }
    this.#upstream = upstream
    this.#reused = reused
    this.#startMs = performance.now()
    const { tls, local } = upstream.transport
    exchange.upstreamTls = tls
    exchange.upstreamLocal = local
    exchange.upstreamPrincipal = tls?.peer?.principal ?? ''
    upstream.begin(this, exchange.connection.head.method, exchange.upgrade !== '')
    const perTryMs = this.#action.retry?.perTryTimeoutMs ?? 0
    if (perTryMs > 0) this.#tryTimer = setTimeout(() => this.#failed({ kind: 'per-try-timeout' }, failures.perTryTimeout), perTryMs)
    this.#write(upstream)
    exchange.connection.transport.resume()
  }

  /** The head and whatever of the body is here, in one write where it is small. */
  #write(upstream: HttpUpstream): void {
    const exchange = this.#exchange
    buildRequestHead(exchange, this.#matched, { host: exchange.authority, mesh: !exchange.connection.facts.inbound && exchange.upstreamPrincipal !== '', attempt: exchange.attempts })
    const body = this.#retained ?? []
    const first = body[0]
    if (body.length === 1 && first !== undefined && first.length <= maxRetainedBytes) upstream.transport.write(out.take(first, 0, first.length))
    else {
      upstream.transport.write(out.take())
      for (const part of body) upstream.transport.write(part)
    }
    if (this.#retainedBytes > maxRetainedBytes) this.#retained = undefined
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
    if (this.#retainedBytes > maxRetainedBytes && this.#upstream !== undefined) this.#retained = undefined
  }

  send(part: Buffer): void {
    const { transport } = this.#exchange.connection
    this.retain(part)
    if (this.#upstream === undefined) {
      if (this.#retainedBytes > maxRetainedBytes) transport.pause()
    } else if (!this.#upstream.transport.write(part)) transport.pause()
  }

  resume(): void {
    this.#upstream?.transport.resume()
  }

  onUpstreamDrain(): void {
    const { connection } = this.#exchange
    connection.touched = true
    connection.transport.resume()
  }

  onInterim(head: Head): void {
    const { http, transport } = this.#exchange.connection
    if (head.status !== 100 || http.proxy100Continue) transport.write(interimHead(head))
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
    const upstream = this.#upstream as HttpUpstream
    const tunnel = upstream.tunnel
    this.#rechunk = body.mode === 'close' && !tunnel
    const { route, target } = this.#matched
    writeResponseHead({
      http,
      head,
      inbound: facts.inbound,
      chunked: head.chunked || this.#rechunk,
      close: !tunnel && (connection.leaving || connection.head.close || !connection.body.done),
      upgrade: status === 101,
      serviceTimeMs: exchange.serviceTimeMs,
      metadata: facts.inbound && facts.tls?.peer !== undefined && connection.head.byId(H.peerMetadata) >= 0 ? core.ownMetadata : undefined,
      ops: [...(target === undefined ? [] : [target.responseHeaders]), route.responseHeaders, ...(this.#cookie === undefined ? [] : [this.#cookie]), ...(exchange.corsHeaders === undefined ? [] : [exchange.corsHeaders])],
      lookup: (operator) => requestLookup(exchange, operator),
    })
    if (!this.#pass(buf, from, to, true)) upstream.transport.pause()
    if (tunnel) this.#tunnel(upstream)
  }

  onBody(buf: Buffer, from: number, to: number): void {
    this.#exchange.connection.touched = true
    out.begin()
    if (!this.#pass(buf, from, to, false)) this.#upstream?.transport.pause()
  }

  /** Writes what the writer holds and then the bytes, in as few writes as their size allows. */
  #pass(buf: Buffer, from: number, to: number, withHead: boolean): boolean {
    const { transport } = this.#exchange.connection
    if (this.#rechunk && to > from) out.text(`${(to - from).toString(16)}\r\n`)
    if (this.#rechunk && to > from && to - from <= maxRetainedBytes) {
      out.bytes(buf, from, to)
      out.text('\r\n')
      return transport.write(out.take())
    }
    if (withHead && to - from <= maxRetainedBytes) return transport.write(out.take(buf, from, to))
    if (withHead || this.#rechunk) transport.write(out.take())
    const ok = transport.write(from === 0 && to === buf.length ? buf : buf.subarray(from, to))
    return this.#rechunk ? transport.write(crlf) && ok : ok
  }

  /** From here on bytes pass both ways untouched. */
  #tunnel(upstream: HttpUpstream): void {
    const exchange = this.#exchange
    const { connection } = exchange
    upstream.detach()
    this.#upstream = undefined
    const early = connection.takeHeld()
    if (early !== undefined) upstream.transport.write(early)
    const spliced = splice(connection.transport, upstream.transport, (result) => {
      if (result.broken === 'a') exchange.flag('DC')
      upstream.onClose(undefined)
      exchange.end(true)
      connection.onClose()
    })
    exchange.tunnelled(spliced)
  }

  onResponseDone(): void {
    const exchange = this.#exchange
    if (exchange.over) return
    const { connection } = exchange
    if (this.#rechunk) connection.transport.write(lastChunk)
    const upstream = this.#upstream
    const complete = connection.body.done
    this.#upstream = undefined
    if (upstream !== undefined) {
      if (!complete) upstream.reusable = false
      this.#pool?.release(upstream)
    }
    exchange.end(!complete || connection.head.close)
  }

  onUpstreamGone(clean: boolean, protocolError: boolean, error: Error | undefined): void {
    const exchange = this.#exchange
    if (exchange.over) return
    this.#upstream = undefined
    if (exchange.answered) return exchange.breakOff(protocolError ? 'UPE' : 'UC', 'upstream_reset_after_response_started{connection_termination}')
    if (error !== undefined) exchange.upstreamReason = (error as NodeJS.ErrnoException).code ?? error.message
    // A pooled connection that the peer closed while we took it: nothing was lost, so once more, on a fresh one.
    if (this.#reused && clean && !this.#replayed && this.#retained !== undefined && idempotent.has(exchange.connection.head.method)) {
      this.#replayed = true
      return this.#again(true)
    }
    this.#failed({ kind: 'reset', beforeRequest: false }, protocolError ? failures.protocolError : failures.connectionTermination)
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
    if (upstream === undefined) return
    upstream.detach()
    upstream.reusable = false
    upstream.transport.destroy()
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
    ops: target === undefined ? [route.requestHeaders] : [target.requestHeaders, route.requestHeaders],
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
