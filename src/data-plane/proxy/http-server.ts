// One HTTP/1.1 connection from a downstream: requests one after the other, each an Exchange. Law: malformed or ambiguous bytes get 400 and the end
// of the connection, never a way through; pipelined requests wait.
import type { HttpConnection } from '#engine'
import type { ConnectionFactsSeen, Core, Live } from './core.ts'
import { Exchange } from './exchange.ts'
import { failures, headFailure, type Failure } from './failures.ts'
import { Body } from './http1/body.ts'
import { Head } from './http1/head.ts'
import { refusedRequest } from './refused.ts'
import { ownResponse } from './response-head.ts'
import type { Transport, TransportEvents } from './transport.ts'

/** To a client that begins with HTTP/2: SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED and the reason (RFC 9113 sections 6.8 and 7). */
const http2Refusal = goAway(failures.http2.body)

const maxHeldBytes = 256 * 1024
const lingerMs = 1000

export class HttpServerConnection implements TransportEvents, Live {
  readonly core: Core
  readonly facts: ConnectionFactsSeen
  readonly http: HttpConnection
  readonly transport: Transport
  readonly head = new Head()
  readonly body = new Body()
  /** Marked by every read and write; the sweeper turns it into a time. */
  touched = true
  #held: Buffer | undefined
  #exchange: Exchange | undefined
  #lastMs: number
  #ended = false
  #closing = false
  #working = false
  #leaving = false

  constructor(core: Core, facts: ConnectionFactsSeen, http: HttpConnection, transport: Transport) {
    this.core = core
    this.facts = facts
    this.http = http
    this.transport = transport
    this.#lastMs = performance.now()
    core.live.add(this)
    transport.events = this
    transport.resume()
  }

  onData(chunk: Buffer): void {
    this.touched = true
    if (this.#closing) return
    const exchange = this.#exchange
    if (exchange !== undefined) {
      if (!this.body.done) return this.#bodyBytes(exchange, chunk, 0)
      // The next request, before the answer to this one.
      this.#held = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
      if (this.#held.length > maxHeldBytes) this.transport.pause()
      return
    }
    this.#held = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    this.#work()
  }

  /** Reads requests from what is held, until one waits for bytes or an answer. */
  #work(): void {
    if (this.#working) return
    this.#working = true
    while (this.#held !== undefined && this.#exchange === undefined && !this.#closing) {
      const buf: Buffer = this.#held
      const at = this.head.read(buf, 0, false, this.http.maxHeaderBytes, this.http.maxHeaders)
      if (at === 0) break
      this.#held = undefined
      if (at < 0) {
        if (buf.length >= 14 && buf.toString('latin1', 0, 14) === 'PRI * HTTP/2.0') this.#refuse(failures.http2, http2Refusal)
        else this.#refuse(headFailure(this.head.error))
        break
      }
      if (this.head.minor === 0) {
        this.#refuse(failures.http10)
        break
      }
      this.#begin(buf, at)
    }
    this.#working = false
  }

  #begin(buf: Buffer, at: number): void {
    const { head, body } = this
    if (head.method === 'CONNECT') body.none()
    else if (head.chunked) body.chunked()
    else if (head.contentLength >= 0) body.length(head.contentLength)
    else body.none()
    const stop = body.take(buf, at, buf.length)
    if (body.broken) return this.#refuse(headFailure('bad-framing'))
    const exchange = new Exchange(this)
    this.#exchange = exchange
    if (stop < buf.length) this.#held = stop === 0 ? buf : buf.subarray(stop)
    exchange.start(buf, at, stop)
  }

  #bodyBytes(exchange: Exchange, buf: Buffer, from: number): void {
    const stop = this.body.take(buf, from, buf.length)
    if (this.body.broken) {
      exchange.badRequest()
      return
    }
    if (stop < buf.length) this.#held = buf.subarray(stop)
    exchange.requestBytes(buf, from, stop)
  }

  /** The exchange has said its last byte. `close`: nothing more can follow on this connection. */
  exchangeDone(close: boolean): void {
    this.#exchange = undefined
    this.touched = true
    if (close || this.#ended || this.leaving) return this.finish()
    this.transport.resume()
    if (this.#held !== undefined) queueMicrotask(() => this.#work())
  }

  /** No request follows the one under way. */
  get leaving(): boolean {
    return this.#leaving || this.core.draining || this.facts.oneShot
  }

  /** Bytes that came behind the head of a request that turned into a tunnel. */
  takeHeld(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    return held
  }

  /** Sends what is queued, then closes; a peer that keeps sending is cut off after a second. */
  finish(): void {
    if (this.#closing) return
    this.#closing = true
    this.transport.end()
    this.transport.resume()
    if (this.#ended) this.transport.destroy()
    else setTimeout(() => this.transport.destroy(), lingerMs).unref()
  }

  #refuse(failure: Failure, bytes?: Buffer): void {
    refusedRequest(this, failure)
    this.transport.write(bytes ?? ownResponse(this.http, { status: failure.status, body: failure.body, close: true, headOnly: false, headers: [] }))
    this.finish()
  }

  onEnd(): void {
    this.#ended = true
    const exchange = this.#exchange
    if (exchange === undefined) {
      this.#closing = true
      this.transport.end()
      this.transport.destroy()
    } else if (!this.body.done) exchange.downstreamGone()
  }

  onDrain(): void {
    this.touched = true
    this.#exchange?.downstreamDrain()
  }

  onClose(): void {
    this.core.live.delete(this)
    this.#closing = true
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.downstreamGone()
  }

  sweep(nowMs: number): void {
    if (this.touched) {
      this.touched = false
      this.#lastMs = nowMs
      return
    }
    const idle = nowMs - this.#lastMs
    const exchange = this.#exchange
    if (exchange !== undefined) exchange.idleFor(idle)
    else if (this.#held !== undefined && this.http.requestHeadersTimeoutMs > 0 && idle > this.http.requestHeadersTimeoutMs) this.#refuse(failures.requestTimeout)
    else if (this.http.idleTimeoutMs > 0 && idle > this.http.idleTimeoutMs) this.finish()
  }

  drain(): void {
    this.#leaving = true
    if (this.#exchange === undefined) this.finish()
  }

  chainGone(): void {
    this.drain()
  }

  destroy(): void {
    this.transport.destroy()
  }
}

function goAway(reason: string): Buffer {
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
  const text = Buffer.from(reason, 'latin1')
  const head = Buffer.alloc(17)
  head.writeUIntBE(8 + text.length, 0, 3)
  head[3] = 7
  head.writeUInt32BE(13, 13)
  return Buffer.concat([settings, head, text])
}
