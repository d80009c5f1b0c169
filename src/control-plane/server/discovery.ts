// Aggregated discovery: who is connected, what each has, and the pushes.
// Law: a proxy gets its own configuration and no other's: the node id must be a pod of the account that its certificate proves.
import { status, type ServerDuplexStream } from '@grpc/grpc-js'
import { X509Certificate } from 'node:crypto'
import type { Logger } from '#lib/log.ts'
import { verifyPeer, type VerifiedPeer } from '#identity'
import type { Workload } from '#mesh'
import { DeltaServerState, issuedMs, pushOrder, servedTypes, skew, SotwServerState, typeUrls, type DeltaResponse, type Feedback, type Resource, type SotwResponse, type SotwWireRequest, type StreamLimits, type WireRequest } from '#xds'
import type { Credentials } from './credentials.ts'
import { proxyConfig, type ProxyConfig } from './proxy-config.ts'
import { Round } from './round.ts'
import type { Snapshot } from './snapshot.ts'

interface Pushed {
  readonly resources: readonly Resource[]
  /** Delta alone says what is gone. */
  readonly removed?: readonly string[]
}

/** One stream's protocol, delta or state of the world. */
interface ProtocolState<Request, Response extends Pushed> {
  request(r: Request): Feedback
  wanted(typeUrl: string): ReadonlySet<string> | undefined | null
  push(typeUrl: string, resources: ReadonlyMap<string, Resource>): Response | undefined
  settled(): boolean
  status(): ProxyStatus['types']
}

interface AnyRequest {
  readonly typeUrl: string
  readonly node?: { readonly id: string; readonly metadata?: Readonly<Record<string, unknown>> }
}

export interface DiscoveryOptions {
  readonly trustDomains: () => readonly string[]
  /** The roots that every proxy shall trust now. */
  readonly trust?: () => Resource
  /** Which certificate counts no more, if this or one that it was signed under is it. */
  readonly revoked?: (certificate: X509Certificate) => string | undefined
  /** Secrets that DestinationRules name. */
  readonly credentials?: Credentials
  readonly now: () => number
  readonly log: Logger
  /** Everybody has been sent what a change means. */
  readonly converged?: (ms: number) => void
  readonly count: (event: XdsEvent) => void
}

/** `excess`: a stream that asked for more than can exist was ended; it is counted as refused too. */
export type XdsEvent = 'push' | 'ack' | 'nack' | 'refused' | 'excess'

interface Connection {
  readonly peer: VerifiedPeer
  readonly state: Pick<ProtocolState<never, Pushed>, 'wanted' | 'settled' | 'status'>
  /** Sends what the client lacks of a type; what was sent. */
  send(typeUrl: string, resources: ReadonlyMap<string, Resource>): Pushed | undefined
  fail(refusal: Refusal): void
  id: string
  config: ProxyConfig | undefined
  lastError: string
  /** Its sidecar is of another age than this control plane. */
  skew: string | undefined
  /** Runs out with the peer's certificate. */
  end: NodeJS.Timeout | undefined
}

interface Refusal {
  readonly code: status
  readonly details: string
}

export interface ProxyStatus {
  readonly proxy: string
  readonly identity: string
  readonly snapshot: number
  readonly settled: boolean
  readonly lastError: string
  readonly types: readonly { readonly typeUrl: string; readonly pending: boolean; readonly resources: number }[]
}

/** setTimeout takes 32 bits. */
const longestTimerMs = 2 ** 31 - 1
/** Planning goes on for so long before others have their turn. */
const workMs = 20
/** What is kept and logged of a peer's own texts. */
const longestError = 4096
const longestNode = 512
/** Streams of one pod: its agent and its proxy have one each, and those of before may not have ended yet. */
const mostStreams = 8
/** Until a stream must have said whose it is. */
const silentMs = 30_000
const wildcardTypes = new Set<string>([typeUrls.cluster, typeUrls.listener])

export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #connections = new Set<Connection>()
  #snapshot: Snapshot | undefined
  #draining = false
  /** Whose plan is not of the newest snapshot yet. */
  readonly #stale = new Set<Connection>()
  #working: NodeJS.Immediate | undefined
  readonly #round: Round

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.#round = new Round(options.log, options.converged)
  }

  /** The handler of DeltaAggregatedResources. */
  handle = (stream: ServerDuplexStream<WireRequest, DeltaResponse>): void => this.#accept(stream, (limits) => new DeltaServerState(wildcardTypes, limits))

  /** The handler of StreamAggregatedResources. */
  handleSotw = (stream: ServerDuplexStream<SotwWireRequest, SotwResponse>): void => this.#accept(stream, (limits) => new SotwServerState(wildcardTypes, limits))

  #accept<Request extends AnyRequest, Response extends Pushed>(stream: ServerDuplexStream<Request, Response>, begin: (limits: StreamLimits) => ProtocolState<Request, Response>): void {
    const { log, count } = this.#options
    if (this.#draining) return void stream.emit('error', { code: status.UNAVAILABLE, details: 'this control plane ends' })
    const peer = this.#peerOf(stream)
    if ('refused' in peer) {
      count('refused')
      log.warn({ peer: stream.getPeer(), reason: peer.refused }, 'proxy refused')
      stream.emit('error', { code: status.UNAUTHENTICATED, details: peer.refused })
      return
    }
    const state = begin({ known: servedTypes, existing: (typeUrl) => existing(connection.config, typeUrl) })
    const connection: Connection = {
      peer: peer.peer, state, id: '', config: undefined, lastError: '', skew: undefined, end: undefined,
      send(typeUrl, resources) {
        const response = state.push(typeUrl, resources)
        if (response !== undefined) stream.write(response)
        return response
      },
      fail: (refusal) => void stream.emit('error', refusal),
    }
    this.#connections.add(connection)
    this.#endWithCertificate(connection)
    const silent = setTimeout(() => connection.id === '' && this.#connections.has(connection) && this.#refuse(connection, { code: status.DEADLINE_EXCEEDED, details: `nothing was asked for ${silentMs / 1000} s` }), silentMs)
    silent.unref()
    const gone = (): void => {
      clearTimeout(connection.end)
      clearTimeout(silent)
      this.#stale.delete(connection)
      this.#options.credentials?.gone(connection)
      if (this.#connections.delete(connection) && connection.id !== '') log.info({ proxy: connection.id }, 'proxy disconnected')
    }
    stream.on('data', (request: Request) => {
      if (this.#connections.has(connection)) this.#request(connection, request, () => state.request(request))
    })
    stream.on('error', gone)
    stream.on('cancelled', gone)
    stream.on('end', () => {
      gone()
      stream.end()
    })
  }

  /** A stream proves who is there no longer than the certificate does. */
  #endWithCertificate(connection: Connection): void {
    const left = connection.peer.notAfterMs - this.#options.now()
    connection.end = setTimeout(() => {
      if (left > longestTimerMs) return this.#endWithCertificate(connection)
      this.#options.log.info({ proxy: connection.id, identity: connection.peer.uri }, 'certificate of a proxy has ended, its stream too')
      this.#end(connection, { code: status.UNAUTHENTICATED, details: 'the certificate has ended' })
    }, Math.min(left, longestTimerMs))
    connection.end.unref()
  }

  #refuse(connection: Connection, refusal: Refusal, node = connection.id): void {
    this.#options.count('refused')
    this.#options.log.warn({ node: node.slice(0, longestNode), identity: connection.peer.uri, reason: refusal.details }, 'proxy refused')
    this.#end(connection, refusal)
  }

  #end(connection: Connection, refusal: Refusal): void {
    clearTimeout(connection.end)
    this.#connections.delete(connection)
    this.#options.credentials?.gone(connection)
    connection.fail(refusal)
  }

  /**
   * A new snapshot reaches every proxy; one whose configuration did not change hears nothing. Where only endpoints changed they go out at once;
   * what must be planned anew follows proxy by proxy, with room in between for what is more urgent. `fromMs`: when the change was noticed (performance.now).
   */
  publish(snapshot: Snapshot, fromMs = performance.now()): void {
    const before = this.#snapshot
    this.#snapshot = snapshot
    this.#round.begin(snapshot, fromMs)
    const { endpoints } = snapshot
    for (const connection of this.#connections) {
      // A pod that is no longer known keeps what it has: it is on its way out, and may still drain.
      const workload = connection.id === '' ? undefined : snapshot.workloadById.get(connection.id)
      if (workload === undefined) continue
      const refusal = bindingProblem(workload, connection.peer)
      if (refusal !== undefined) {
        this.#refuse(connection, refusal)
        continue
      }
      const { config } = connection
      const current = endpoints !== undefined && config !== undefined && config.snapshot === before && !this.#stale.has(connection)
      if (current) {
        connection.config = config.withEndpoints(snapshot, workload, endpoints.hosts)
        this.#round.told(connection.id, this.#push(connection, typeUrls.endpoint))
      }
      if (!current || !endpoints.complete) this.#stale.add(connection)
    }
    this.#work()
  }

  /** Plans anew whoever waits for it, a little at a time. */
  #work = (): void => {
    if (this.#working !== undefined) return
    const untilMs = performance.now() + workMs
    for (const connection of this.#stale) {
      this.#stale.delete(connection)
      const workload = this.#connections.has(connection) ? this.#snapshot?.workloadById.get(connection.id) : undefined
      if (workload !== undefined && this.#snapshot !== undefined && this.#configure(connection, this.#snapshot, workload)) this.#round.told(connection.id, pushOrder.flatMap((type) => this.#push(connection, type)))
      if (performance.now() < untilMs || this.#stale.size === 0) continue
      this.#working = setImmediate(() => {
        this.#working = undefined
        this.#work()
      })
      return
    }
    this.#round.end()
  }

  /** False where planning failed: that is our bug, it is logged, and the proxy keeps what it has. */
  #configure(connection: Connection, snapshot: Snapshot, workload: Workload): boolean {
    try {
      connection.config = proxyConfig(snapshot, workload)
      return true
    } catch (error) {
      this.#options.log.error({ proxy: workload.id, error: error instanceof Error ? error.stack : String(error) }, 'configuration could not be made, the last good one stays')
      return false
    }
  }

  /** Other roots hold, certificates shall be renewed, or a Secret that somebody names is another. */
  publishSecrets(): void {
    for (const connection of this.#connections) this.#push(connection, typeUrls.secret)
  }

  #secrets(connection: Connection, wanted: ReadonlySet<string> | undefined): ReadonlyMap<string, Resource> {
    const trust = this.#options.trust?.()
    const named = this.#options.credentials?.of(connection, connection.peer.id, wanted ?? [])
    return new Map([...(named ?? []), ...(trust === undefined ? [] : [[trust.name, trust] as const])])
  }

  /** Every proxy that is connected proved itself with a certificate from then or later. One that keeps its stream while it renews says so on another. */
  everyoneSince(ms: number): boolean {
    const newest = new Map<string, number>()
    for (const { id, peer } of this.#connections) if (id !== '') newest.set(id, Math.max(newest.get(id) ?? 0, issuedMs(peer.notBeforeMs, peer.notAfterMs)))
    return [...newest.values()].every((at) => at >= ms)
  }

  /** Ends every stream so that its proxy looks for another control plane; nobody is let in any more. */
  drain(): void {
    this.#draining = true
    for (const connection of this.#connections) this.#end(connection, { code: status.UNAVAILABLE, details: 'this control plane ends' })
  }

  /** A proxy whose pod is gone has nothing more to get: it counts as being at the newest snapshot. */
  status(): ProxyStatus[] {
    const newest = this.#snapshot?.number ?? 0
    const numberOf = (c: Connection): number => (this.#snapshot?.workloadById.has(c.id) === true ? (c.config?.snapshot.number ?? 0) : newest)
    // An agent that asks for roots alone, beside its proxy's own stream, is no proxy.
    const full = new Set([...this.#connections].filter((c) => !asksForRootsAlone(c)).map((c) => c.id))
    return [...this.#connections].filter((c) => c.id !== '' && (!full.has(c.id) || !asksForRootsAlone(c))).map((c) => ({ proxy: c.id, identity: c.peer.uri, snapshot: numberOf(c), settled: c.state.settled(), lastError: c.lastError, types: c.state.status() }))
  }

  #peerOf(stream: Pick<ServerDuplexStream<never, never>, 'getAuthContext'>): ReturnType<typeof verifyPeer> {
    const raw = stream.getAuthContext().sslPeerCertificate?.raw
    if (raw === undefined) return { refused: 'a certificate of the mesh is needed' }
    const certificate = new X509Certificate(raw)
    const revoked = this.#options.revoked?.(certificate)
    return revoked === undefined ? verifyPeer(certificate, { trustDomains: this.#options.trustDomains(), nowMs: this.#options.now() }) : { refused: `${revoked} was revoked` }
  }

  #request(connection: Connection, request: AnyRequest, take: () => Feedback): void {
    const { log, count } = this.#options
    if (connection.id === '') {
      const refusal = this.#identify(connection, request)
      if (refusal !== undefined) return this.#refuse(connection, refusal, request.node?.id ?? '')
    }
    const feedback = take()
    if (feedback?.kind === 'excess') {
      count('excess')
      return this.#refuse(connection, { code: status.RESOURCE_EXHAUSTED, details: `the proxy asks for more than can exist: ${feedback.error}` })
    }
    if (feedback?.kind === 'nack') {
      connection.lastError = (feedback.error ?? '').slice(0, longestError)
      count('nack')
      log.error({ proxy: connection.id, type: short(feedback.typeUrl), reason: connection.lastError, ...(connection.skew === undefined ? {} : { help: connection.skew }) }, 'proxy refused configuration, its last good one stays')
    } else if (feedback?.kind === 'ack') count('ack')
    const sent = [request.typeUrl, ...(request.typeUrl === typeUrls.cluster ? [typeUrls.endpoint] : [])].flatMap((type) => this.#push(connection, type))
    if (feedback !== undefined && sent.length > 0) log.info({ proxy: connection.id, sent: sent.slice(0, 8), more: Math.max(0, sent.length - 8) }, 'newer change pushed')
  }

  /** Binds the stream to a pod. A pod that is not known yet may come: UNAVAILABLE asks the agent to try again. */
  #identify(connection: Connection, request: AnyRequest): Refusal | undefined {
    const [kind, , id, domain] = (request.node?.id ?? '').split('~')
    if (kind !== 'sidecar' || id === undefined || domain === undefined) return { code: status.INVALID_ARGUMENT, details: 'the node id must be sidecar~ip~pod.namespace~domain' }
    const workload = this.#snapshot?.workloadById.get(id)
    if (this.#snapshot === undefined || workload === undefined) return { code: status.UNAVAILABLE, details: `the pod ${id} is not known` }
    const refusal = bindingProblem(workload, connection.peer)
    if (refusal !== undefined) return refusal
    if (!this.#configure(connection, this.#snapshot, workload)) return { code: status.INTERNAL, details: `the configuration of ${id} could not be made` }
    connection.id = id
    this.#endOldest(id)
    connection.skew = skew(request.node?.metadata)
    if (connection.skew !== undefined) this.#options.log.warn({ proxy: id, help: connection.skew }, 'a sidecar and the control plane are of different age')
    this.#options.log.info({ proxy: id, identity: connection.peer.uri }, 'proxy connected')
    return undefined
  }

  /** The newest streams of a pod stay: one that comes back may not wait for those that nobody has noticed to be dead. */
  #endOldest(id: string): void {
    const own = [...this.#connections].filter((c) => c.id === id)
    for (const oldest of own.slice(0, Math.max(0, own.length - mostStreams))) {
      this.#refuse(oldest, { code: status.RESOURCE_EXHAUSTED, details: `the pod ${id} has more than ${mostStreams} streams, the oldest ends` })
    }
  }

  /** What was sent, as text. Endpoints are made for the names asked for alone. */
  #push(connection: Connection, typeUrl: string): string[] {
    const { config, state, id } = connection
    const wanted = state.wanted(typeUrl)
    if (wanted === null || config === undefined) return []
    let sent: Pushed | undefined
    try {
      sent = connection.send(typeUrl, typeUrl === typeUrls.secret ? this.#secrets(connection, wanted) : config.of(typeUrl, wanted))
    } catch (error) {
      this.#options.log.error({ proxy: id, type: short(typeUrl), error: error instanceof Error ? error.stack : String(error) }, 'resources could not be made, the last good ones stay')
    }
    if (sent === undefined) return []
    this.#options.count('push')
    // Envoy keeps a changed cluster warming until it hears its endpoints again.
    if (typeUrl === typeUrls.cluster && state instanceof DeltaServerState) state.again(typeUrls.endpoint, sent.resources.map((r) => r.name))
    return [...sent.resources.map((r) => `${short(typeUrl)} ${r.name}`), ...(sent.removed ?? []).map((n) => `${short(typeUrl)} ${n} (removed)`)]
  }
}

/** Resources of a type that this proxy has; endpoints are asked for by the names of clusters. */
function existing(config: ProxyConfig | undefined, typeUrl: string): number {
  return config?.of(typeUrl === typeUrls.endpoint ? typeUrls.cluster : typeUrl, undefined).size ?? 0
}

/** The node id is a claim; the certificate is the proof. */
function bindingProblem(workload: Workload, peer: VerifiedPeer): Refusal | undefined {
  const { namespace, serviceAccount } = peer.id
  if (workload.namespace === namespace && workload.serviceAccount === serviceAccount) return undefined
  return { code: status.PERMISSION_DENIED, details: `the pod ${workload.id} does not run as ${peer.uri}` }
}

function asksForRootsAlone({ state }: Connection): boolean {
  const types = state.status()
  return types.length > 0 && types.every((t) => t.typeUrl === typeUrls.secret)
}

function short(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1)
}
