// One HTTP/1.1 connection to an upstream: a request at a time, its response read and framed. Law: bytes that come while no request is open end
// the connection; it serves another request only if nothing of the last one is left on it, in either direction.
import type { SocketAddress } from '#engine'
import { tcpStates } from '#netlink'
import type { Trailers } from './downstream.ts'
import { Gather } from './gather.ts'
import { Body } from './http1/body.ts'
import { lastChunk, maxJoinedBytes, writeChunk } from './http1/chunked.ts'
import { Head } from './http1/head.ts'
import { H } from './http1/names.ts'
import * as out from './http1/writer.ts'
import type { TlsFacts, Transport, TransportEvents } from './transport.ts'
import type { ResponseSink, UpstreamStream } from './upstream-stream.ts'


const maxResponseHeadBytes = 256 * 1024
/** How long a peer that has closed may take to say whether it took the request: a round trip, mostly. */
const verdictMs = { every: 2, most: 200 }

export class HttpUpstream implements TransportEvents, UpstreamStream {
  readonly transport: Transport
  /** Requests that this connection has carried. */
  requests = 0
  idleSinceMs = 0
  /** When the peer says it will close an idle connection; 0 = it doesn't say. */
  peerIdleMs = 0
  readonly openedMs: number
  reusable = true
  #sink: ResponseSink | undefined
  readonly #head = new Head()
  readonly #body = new Body()
  readonly #held = new Gather()
  #inBody = false
  #anyByte = false
  #method = ''
  #tunnel = false
  #upgradeAsked = false
  #chunks = false
  #paused = false
  #hasBody = false
  #peerEnded = false
  /** Octets that the peer's kernel had acknowledged before the request; -1 = not known. */
  #acknowledged = -1
  readonly #onClosed: (connection: HttpUpstream) => void

  constructor(transport: Transport, openedMs: number, onClosed: (connection: HttpUpstream) => void) {
    this.transport = transport
    this.openedMs = openedMs
    this.#onClosed = onClosed
    transport.events = this
    transport.resume()
  }

  get closed(): boolean {
    return this.transport.closed
  }

  get tls(): TlsFacts | undefined {
    return this.transport.tls
  }

  get local(): SocketAddress {
    return this.transport.local
  }

  /** Asks the kernel about a connection that has idled: false where the peer has closed it meanwhile. */
  probe(): boolean {
    const known = this.transport.kernel()
    if (known === undefined) return true
    this.#acknowledged = known.acknowledged
    return known.state === tcpStates.established
  }

  begin(sink: ResponseSink, method: string, upgradeAsked: boolean): void {
    if (this.requests === 0) this.probe()
    this.#sink = sink
    this.#method = method
    this.#upgradeAsked = upgradeAsked
    this.#inBody = this.#anyByte = false
    this.#held.clear()
    this.requests++
  }

  /** In one write where it is small. */
  sendHead(body: readonly Buffer[], source: Body, unknownLength: boolean): void {
    this.#chunks = unknownLength && source.mode === 'stream'
    this.#hasBody = source.mode !== 'none'
    const first = body[0]
    if (!this.#chunks && body.length === 1 && first !== undefined && first.length <= maxJoinedBytes) {
      this.transport.write(out.take(first, 0, first.length))
      return
    }
    this.transport.write(out.take())
    for (const part of body) this.send(part)
  }

  send(part: Buffer): boolean {
    // Its reset would hide what became of the bytes before.
    if (this.#peerEnded) return true
    return this.#chunks ? writeChunk(this.transport, part, 0, part.length) : this.transport.write(part)
  }

  /** A request's trailers end here, as in Envoy: HTTP/1.1 servers seldom read them. */
  finish(_trailers: Trailers): void {
    if (this.#chunks && !this.#peerEnded) this.transport.write(lastChunk(undefined))
    this.#chunks = false
  }

  pause(): void {
    this.#paused = true
    this.transport.pause()
  }

  resume(): void {
    this.#paused = false
    this.transport.resume()
  }

  detach(): void {
    this.#sink = undefined
  }

  abort(): void {
    this.#sink = undefined
    this.reusable = false
    // An end would queue behind a body that the peer may not be reading; a reset does not.
    if (this.#hasBody) this.transport.reset()
    else this.transport.destroy()
  }

  tunnel(): ReturnType<UpstreamStream['tunnel']> {
    return this.#tunnel ? { transport: this.transport, closed: () => this.onClose(undefined) } : undefined
  }

  onData(chunk: Buffer): void {
    if (this.#sink === undefined) {
      this.reusable = false
      this.transport.destroy()
      return
    }
    this.#anyByte = true
    let buf = chunk
    let from = 0
    if (!this.#inBody) {
      buf = this.#held.append(chunk)
      let { seen } = this.#held
      for (;;) {
        const end = this.#head.read(buf, from, true, maxResponseHeadBytes, 200, seen)
        seen = 0
        if (end < 0) return this.#fail()
        if (end === 0) {
          if (from > 0) this.#held.keep(buf.subarray(from))
          this.#held.seen = this.#held.length
          return
        }
        from = end
        const { status } = this.#head
        if ((status < 200 || status === 204) && !this.#head.announcesNone) return this.#fail()
        if (status >= 200 || (status === 101 && this.#upgradeAsked)) break
        if (status === 101) return this.#fail()
        this.#sink.onInterim(this.#head)
        if (this.#sink === undefined) return
        if (from === buf.length) return this.#held.clear()
      }
      this.#held.clear()
      this.#inBody = true
      this.#frame()
      const stop = this.#body.take(buf, from, buf.length)
      if (this.#body.broken) return this.#fail()
      this.#sink.onHead(this.#head, this.#body, buf, from, stop)
      return this.#after(buf, stop)
    }
    const stop = this.#body.take(buf, from, buf.length)
    if (this.#body.broken) return this.#fail()
    this.#sink.onBody(buf, from, stop)
    this.#after(buf, stop)
  }

  #after(buf: Buffer, stop: number): void {
    if (!this.#body.done || this.#sink === undefined) return
    // More than the answer: whatever it is, it belongs to nobody.
    if (stop < buf.length) this.reusable = false
    this.#finish()
  }

  /** How long the response is; the tunnel after 101 or CONNECT has no end of its own. */
  #frame(): void {
    const head = this.#head
    const { status } = head
    this.reusable &&= !head.close && (head.minor === 1 || head.keepAlive)
    if (status === 101 || (this.#method === 'CONNECT' && status < 300)) {
      this.#tunnel = true
      this.reusable = false
      this.#body.untilClose()
    } else if (this.#method === 'HEAD' || status === 204 || status === 304) this.#body.none()
    else if (head.chunked) this.#body.chunked()
    else if (head.contentLength >= 0) this.#body.length(head.contentLength)
    else {
      this.reusable = false
      this.#body.untilClose()
    }
    const keepAlive = head.byId(H.keepAlive)
    if (keepAlive >= 0) {
      const seconds = /timeout=(\d+)/.exec(head.valueAt(keepAlive))
      if (seconds !== null) this.peerIdleMs = Number(seconds[1]) * 1000
    }
  }

  #finish(): void {
    const sink = this.#sink
    this.#sink = undefined
    this.#inBody = false
    this.#acknowledged = -1
    // A request that the peer has not taken whole, or bytes behind the response, would get in the way of the next one.
    this.reusable &&= this.transport.settled && !this.#chunks
    // The caller of this response may have been slow; the next one must be read all the same.
    if (this.#paused) this.resume()
    sink?.onResponseDone(undefined)
  }

  #fail(): void {
    const sink = this.#sink
    this.#sink = undefined
    this.reusable = false
    this.transport.destroy()
    sink?.onUpstreamGone({ unprocessed: false, why: 'protocol-error', error: undefined })
  }

  onEnd(): void {
    this.reusable = false
    if (this.#inBody && this.#body.mode === 'close' && this.#sink !== undefined) {
      this.#body.done = true
      this.transport.end()
      this.#finish()
      return
    }
    if (this.#sink === undefined) this.transport.destroy()
    else if (this.#anyByte || this.#acknowledged < 0) this.#gone(undefined, false)
    else {
      this.#peerEnded = true
      this.#awaitVerdict(this.#sink, performance.now() + verdictMs.most)
    }
  }

  /**
   * The peer has closed and had acknowledged nothing of the request by then. Its kernel answers what comes later by a reset if it closed
   * for good: then no application has read it. If it acknowledges, the peer has closed one direction alone, and may have read it.
   */
  #awaitVerdict(sink: ResponseSink, endMs: number): void {
    if (this.#sink !== sink) return
    const known = this.transport.kernel()
    const none = known?.acknowledged === this.#acknowledged
    if (none && known?.state === tcpStates.closed) this.#gone(undefined, true)
    else if (none && performance.now() < endMs) setTimeout(() => this.#awaitVerdict(sink, endMs), verdictMs.every)
    else this.#gone(undefined, false)
  }

  onDrain(): void {
    this.#sink?.onUpstreamDrain()
  }

  onClose(error: NodeJS.ErrnoException | undefined): void {
    this.reusable = false
    this.#gone(error, false)
    this.#onClosed(this)
  }

  /** A response that has begun and does not end is malformed, as in Envoy, however the connection ended. */
  #gone(error: Error | undefined, unprocessed: boolean): void {
    const sink = this.#sink
    this.#sink = undefined
    if (!this.transport.closed) this.transport.destroy()
    sink?.onUpstreamGone({ unprocessed, why: this.#anyByte ? 'protocol-error' : 'closed', error })
  }
}
