// One HTTP/2 connection from a downstream: streams side by side, each an Exchange of its own. Law: what a peer may ask for stands in limits.ts; whatever it does ends its stream or its connection, never the proxy.
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { formatAddress, type HttpConnection } from '#engine'
import type { ConnectionFactsSeen, Core, Live } from '../core.ts'
import { ConnectionBudget } from './budget.ts'
import { failures } from '../failures.ts'
import { refusedRequest } from '../refused.ts'
import { connectionWindow, maxEncodedHeadBytes, serverOptions } from './limits.ts'
import { reset } from './reset.ts'
import { Http2ServerStream } from './server-stream.ts'
import { ignoreUnaskedPings, protocolError } from './unasked-ping.ts'

/** How long streams outlive the chain that let them in: Istio's drain time. */
const drainMs = 45_000
/** A peer that never answers the PING behind our notice. */
const noticeMs = 1000
/** A GOAWAY that only announces: streams that are on their way are still served. */
const anyStream = 2 ** 31 - 1

export class Http2ServerConnection implements Live {
  readonly core: Core
  readonly facts: ConnectionFactsSeen
  readonly http: HttpConnection
  leaving = false
  #chainIsGone = false
  readonly budget: ConnectionBudget
  readonly #session: ServerHttp2Session
  readonly #socket: Socket
  readonly #streams = new Set<Http2ServerStream>()
  #greeted = false
  /** When the first byte of the preface had come; 0 = none has. */
  #prefaceMs = 0
  #lastMs = performance.now()

  constructor(core: Core, facts: ConnectionFactsSeen, http: HttpConnection, socket: Socket) {
    this.core = core
    this.facts = facts
    this.http = http
    core.live.add(this)
    this.#socket = socket
    this.#session = performServerHandshake(socket, serverOptions(http.maxHeaderBytes, http.maxHeaders, http.maxStreams))
    // Our sockets stay half open by themselves; who has said the last byte of HTTP/2 reads no answers either.
    socket.once('end', () => socket.destroy())
    this.#session.setLocalWindowSize(connectionWindow)
    this.#session.on('stream', (stream, _headers, flags, raw) => this.#begin(stream, flags, raw))
    this.budget = new ConnectionBudget(this.#session, socket, core.http2, (what) => this.#flooded(what))
    this.#session.once('remoteSettings', () => (this.#greeted = true))
    ignoreUnaskedPings(this.#session, socket, () => this.budget.unaskedPing())
    this.#session.on('error', (error) => this.#broken(error))
    this.#session.on('close', () => core.live.delete(this))
    if (core.draining) this.drain()
  }

  #begin(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    stream.on('error', () => {})
    try {
      const one = new Http2ServerStream(this, stream)
      this.#streams.add(one)
      stream.once('close', () => this.#end(one))
      one.start(raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0)
    } catch (error) {
      this.core.onBug(error)
      reset(stream, constants.NGHTTP2_INTERNAL_ERROR, false)
    }
  }

  /** Its streams end with it. */
  get lost(): boolean {
    return this.#socket.destroyed || this.#session.destroyed
  }

  #end(stream: Http2ServerStream): void {
    this.#streams.delete(stream)
    this.#lastMs = performance.now()
    stream.closed()
  }

  #broken(error: NodeJS.ErrnoException): void {
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return
    const { core, facts, http } = this
    const peer = formatAddress(facts.remote)
    if (error.errno === protocolError) {
      refusedRequest({ core, facts, http, protocol: 'HTTP/2' }, failures.http2Codec)
      core.log.warn({ peer, limitBytes: maxEncodedHeadBytes }, 'http/2 connection broken: a frame breaks the protocol, or a head is larger than the limit')
    } else {
      this.#countError('http2.codec_error')
      core.log.debug({ error: error.message, peer }, 'http/2 connection broken')
    }
  }

  /** How long the preface has been coming: the client's magic and its SETTINGS. */
  #prefaceFor(nowMs: number): number {
    if (this.#greeted || this.#socket.bytesRead === 0) return 0
    if (this.#prefaceMs === 0) this.#prefaceMs = nowMs
    return nowMs - this.#prefaceMs
  }

  #tooSlow(): void {
    this.#countError('http2.slow_head')
    this.core.log.warn({ peer: formatAddress(this.facts.remote), limitMs: this.core.headTimeoutMs }, 'http/2 connection ended: its preface or a frame took too long')
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    this.#socket.destroySoon()
  }

  #flooded(what: string): void {
    this.#countError('http2.flood')
    this.core.log.warn({ peer: formatAddress(this.facts.remote), what }, 'http/2 connection ended: its peer sent too many frames that carry no message')
  }

  #countError(details: string): void {
    this.core.metrics.count('kith_downstream_protocol_errors_total', `direction="${this.facts.inbound ? 'inbound' : 'outbound'}",details="${details}"`)
  }

  sweep(nowMs: number): void {
    let waiting = 0
    for (const stream of this.#streams) {
      stream.sweep(nowMs)
      waiting += stream.waiting
    }
    if (this.budget.due(nowMs)) this.budget.sweep(nowMs, waiting)
    const { headTimeoutMs } = this.core
    if (headTimeoutMs > 0 && (this.#prefaceFor(nowMs) > headTimeoutMs || this.budget.slowMs > headTimeoutMs)) return this.#tooSlow()
    if (this.#streams.size === 0 && this.http.idleTimeoutMs > 0 && nowMs - this.#lastMs > this.http.idleTimeoutMs) this.drain()
  }

  /** Announces, waits until the peer has heard it, then takes no more: no stream is refused that the peer opened in good faith. */
  drain(): void {
    if (this.leaving) return
    this.leaving = true
    const session = this.#session
    if (session.closed || session.destroyed) return
    const last = (): void => {
      clearTimeout(timer)
      if (!session.destroyed) session.close()
    }
    const timer = setTimeout(last, noticeMs)
    session.goaway(constants.NGHTTP2_NO_ERROR, anyStream)
    session.ping(last)
  }

  chainGone(): void {
    this.#chainIsGone = true
    this.drain()
    setTimeout(() => this.destroy(), drainMs).unref()
  }

  get takesByGoneChain(): boolean {
    return this.#chainIsGone && !this.#session.closed && !this.#session.destroyed
  }

  destroy(): void {
    this.#session.destroy()
  }
}
