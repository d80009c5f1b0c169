// One HTTP/1.1 connection to an upstream: a request at a time, its response read and framed. Law: what comes while nobody asked ends the connection.
import { Body } from './http1/body.ts'
import { Head } from './http1/head.ts'
import { H } from './http1/names.ts'
import type { Transport, TransportEvents } from './transport.ts'

/** Whoever waits for a response. */
export interface ResponseSink {
  /** 1xx but 101. */
  onInterim(head: Head): void
  /** `buf[from,to)`: as much of the body as came along. */
  onHead(head: Head, body: Body, buf: Buffer, from: number, to: number): void
  onBody(buf: Buffer, from: number, to: number): void
  onResponseDone(): void
  onUpstreamDrain(): void
  /** `clean`: no byte of a response had come. */
  onUpstreamGone(clean: boolean, protocolError: boolean, error: Error | undefined): void
}

const maxResponseHeadBytes = 256 * 1024

export class HttpUpstream implements TransportEvents {
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
  #held: Buffer | undefined
  #inBody = false
  #anyByte = false
  #method = ''
  #tunnel = false
  #upgradeAsked = false
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

  /** A request is about to be written; `sink` gets its response. */
  begin(sink: ResponseSink, method: string, upgradeAsked: boolean): void {
    this.#sink = sink
    this.#method = method
    this.#upgradeAsked = upgradeAsked
    this.#inBody = this.#anyByte = false
    this.#held = undefined
    this.requests++
  }

  /** The sink leaves; what happens later is nobody's. */
  detach(): void {
    this.#sink = undefined
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
      if (this.#held !== undefined) buf = Buffer.concat([this.#held, chunk])
      this.#held = undefined
      for (;;) {
        const end = this.#head.read(buf, from, true, maxResponseHeadBytes, 200)
        if (end < 0) return this.#fail()
        if (end === 0) {
          this.#held = from === 0 ? buf : buf.subarray(from)
          return
        }
        from = end
        const { status } = this.#head
        if (status >= 200 || (status === 101 && this.#upgradeAsked)) break
        if (status === 101) return this.#fail()
        this.#sink.onInterim(this.#head)
        if (this.#sink === undefined) return
        if (from === buf.length) return
      }
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
    this.reusable &&= head.minor === 1 ? !head.close : head.keepAlive
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

  get tunnel(): boolean {
    return this.#tunnel
  }

  #finish(): void {
    const sink = this.#sink
    this.#sink = undefined
    this.#inBody = false
    sink?.onResponseDone()
  }

  #fail(): void {
    const sink = this.#sink
    this.#sink = undefined
    this.reusable = false
    this.transport.destroy()
    sink?.onUpstreamGone(false, true, undefined)
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
    else this.#gone(undefined)
  }

  onDrain(): void {
    this.#sink?.onUpstreamDrain()
  }

  onClose(error: NodeJS.ErrnoException | undefined): void {
    this.reusable = false
    this.#gone(error)
    this.#onClosed(this)
  }

  #gone(error: Error | undefined): void {
    const sink = this.#sink
    this.#sink = undefined
    if (!this.transport.closed) this.transport.destroy()
    sink?.onUpstreamGone(!this.#anyByte, false, error)
  }
}
