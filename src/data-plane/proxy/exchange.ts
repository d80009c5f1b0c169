// One request and its response: policy, route, then an upstream or an answer of our own. Law: ends exactly once, whoever leaves first.
import { ExpressionTooCostly } from '#lib/re2.ts'
import {
  decideCors,
  decideFault,
  decideJwt,
  decideRbac,
  forwardedAuthority,
  forwardedPath,
  matchRoute,
  normalizePath,
  pathOnly,
  redirectLocation,
  type Claims,
  type Cors,
  type FaultDecision,
  type ForwardAction,
  type HeaderOps,
  type JwtAuthn,
  type Redirect,
  type RouteMatched,
  type RuntimeRoutes,
  type SocketAddress,
} from '#engine'
import type { Downstream, Trailers } from './downstream.ts'
import { failures, type Failure } from './failures.ts'
import { grpcAnswer, grpcTimeoutMs, isGrpc } from './grpc.ts'
import { H } from './http1/names.ts'
import type { Body } from './http1/body.ts'
import type { Head } from './http1/head.ts'
import { MirrorRequest } from './mirror.ts'
import { rbacFacts, readPeer, requestRecord } from './request-record.ts'
import { RequestView } from './request-view.ts'
import type { OwnAnswer } from './response-head.ts'
import type { Splice } from './splice.ts'
import type { TlsFacts } from './transport.ts'
import type { Host, UpstreamCluster } from './upstream-cluster.ts'
import { UpstreamRequest } from './upstream-request.ts'

/** Shared by all that have none. */
const noMirrors: MirrorRequest[] = []

export class Exchange {
  readonly connection: Downstream
  readonly view: RequestView
  readonly startedMs = performance.now()
  readonly startedAt = Date.now()
  matched: RouteMatched | undefined
  cluster: UpstreamCluster | undefined
  host: Host | undefined
  responseHead: Head | undefined
  responseBody: Body | undefined
  responseTrailers: Trailers
  status = 0
  flags = ''
  details = ''
  upstreamReason = ''
  upstreamPrincipal = ''
  upstreamTls: TlsFacts | undefined
  upstreamLocal: SocketAddress | undefined
  /** '' = the request brought its own. */
  requestId = ''
  attempts = 0
  serviceTimeMs = -1
  /** Two streams tied together, after an upgrade or CONNECT. */
  spliced: Splice | undefined
  /** Set where the proxy answered itself. */
  ownBodyBytes = 0
  /** Token of an upgrade that was asked for and is allowed; '' = none. */
  upgrade = ''
  /** Path and authority as they go on; '' = as they came. */
  path = ''
  authority = ''
  pathBefore = ''
  /** What the request's token says, once it holds. */
  claims: Claims | undefined
  /** A policy marks it for audit. */
  audited = false
  /** What a filter makes of the request's headers. */
  ownOps: HeaderOps | undefined
  /** What a browser is told beside the answer. */
  corsHeaders: HeaderOps | undefined
  /** A response has begun to go back. */
  answered = false
  over = false
  #upstream: UpstreamRequest | undefined
  #mirrors: MirrorRequest[] = noMirrors
  #timer: NodeJS.Timeout | undefined
  #delay: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  #ownGrpcStatus = ''

  constructor(connection: Downstream) {
    this.connection = connection
    this.view = new RequestView(connection.head, connection.facts.tls === undefined ? 'http' : 'https')
  }

  /** The head has been read; `buf[from,to)` is the body's beginning. */
  start(buf: Buffer, from: number, to: number): void {
    try {
      this.#decide(buf, from, to)
    } catch (error) {
      if (!(error instanceof ExpressionTooCostly)) throw error
      // Neither "it matches" nor "it does not" would be true, and either could let a request past a policy.
      this.connection.core.log.warn({ expression: error.expression, length: error.length }, 'a request is refused: a value is too long for a regular expression')
      this.fail(failures.expressionCost)
    }
  }

  #decide(buf: Buffer, from: number, to: number): void {
    const { head, http, facts, core } = this.connection
    if (facts.inbound) readPeer(facts, head)
    if (http.generateRequestId && head.byId(H.xRequestId) < 0) this.requestId = crypto.randomUUID()
    if (head.upgrade && !this.#mayUpgrade()) return this.fail(failures.upgradeRefused)
    const normal = normalizePath(this.view.path, http)
    if (normal.kind === 'reject') return this.fail(failures.missingPath)
    if (normal.kind === 'redirect') return this.answer(307, '', [['location', normal.path]], 'path_normalization')
    if (normal.path !== this.view.path) this.view.path = this.path = normal.path
    const routes: RuntimeRoutes | undefined = 'inline' in http.routes ? http.routes.inline : core.config.routes.get(http.routes.rds)
    this.matched = routes === undefined ? undefined : matchRoute(routes, this.view, Math.random())
    if (http.jwt !== undefined && !this.#authenticate(http.jwt)) return
    const denied = this.#denied()
    if (denied !== undefined) return this.fail(denied)
    if (routes === undefined) return this.fail(failures.noRouteTable)
    if (this.matched === undefined) return this.fail(failures.routeNotFound)
    const { action, cors } = this.matched.route
    if (cors !== undefined && this.#preflight(cors)) return
    if (action.kind === 'redirect') this.#redirect(action)
    else if (action.kind === 'direct') this.answer(action.status, action.body, [], 'direct_response')
    else this.#forward(this.matched, action, to > from ? buf.subarray(from, to) : undefined)
  }

  #mayUpgrade(): boolean {
    const { head, http } = this.connection
    const i = head.byId(H.upgrade)
    const token = i < 0 ? '' : head.valueAt(i).toLowerCase()
    // h2c is never upgraded to: the request goes on as HTTP/1.1.
    if (token === '' || token === 'h2c' || token.startsWith('h2c,')) return true
    this.upgrade = token
    return http.upgrades.has(token)
  }

  /** True: answered. */
  #preflight(cors: Cors): boolean {
    const decision = decideCors(cors, this.view)
    if (decision.kind === 'allowed') this.corsHeaders = decision.response
    if (decision.kind !== 'preflight') return false
    this.answer(200, '', decision.headers, 'cors_preflight')
    return true
  }

  /** False: answered. A token that does not hold ends the request; one that does tells policies and application who calls. */
  #authenticate(jwt: JwtAuthn): boolean {
    const { core } = this.connection
    const { view } = this
    const verdict = decideJwt(jwt, view, this.startedAt)
    if (verdict.kind === 'refused') {
      core.metrics.count('kith_jwt_denied_total', `reason="${verdict.message}"`)
      const realm = `Bearer realm="${view.scheme}://${view.authority.replace(/[^\x21\x23-\x5b\x5d-\x7e]/g, '')}${pathOnly(view.path).replace(/[^\x21\x23-\x5b\x5d-\x7e]/g, '')}"`
      this.flag('UAEX')
      this.answer(verdict.status, verdict.message, [['www-authenticate', verdict.missing ? realm : `${realm}, error="invalid_token"`]], `jwt_authn_access_denied{${verdict.message.replaceAll(' ', '_')}}`)
      return false
    }
    this.claims = verdict.claims
    if (verdict.path !== undefined) view.path = this.path = verdict.path
    if (verdict.headers.size > 0) {
      view.changed = verdict.headers
      const entries = [...verdict.headers]
      this.ownOps = { set: entries.flatMap(([name, value]) => (value === undefined ? [] : [{ kind: 'overwrite' as const, name, value: [value] }])), remove: entries.map(([name]) => name) }
    }
    return true
  }

  #denied(): Failure | undefined {
    const { http, core, facts } = this.connection
    for (const filter of http.rbac) {
      const override = this.matched?.route.rbac.get(filter.name)
      if (override === null) continue
      const verdict = decideRbac(override ?? filter.rbac, rbacFacts(facts, this.view, this.claims, http))
      if (verdict.shadow !== undefined && !verdict.shadow.allowed) core.metrics.count('kith_rbac_shadow_denied_total', `policy="${verdict.shadow.policy}"`)
      if (verdict.audited !== undefined) {
        this.audited = true
        core.metrics.count('kith_rbac_audited_total', `policy="${verdict.audited}"`)
      }
      if (verdict.allowed) continue
      const policy = verdict.policy === '' ? 'none' : verdict.policy
      core.metrics.count('kith_rbac_denied_total', `policy="${policy}"`)
      return { ...failures.denied, details: `rbac_access_denied_matched_policy[${policy}]` }
    }
    return undefined
  }

  #redirect(action: Redirect): void {
    const location = redirectLocation(action, this.view, this.matched?.route.match.matchedLength(this.view.path) ?? 0)
    this.answer(action.status, '', [['location', location]], 'direct_response')
  }

  #forward(matched: RouteMatched, action: ForwardAction, body: Buffer | undefined): void {
    const { core, head, http } = this.connection
    if (head.method === 'CONNECT' && !(action.upgrades.get('connect') ?? http.upgrades.has('connect'))) return this.fail(failures.upgradeRefused)
    if (this.upgrade !== '' && action.upgrades.get(this.upgrade) === false) return this.fail(failures.upgradeRefused)
    const cluster = core.upstreams.get(matched.cluster ?? '')
    if (cluster === undefined) return this.fail({ ...failures.clusterNotFound, status: action.notFoundStatus })
    if (cluster.requests >= cluster.config.limits.requests) return this.fail(failures.overflow)
    this.cluster = cluster
    cluster.requests++
    this.#rewrite(matched, action)
    if (this.connection.body.done) this.#armTimeout(action)
    this.#armDeadline(action)
    if (this.upgrade === '') this.#mirror(matched, action, body)
    const upstream = new UpstreamRequest(this, cluster, matched, action)
    this.#upstream = upstream
    if (body !== undefined) upstream.retain(body)
    const fault = matched.route.fault === undefined ? undefined : decideFault(matched.route.fault, Math.random(), Math.random())
    if (fault === undefined || fault.delayMs === 0) return this.#go(upstream, cluster, fault)
    this.flag('DI')
    this.#delay = setTimeout(() => this.#go(upstream, cluster, fault), fault.delayMs)
  }

  #go(upstream: UpstreamRequest, cluster: UpstreamCluster, fault: FaultDecision | undefined): void {
    if (this.over) return
    if (fault?.abort !== undefined) {
      const { httpStatus, grpcStatus } = fault.abort
      this.flag('FI')
      return this.answer(httpStatus, 'fault filter abort', [], 'fault_filter_abort', grpcStatus)
    }
    const pending = this.connection.core.upstreams.prepare(cluster)
    if (pending === undefined) upstream.attempt(false)
    else void pending.then(() => (this.over ? undefined : upstream.attempt(false)))
  }

  #mirror(matched: RouteMatched, action: ForwardAction, body: Buffer | undefined): void {
    for (const mirror of action.mirrors) {
      const cluster = Math.random() < mirror.share ? this.connection.core.upstreams.get(mirror.cluster) : undefined
      if (cluster === undefined) continue
      const copy = new MirrorRequest(this, cluster)
      if (this.#mirrors === noMirrors) this.#mirrors = []
      this.#mirrors.push(copy)
      copy.start(matched, mirror)
      if (body !== undefined) copy.send(body)
      if (this.connection.body.done) copy.finish(true)
    }
  }

  #rewrite(matched: RouteMatched, action: ForwardAction): void {
    const { view } = this
    const before = view.path
    const after = forwardedPath(action, before, matched.route.match.matchedLength(before))
    if (after !== before) {
      this.path = after
      this.pathBefore = before
    }
    this.authority = forwardedAuthority(action, matched.target, (name) => view.header(name)) ?? ''
  }

  #armTimeout(action: ForwardAction): void {
    if (action.timeoutMs > 0) this.#timer ??= setTimeout(() => this.#timedOut(failures.timeout), action.timeoutMs)
  }

  /** What the caller of a gRPC method waits for at most, where the route lets it count. */
  #armDeadline({ grpcTimeoutMaxMs }: ForwardAction): void {
    const { head } = this.connection
    const asked = grpcTimeoutMaxMs === undefined || !isGrpc(head) ? undefined : grpcTimeoutMs(head.get('grpc-timeout'))
    if (grpcTimeoutMaxMs === undefined || asked === undefined || asked === 0) return
    const ms = grpcTimeoutMaxMs === 0 ? asked : Math.min(asked, grpcTimeoutMaxMs)
    this.#deadline = setTimeout(() => this.#timedOut(failures.maxDuration), Math.min(ms, 0x7fff_ffff))
  }

  #timedOut(failure: Failure): void {
    if (this.over) return
    if (this.spliced !== undefined) return this.connection.destroy()
    this.#upstream?.drop()
    if (this.answered) this.breakOff(failure.flag, failure.details)
    else this.fail(failure)
  }

  /** More of the request's body, its framing checked; at its end with `body.done`. */
  requestBytes(buf: Buffer, from: number, to: number): void {
    if (this.over) return
    if (to > from) {
      const part = from === 0 && to === buf.length ? buf : buf.subarray(from, to)
      this.#upstream?.send(part)
      for (const copy of this.#mirrors) copy.send(part)
    }
    if (this.connection.body.done) this.#requestDone()
  }

  #requestDone(): void {
    this.#upstream?.finish()
    for (const copy of this.#mirrors) copy.finish(true)
    const action = this.matched?.route.action
    if (action?.kind === 'forward') this.#armTimeout(action)
  }

  downstreamDrain(): void {
    this.#upstream?.resume()
  }

  /** A tunnel has no timeout but idleness. */
  tunnelled(spliced: Splice): void {
    clearTimeout(this.#timer)
    this.spliced = spliced
  }

  badRequest(): void {
    this.#upstream?.drop()
    if (this.answered) this.breakOff('DPE', 'http1.codec_error')
    else this.fail({ ...failures.missingPath, details: 'http1.codec_error' })
  }

  /** The client is gone. `reset`: its stream alone, by RST_STREAM. */
  downstreamGone(reset = false): void {
    if (this.over) return
    this.#upstream?.drop()
    if (reset) this.breakOff('DR', 'http2.remote_reset')
    else this.breakOff('DC', 'downstream_remote_disconnect')
  }

  idleFor(idleMs: number): void {
    this.spliced?.reap()
    const action = this.matched?.route.action
    const limit = (action?.kind === 'forward' ? action.idleTimeoutMs : undefined) ?? this.connection.http.streamIdleTimeoutMs
    if (this.spliced?.touched === true) {
      this.spliced.touched = false
      this.connection.touched = true
    } else if (limit > 0 && idleMs > limit) this.#timedOut(failures.streamIdle)
  }

  fail(failure: Failure): void {
    if (this.over || this.answered) return
    this.flag(failure.flag)
    this.answer(failure.status, failure.body, failure.headers ?? [], failure.details, failure.grpcStatus)
  }

  /** Half an answer is out: the downstream must see that it is not whole. */
  breakOff(flag: string, details: string): void {
    if (this.over) return
    this.flag(flag)
    this.details = details
    this.end(true)
    this.connection.destroy()
  }

  flag(flag: string): void {
    this.flags = this.flags === '' ? flag : `${this.flags},${flag}`
  }

  answer(status: number, body: string, headers: readonly (readonly [string, string])[], details: string, grpcStatus?: number): void {
    this.#upstream?.drop()
    this.answered = true
    this.details = details
    const { connection } = this
    let own: OwnAnswer = { status, body, headOnly: connection.head.method === 'HEAD', headers }
    if (isGrpc(connection.head)) {
      const answer = grpcAnswer(own, grpcStatus)
      this.#ownGrpcStatus = answer.grpcStatus
      own = answer
    }
    this.status = own.status
    this.ownBodyBytes = Buffer.byteLength(own.body)
    connection.answer(own)
    this.end(!connection.body.done || connection.head.close || connection.leaving)
  }

  /** '' = none. */
  get grpcStatus(): string {
    if (this.#ownGrpcStatus !== '') return this.#ownGrpcStatus
    const trailers = this.responseTrailers ?? []
    const at = trailers.indexOf('grpc-status')
    return (at % 2 === 0 ? trailers[at + 1] : undefined) ?? this.responseHead?.get('grpc-status') ?? ''
  }

  /** Counts, logs, lets go. `close`: nothing can follow on this connection. */
  end(close: boolean): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.#timer)
    clearTimeout(this.#delay)
    clearTimeout(this.#deadline)
    this.#upstream?.leave()
    if (!this.connection.body.done) for (const copy of this.#mirrors) copy.finish(false)
    if (this.host !== undefined) this.host.active--
    if (this.cluster !== undefined) this.cluster.requests--
    requestRecord(this)
    this.connection.exchangeDone(close)
  }
}
