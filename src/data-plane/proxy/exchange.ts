// One request and its response: policy, route, upstream, bytes both ways, end. Law: ends exactly once, whoever leaves first; nothing thrown here leaves the request.
import {
  decideRbac,
  matchRoute,
  mayRetry,
  normalizePath,
  redirectLocation,
  retryDelayMs,
  type DirectResponse,
  type ForwardAction,
  type Redirect,
  type RouteMatched,
  type RuntimeRoutes,
  type SocketAddress,
  type TryOutcome,
} from '#engine'
import { failures, withReason, type Failure } from './failures.ts'
import type { HttpPool, PoolFailure, PoolUser } from './http-pool.ts'
import type { HttpServerConnection } from './http-server.ts'
import type { HttpUpstream, ResponseSink } from './http-upstream.ts'
import { H } from './http1/names.ts'
import type { Body } from './http1/body.ts'
import type { Head } from './http1/head.ts'
import * as out from './http1/writer.ts'
import { rbacFacts, requestLookup, requestRecord, readPeer } from './request-record.ts'
import { writeRequestHead } from './request-head.ts'
import { RequestView } from './request-view.ts'
import { interimHead, ownResponse, writeResponseHead } from './response-head.ts'
import { splice, type Splice } from './splice.ts'
import type { TlsFacts } from './transport.ts'
import type { Host, UpstreamCluster } from './upstream-cluster.ts'

const maxRetainedBytes = 64 * 1024
const replayable = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

export class Exchange implements ResponseSink, PoolUser {
  readonly connection: HttpServerConnection
  readonly view: RequestView
  readonly startedMs = performance.now()
  readonly startedAt = Date.now()
  matched: RouteMatched | undefined
  cluster: UpstreamCluster | undefined
  host: Host | undefined
  upstream: HttpUpstream | undefined
  responseHead: Head | undefined
  responseBody: Body | undefined
  status = 0
  flags = ''
  details = ''
  upstreamReason = ''
  upstreamPrincipal = ''
  upstreamTls: TlsFacts | undefined
  upstreamLocal: SocketAddress | undefined
  requestId = ''
  attempts = 0
  upstreamStartMs = 0
  serviceTimeMs = -1
  tunnel = false
  spliced: Splice | undefined
  /** Set where the proxy answered itself. */
  ownBodyBytes = 0
  #pool: HttpPool | undefined
  /** Bytes of the request's body that a new try would need; undefined = too many to keep. */
  #retained: Buffer[] | undefined = []
  #retainedBytes = 0
  #sentHead = false
  #answered = false
  #over = false
  #rechunk = false
  #upgrade = ''
  #timer: NodeJS.Timeout | undefined
  #tryTimer: NodeJS.Timeout | undefined
  #reused = false
  #replayed = false
  #tried: Set<Host> | undefined
  #pathBefore = ''
  #path = ''
  #authority = ''

  constructor(connection: HttpServerConnection) {
    this.connection = connection
    this.view = new RequestView(connection.head, connection.facts.tls === undefined ? 'http' : 'https')
  }

  /** The head has been read; `buf[from,to)` is the body's beginning. */
  start(buf: Buffer, from: number, to: number): void {
    const { connection } = this
    const { head, http, facts, core } = connection
    if (to > from) this.#retain(buf.subarray(from, to))
    if (facts.inbound) readPeer(facts, head)
    const requestId = head.byId(H.xRequestId)
    if (requestId < 0 && http.generateRequestId) this.requestId = crypto.randomUUID()
    if (head.upgrade && !this.#wantsUpgrade()) return
    if (http.normalizePath || http.mergeSlashes || http.escapedSlashes !== 'KEEP') {
      const normal = normalizePath(this.view.path, http)
      if (normal.kind === 'reject') return this.fail(failures.missingPath)
      if (normal.kind === 'redirect') return this.#answer(307, '', [['location', normal.path]], 'path_normalization')
      if (normal.path !== this.view.path) this.view.path = this.#path = normal.path
    }
    const routes: RuntimeRoutes | undefined = 'inline' in http.routes ? http.routes.inline : core.config.routes.get(http.routes.rds)
    this.matched = routes === undefined ? undefined : matchRoute(routes, this.view, Math.random())
    if (!this.#permitted()) return
    if (routes === undefined) return this.fail(failures.noRouteTable)
    if (this.matched === undefined) return this.fail(failures.routeNotFound)
    const { action } = this.matched.route
    if (action.kind === 'forward') this.#forward(action)
    else if (action.kind === 'redirect') this.#redirect(action)
    else this.#direct(action)
  }

  #wantsUpgrade(): boolean {
    const { head, http } = this.connection
    const i = head.byId(H.upgrade)
    const token = i < 0 ? '' : head.valueAt(i).toLowerCase()
    // h2c is never upgraded to: the request goes on as HTTP/1.1.
    if (token === '' || token === 'h2c' || token.startsWith('h2c,')) return true
    if (!http.upgrades.has(token)) {
      this.fail(failures.upgradeRefused)
      return false
    }
    this.#upgrade = token
    return true
  }

  #permitted(): boolean {
    const { http, core } = this.connection
    for (const filter of http.rbac) {
      const override = this.matched?.route.rbac.get(filter.name)
      if (override === null) continue
      const verdict = decideRbac(override ?? filter.rbac, rbacFacts(this.connection.facts, this.view))
      if (verdict.shadow !== undefined && !verdict.shadow.allowed) core.metrics.count('kith_rbac_shadow_denied_total', `policy="${verdict.shadow.policy}"`)
      if (verdict.allowed) continue
      core.metrics.count('kith_rbac_denied_total', `policy="${verdict.policy === '' ? 'none' : verdict.policy}"`)
      this.fail({ ...failures.denied, details: `rbac_access_denied_matched_policy[${verdict.policy === '' ? 'none' : verdict.policy}]` })
      return false
    }
    return true
  }

  #redirect(action: Redirect): void {
    const { view } = this
    const location = redirectLocation(action, view, this.matched?.route.match.matchedLength(view.path) ?? 0)
    this.#answer(action.status, '', [['location', location]], 'direct_response')
  }

  #direct(action: DirectResponse): void {
    this.#answer(action.status, action.body, [], 'direct_response')
  }

  #forward(action: ForwardAction): void {
    const { core, head, http } = this.connection
    if (head.method === 'CONNECT' && !(action.upgrades.get('connect') ?? http.upgrades.has('connect'))) return this.fail(failures.upgradeRefused)
    if (this.#upgrade !== '' && action.upgrades.get(this.#upgrade) === false) return this.fail(failures.upgradeRefused)
    const name = this.matched?.cluster ?? ''
    const cluster = core.upstreams.get(name)
    if (cluster === undefined) return this.fail({ ...failures.clusterNotFound, status: action.notFoundStatus })
    this.cluster = cluster
    if (cluster.requests >= cluster.config.limits.requests) return this.fail(failures.overflow)
    cluster.requests++
    this.#rewrite(action)
    if (this.connection.body.done) this.#armTimeout()
    const pending = core.upstreams.prepare(cluster)
    if (pending === undefined) this.#try(false)
    else void pending.then(() => (this.#over ? undefined : this.#try(false)))
  }

  #rewrite(action: ForwardAction): void {
    const { view } = this
    const target = this.matched?.target
    if (action.prefixRewrite !== '' || action.pathSubstitute !== undefined) {
      const before = view.path
      const q = before.indexOf('?')
      const plain = q < 0 ? before : before.slice(0, q)
      const query = q < 0 ? '' : before.slice(q)
      const after = action.pathSubstitute === undefined ? action.prefixRewrite + plain.slice(this.matched?.route.match.matchedLength(before) ?? 0) : action.pathSubstitute(plain)
      this.#path = (after.startsWith('/') ? after : `/${after}`) + query
      if (this.#path !== before) this.#pathBefore = before
    }
    this.#authority = target?.hostRewrite ?? action.hostRewrite ?? (action.hostRewriteHeader === undefined ? '' : (view.header(action.hostRewriteHeader) ?? ''))
  }

  #armTimeout(): void {
    const { action } = this.matched?.route ?? {}
    if (action?.kind !== 'forward' || action.timeoutMs === 0 || this.#timer !== undefined) return
    this.#timer = setTimeout(() => this.#timedOut(failures.timeout), action.timeoutMs)
  }

  #timedOut(failure: Failure): void {
    if (this.#over) return
    if (this.tunnel) return this.connection.destroy()
    this.#dropUpstream()
    if (this.#answered) {
      this.#flag('UT', failure.details)
      this.#end(true)
      this.connection.destroy()
    } else this.fail(failure)
  }

  /** Asks for a connection. `fresh`: not a pooled one. */
  #try(fresh: boolean): void {
    const { core, facts, http } = this.connection
    const cluster = this.cluster as UpstreamCluster
    const { action, upstreamAlpn } = (this.matched as RouteMatched).route
    const { config } = cluster
    this.host =
      config.discovery === 'ORIGINAL_DST' ? cluster.original(facts.original.address, facts.original.port, performance.now()) : cluster.pick(this.#hash(action as ForwardAction), (action as ForwardAction).retry?.avoidPreviousHosts === true ? this.#tried : undefined)
    if (this.host === undefined) return this.#noTry(failures.noHealthyUpstream)
    this.attempts++
    this.host.active++
    if ((action as ForwardAction).autoHostRewrite && this.host.endpoint.hostname !== '') this.#authority = this.host.endpoint.hostname
    const authority = config.autoSni || config.autoSanValidation ? withoutPort(this.#authority === '' ? this.view.authority : this.#authority) : ''
    this.#pool = core.upstreams.httpPool(cluster, this.host, { authority, alpn: upstreamAlpn ?? http.upstreamAlpn, inbound: facts.inbound })
    this.#pool.acquire(this, fresh)
  }

  #hash(action: ForwardAction): string | undefined {
    for (const policy of action.hash) {
      const value = policy.value(this.view, this.connection.facts.remote.address)
      if (value !== undefined) return value
    }
    return undefined
  }

  #noTry(failure: Failure): void {
    this.host = undefined
    this.fail(failure)
  }

  onConnection(connection: HttpUpstream, reused: boolean): void {
    if (this.#over) {
      this.#pool?.release(connection)
      return
    }
    this.upstream = connection
    this.#reused = reused
    this.upstreamStartMs = performance.now()
    const { tls, local } = connection.transport
    this.upstreamTls = tls
    this.upstreamLocal = local
    this.upstreamPrincipal = tls?.peer?.principal ?? ''
    connection.begin(this, this.connection.head.method, this.#upgrade !== '')
    const perTry = (this.matched?.route.action as ForwardAction).retry?.perTryTimeoutMs ?? 0
    if (perTry > 0) this.#tryTimer = setTimeout(() => this.#tryFailed({ kind: 'per-try-timeout' }, failures.perTryTimeout), perTry)
    this.#writeHead(connection)
    this.#sentHead = true
    this.connection.transport.resume()
  }

  #writeHead(upstream: HttpUpstream): void {
    const { http, head, facts, core } = this.connection
    const matched = this.matched as RouteMatched
    const tls = upstream.transport.tls
    const mesh = !facts.inbound && tls?.peer !== undefined && tls.peer.principal !== ''
    writeRequestHead({
      http,
      head,
      inbound: facts.inbound,
      mutual: facts.tls?.peer !== undefined,
      encrypted: facts.tls !== undefined,
      clientCert: facts.clientCert,
      path: this.#path,
      host: this.#authority,
      requestId: this.requestId,
      forwardedFor: http.useRemoteAddress ? [this.view.header('x-forwarded-for'), facts.remote.address].filter((x) => x !== undefined).join(',') : '',
      upgrade: this.#upgrade,
      metadata: mesh ? core.ownMetadata : undefined,
      attempt: matched.route.attemptCount ? this.attempts : 0,
      ops: matched.target === undefined ? [matched.route.requestHeaders] : [matched.target.requestHeaders, matched.route.requestHeaders],
      lookup: (operator) => requestLookup(this, operator),
      originalPath: this.#pathBefore,
    })
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
    if (this.#over) return
    if (failure.kind === 'overflow') return this.fail(failures.overflow)
    this.upstreamReason = failure.reason
    if (failure.kind === 'secret') return this.fail(failures.secretMissing)
    const base = failure.timedOut ? failures.connectTimeout : failures.connectFailure
    this.#tryFailed({ kind: 'connect-failure' }, withReason(base, failure.reason.startsWith('TLS') ? failure.reason : ''))
  }

  #retain(part: Buffer): void {
    this.#retained?.push(part)
    this.#retainedBytes += part.length
    if (this.#retainedBytes > maxRetainedBytes && this.#sentHead) this.#retained = undefined
  }

  /** More of the request's body, its framing checked. */
  requestBytes(buf: Buffer, from: number, to: number): void {
    if (this.#over || to <= from) return
    const part = from === 0 && to === buf.length ? buf : buf.subarray(from, to)
    this.#retain(part)
    const { upstream, connection } = this
    if (upstream === undefined || !this.#sentHead) {
      if (this.#retainedBytes > maxRetainedBytes) connection.transport.pause()
    } else if (!upstream.transport.write(part)) connection.transport.pause()
    if (connection.body.done) this.#armTimeout()
  }

  onUpstreamDrain(): void {
    this.connection.touched = true
    if (!this.#over) this.connection.transport.resume()
  }

  downstreamDrain(): void {
    this.upstream?.transport.resume()
  }

  onInterim(head: Head): void {
    if (head.status === 100 && !this.connection.http.proxy100Continue) return
    this.connection.transport.write(interimHead(head))
  }

  onHead(head: Head, body: Body, buf: Buffer, from: number, to: number): void {
    const { connection } = this
    const { http, facts, core } = connection
    clearTimeout(this.#tryTimer)
    this.serviceTimeMs = Math.max(0, Math.round(performance.now() - this.upstreamStartMs))
    if (this.#retryStatus(head)) return
    const { status } = head
    this.responseHead = head
    this.responseBody = body
    this.status = status
    this.details = 'via_upstream'
    this.#retained = undefined
    const host = this.host as Host
    this.cluster?.report(host, status >= 502 && status <= 504 ? 'gateway' : status >= 500 ? '5xx' : 'ok', performance.now())
    this.tunnel = this.upstream?.tunnel === true
    this.#rechunk = body.mode === 'close' && !this.tunnel
    const matched = this.matched as RouteMatched
    writeResponseHead({
      http,
      head,
      inbound: facts.inbound,
      chunked: head.chunked || this.#rechunk,
      close: !this.tunnel && (core.draining || facts.oneShot || connection.head.close || !connection.body.done),
      upgrade: status === 101,
      serviceTimeMs: this.serviceTimeMs,
      metadata: facts.inbound && facts.tls?.peer !== undefined && connection.head.byId(H.peerMetadata) >= 0 ? core.ownMetadata : undefined,
      ops: matched.target === undefined ? [matched.route.responseHeaders] : [matched.target.responseHeaders, matched.route.responseHeaders],
      lookup: (operator) => requestLookup(this, operator),
    })
    this.#answered = true
    if (to > from && this.#rechunk) out.text(`${(to - from).toString(16)}\r\n`)
    let ok: boolean
    if (to - from > maxRetainedBytes) {
      connection.transport.write(out.take())
      ok = connection.transport.write(buf.subarray(from, to))
      if (this.#rechunk) connection.transport.write(crlf)
    } else {
      const start = out.take(buf, from, to)
      ok = connection.transport.write(this.#rechunk && to > from ? Buffer.concat([start, crlf]) : start)
    }
    if (!ok) this.upstream?.transport.pause()
    if (this.tunnel) this.#startTunnel()
  }

  /** From here on bytes pass both ways untouched. */
  #startTunnel(): void {
    clearTimeout(this.#timer)
    const upstream = this.upstream as HttpUpstream
    upstream.detach()
    const { connection } = this
    const early = connection.takeHeld()
    if (early !== undefined) upstream.transport.write(early)
    this.spliced = splice(connection.transport, upstream.transport, (result) => {
      if (result.broken === 'a') this.#flag('DC', 'downstream_remote_disconnect')
      upstream.onClose(undefined)
      this.upstream = undefined
      this.#end(true)
      connection.onClose()
    })
  }

  onBody(buf: Buffer, from: number, to: number): void {
    const { transport } = this.connection
    this.connection.touched = true
    const part = from === 0 && to === buf.length ? buf : buf.subarray(from, to)
    const ok = this.#rechunk ? transport.write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`, 'latin1'), part, crlf])) : transport.write(part)
    if (!ok) this.upstream?.transport.pause()
  }

  onResponseDone(): void {
    if (this.#over) return
    if (this.#rechunk) this.connection.transport.write(lastChunk)
    const { upstream, connection } = this
    const complete = connection.body.done
    if (upstream !== undefined) {
      if (!complete) upstream.reusable = false
      this.upstream = undefined
      this.#pool?.release(upstream)
    }
    this.#end(!complete || connection.head.close)
  }

  onUpstreamGone(clean: boolean, protocolError: boolean, error: Error | undefined): void {
    if (this.#over) return
    this.upstream = undefined
    if (this.#answered) {
      // Half an answer is out; the downstream must see that it is not whole.
      this.#flag(protocolError ? 'UPE' : 'UC', 'upstream_reset_after_response_started{connection_termination}')
      this.#end(true)
      this.connection.destroy()
      return
    }
    if (error !== undefined) this.upstreamReason = (error as NodeJS.ErrnoException).code ?? error.message
    const { head } = this.connection
    // A pooled connection that the peer closed while we took it: nothing was lost, so once more, on a fresh one.
    if (this.#reused && clean && !this.#replayed && this.#retained !== undefined && replayable.has(head.method)) {
      this.#replayed = true
      this.#again(true)
      return
    }
    this.#tryFailed({ kind: 'reset', beforeRequest: false }, protocolError ? failures.protocolError : failures.connectionTermination)
  }

  #again(fresh: boolean): void {
    clearTimeout(this.#tryTimer)
    if (this.host !== undefined) {
      this.host.active--
      ;(this.#tried ??= new Set()).add(this.host)
    }
    this.host = undefined
    this.upstream = undefined
    this.#sentHead = false
    this.#try(fresh)
  }

  #mayTryAgain(outcome: TryOutcome): boolean {
    const action = this.matched?.route.action
    const cluster = this.cluster as UpstreamCluster
    if (action?.kind !== 'forward' || action.retry === undefined || this.#retained === undefined || this.#upgrade !== '') return false
    return this.attempts <= action.retry.attempts && mayRetry(action.retry, outcome) && cluster.retries < cluster.config.limits.retries
  }

  #retryLater(): void {
    const action = this.matched?.route.action as ForwardAction
    const cluster = this.cluster as UpstreamCluster
    cluster.retries++
    const delayMs = retryDelayMs(action.retry as NonNullable<ForwardAction['retry']>, this.attempts - 1, Math.random())
    setTimeout(() => {
      cluster.retries--
      if (!this.#over) this.#again(false)
    }, delayMs)
  }

  #tryFailed(outcome: TryOutcome, failure: Failure): void {
    if (this.#over || this.#answered) return
    this.#dropUpstream()
    if (this.host !== undefined) this.cluster?.report(this.host, 'local', performance.now())
    if (this.#mayTryAgain(outcome)) this.#retryLater()
    else this.fail(this.attempts > 1 && (this.matched?.route.action as ForwardAction).retry !== undefined ? { ...failure, flag: `${failure.flag},URX` } : failure)
  }

  #retryStatus(head: Head): boolean {
    if (!this.#mayTryAgain({ kind: 'status', status: head.status, grpcStatus: head.get('grpc-status') })) return false
    if (this.host !== undefined) this.cluster?.report(this.host, head.status >= 500 ? '5xx' : 'ok', performance.now())
    this.#dropUpstream()
    this.#retryLater()
    return true
  }

  /** Lets go of the connection under way; it can't serve another. */
  #dropUpstream(): void {
    clearTimeout(this.#tryTimer)
    const { upstream } = this
    this.upstream = undefined
    this.#pool?.cancel(this)
    if (upstream === undefined) return
    upstream.detach()
    upstream.reusable = false
    upstream.transport.destroy()
  }

  badRequest(): void {
    this.#dropUpstream()
    if (!this.#answered) return this.fail({ ...failures.missingPath, details: 'http1.codec_error' })
    this.#flag('DPE', 'http1.codec_error')
    this.#end(true)
    this.connection.destroy()
  }

  /** Nobody reads any more. */
  downstreamGone(): void {
    if (this.#over) return
    this.#dropUpstream()
    this.#flag('DC', 'downstream_remote_disconnect')
    this.#end(true)
    this.connection.destroy()
  }

  idleFor(idleMs: number): void {
    const action = this.matched?.route.action
    const limit = (action?.kind === 'forward' ? action.idleTimeoutMs : undefined) ?? this.connection.http.streamIdleTimeoutMs
    if (this.spliced?.touched === true) this.spliced.touched = false
    else if (limit > 0 && idleMs > limit) this.#timedOut(failures.streamIdle)
  }

  fail(failure: Failure): void {
    if (this.#over || this.#answered) return
    this.#flag(failure.flag, failure.details)
    this.#answer(failure.status, failure.body, [], failure.details)
  }

  #flag(flag: string, details: string): void {
    this.flags = this.flags === '' ? flag : `${this.flags},${flag}`
    this.details = details
  }

  #answer(status: number, body: string, headers: readonly (readonly [string, string])[], details: string): void {
    this.#dropUpstream()
    this.#answered = true
    this.status = status
    this.details = details
    this.ownBodyBytes = Buffer.byteLength(body)
    const { connection } = this
    const close = !connection.body.done || connection.head.close || connection.core.draining || connection.facts.oneShot
    connection.transport.write(ownResponse(connection.http, { status, body, close, headOnly: connection.head.method === 'HEAD', headers }))
    this.#end(close)
  }

  /** Counts, logs, lets go. `close`: nothing can follow on this connection. */
  #end(close: boolean): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    clearTimeout(this.#tryTimer)
    if (this.host !== undefined) this.host.active--
    if (this.cluster !== undefined) this.cluster.requests--
    requestRecord(this)
    this.#retained = undefined
    this.connection.exchangeDone(close)
  }
}

const crlf = Buffer.from('\r\n', 'latin1')
const lastChunk = Buffer.from('0\r\n\r\n', 'latin1')

function withoutPort(authority: string): string {
  return /^(.*):\d+$/.exec(authority)?.[1] ?? authority
}
