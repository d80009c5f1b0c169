// One HTTP/2 connection to an upstream, shared by as many requests as both ends allow. Law: a connection that the peer has said goodbye to, or that is old enough, gets no new stream; those under way go on.
import { connect, type ClientHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { plainAddress, type RuntimeCluster, type SocketAddress } from '#engine'
import { tcpInfo, tcpStates } from '#netlink'
import type { TlsFacts } from '../transport.ts'
import type { Logger } from '#lib/log.ts'
import { ConnectionBudget, type SidecarBudget } from './budget.ts'
import { clientOptions, connectionWindow, maxConcurrentStreams } from './limits.ts'
import { ignoreUnaskedPings } from './unasked-ping.ts'
import { Http2UpstreamStream } from './upstream-stream.ts'

export interface Http2UpstreamOptions {
  readonly facts: TlsFacts | undefined
  readonly config: RuntimeCluster
  readonly openedMs: number
  readonly onClosed: (connection: Http2Upstream) => void
  readonly onBug: (error: unknown) => void
  readonly budget: SidecarBudget
  readonly log: Logger
  /** `address:port`, for the log. */
  readonly endpoint: string
}

export class Http2Upstream {
  readonly tls: TlsFacts | undefined
  readonly local: SocketAddress
  readonly openedMs: number
  readonly onBug: (error: unknown) => void
  requests = 0
  idleSinceMs: number
  /** A stream has ended: there may be room for another. */
  onRoom: () => void = () => {}
  error: Error | undefined
  /** GOAWAY's last stream: the peer has not looked at, and will not look at, any above. */
  lastServed = Infinity
  /** The peer closed and its kernel had acknowledged nothing of the requests that were under way. */
  unprocessed = false
  readonly session: ClientHttp2Session
  readonly budget: ConnectionBudget
  readonly #socket: Socket
  readonly #config: RuntimeCluster
  #peerStreams = maxConcurrentStreams
  readonly #streams = new Set<Http2UpstreamStream>()
  #going = false
  #ended = false
  #pingedMs: number
  #pingWaits = false
  /** Octets that the peer's kernel had acknowledged when the connection was last found idle; -1 = not known. */
  #acknowledged = -1

  /** Over a connected socket, after its handshake. */
  constructor(socket: Socket, { facts, config, openedMs, onClosed, onBug, budget, log, endpoint }: Http2UpstreamOptions) {
    this.tls = facts
    this.local = { address: plainAddress(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
    this.openedMs = this.idleSinceMs = this.#pingedMs = openedMs
    this.onBug = onBug
    this.#socket = socket
    this.#config = config
    this.session = connect('http://upstream', { ...clientOptions(), createConnection: () => socket })
    this.session.setLocalWindowSize(connectionWindow)
    // Our sockets stay half open by themselves: an HTTP/2 peer that has said its last byte answers nothing any more.
    socket.once('end', () => this.#peerEnded())
    this.session.on('remoteSettings', (settings) => (this.#peerStreams = settings.maxConcurrentStreams ?? maxConcurrentStreams))
    this.budget = new ConnectionBudget(this.session, socket, budget, (what) => {
      this.#going = true
      log.warn({ endpoint, cluster: config.name, what }, 'http/2 connection ended: its peer sent too many frames that carry no message')
    })
    ignoreUnaskedPings(this.session, socket, () => this.budget.unaskedPing())
    this.session.on('goaway', (_code, last) => {
      this.#going = true
      this.lastServed = Math.min(this.lastServed, last)
    })
    this.session.on('error', (error) => (this.error ??= error))
    this.session.on('close', () => {
      this.#going = true
      onClosed(this)
    })
  }

  /** What had come whole is still read; the rest is lost. */
  #peerEnded(): void {
    this.#ended = this.#going = true
    const known = this.#acknowledged < 0 ? undefined : tcpInfo(this.#socket)
    this.unprocessed = known?.state === tcpStates.closed && known.acknowledged === this.#acknowledged
    for (const stream of this.#streams) stream.lost()
    if (this.active === 0) this.#socket.destroy()
  }

  /** The transport is gone, with whatever was on it. */
  get lost(): boolean {
    return this.#ended || this.#socket.destroyed || this.session.destroyed
  }

  /** No new streams. */
  get going(): boolean {
    return this.#going || this.session.closed || this.session.destroyed
  }

  get room(): boolean {
    return !this.going && this.active < Math.min(this.#peerStreams, this.#config.http2?.maxConcurrentStreams ?? maxConcurrentStreams)
  }

  /**
   * Asks the kernel about a connection without streams, however short it has idled: false where the peer has closed it
   * meanwhile. Under load a connection has streams, so the system call is rare.
   */
  probe(): boolean {
    if (this.active > 0) return true
    const known = tcpInfo(this.#socket)
    if (known === undefined) return true
    this.#acknowledged = known.acknowledged
    if (known.state === tcpStates.established) return true
    this.#going = true
    this.#socket.destroy()
    return false
  }

  open(): Http2UpstreamStream {
    this.requests++
    const { maxRequestsPerConnection: most } = this.#config
    if (most > 0 && this.requests >= most) this.#going = true
    const stream = new Http2UpstreamStream(this)
    this.#streams.add(stream)
    return stream
  }

  /** Requests under way. */
  get active(): number {
    return this.#streams.size
  }

  /** One of its streams has closed, or was never used; said again it counts nothing. */
  closed(stream: Http2UpstreamStream, nowMs: number): void {
    if (!this.#streams.delete(stream)) return
    this.idleSinceMs = nowMs
    if (this.#ended && this.active === 0) this.#socket.destroy()
    else if (this.#going && this.active === 0) this.session.close()
    this.onRoom()
  }

  /** Too old, or idle too long. */
  sweep(nowMs: number): void {
    if (this.budget.due(nowMs)) {
      let waiting = 0
      for (const stream of this.#streams) waiting += stream.waiting
      this.budget.sweep(nowMs, waiting)
    }
    const { idleTimeoutMs, maxConnectionMs } = this.#config
    if (maxConnectionMs > 0 && nowMs - this.openedMs >= maxConnectionMs) this.retire()
    else if (this.active === 0 && idleTimeoutMs > 0 && nowMs - this.idleSinceMs >= idleTimeoutMs) this.retire()
    else this.#ping(nowMs)
  }

  /** connection_keepalive: a peer that doesn't answer within its time is gone. */
  #ping(nowMs: number): void {
    const keepalive = this.#config.http2?.keepalive
    if (keepalive === undefined || keepalive.intervalMs === 0 || this.going) return
    if (this.#pingWaits) {
      if (nowMs - this.#pingedMs >= keepalive.timeoutMs) this.destroy()
      return
    }
    if (nowMs - this.#pingedMs < keepalive.intervalMs) return
    this.#pingedMs = nowMs
    this.#pingWaits = true
    this.session.ping(() => (this.#pingWaits = false))
  }

  retire(): void {
    this.#going = true
    if (this.active === 0) this.session.close()
  }

  destroy(): void {
    this.session.destroy()
    this.#socket.destroy()
  }
}
