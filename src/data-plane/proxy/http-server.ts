// One HTTP/1.1 connection from a downstream: requests one after the other, each an Exchange. Law: malformed or ambiguous bytes get 400 and the end
// of the connection, never a way through; pipelined requests wait: for the answer before theirs, and for a caller that does not read answers.
import type { HttpConnection } from '#engine'
import { tcpStates } from '#netlink'
import type { ConnectionFactsSeen, Core, Live } from './core.ts'
import type { Downstream, Trailers } from './downstream.ts'
import { Exchange } from './exchange.ts'
import { failures, headFailure, type Failure } from './failures.ts'
import { Gather } from './gather.ts'
import { Body } from './http1/body.ts'
import { Head } from './http1/head.ts'
import { chunk, lastChunk, maxJoinedBytes, writeChunk } from './http1/chunked.ts'
import * as out from './http1/writer.ts'
import { refusedRequest, sayLimit } from './refused.ts'
import { interimHead, ownResponse, writeResponseHead, type OwnAnswer, type ResponseShape } from './response-head.ts'
import type { Transport, TransportEvents } from './transport.ts'

const maxHeldBytes = 256 * 1024
const lingerMs = 1000

/** Takes over a connection whose first bytes were HTTP/2's. */
export type ToHttp2 = (bytes: Buffer) => void

export class HttpServerConnection implements TransportEvents, Live, Downstream {
  readonly protocol = 'HTTP/1.1'
  readonly trailers = undefined
  readonly core: Core
  readonly facts: ConnectionFactsSeen
  readonly http: HttpConnection
  readonly transport: Transport
  readonly head = new Head()
  readonly body = new Body()
  touched = true
  readonly #held = new Gather()
  /** When the first byte of a head came that is not whole yet; 0 = none. */
  #headMs = 0
  #exchange: Exchange | undefined
  #lastMs: number
  #ended = false
  #closing = false
  #working = false
  #leaving = false
  #first = true
  #rechunk = false
  readonly #toHttp2: ToHttp2 | undefined

  /** `toHttp2`: absent where HTTP/1.1 alone is spoken. */
  constructor(core: Core, facts: ConnectionFactsSeen, http: HttpConnection, transport: Transport, toHttp2?: ToHttp2) {
    this.#toHttp2 = toHttp2
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
      this.#held.append(chunk)
      if (this.#held.length > maxHeldBytes) this.transport.pause()
      return
    }
    this.#held.append(chunk)
    this.#work()
  }

  /** Reads requests from what is held, until one waits for bytes or an answer. */
  #work(): void {
    if (this.#working) return
    this.#working = true
    while (this.#held.bytes !== undefined && this.#exchange === undefined && !this.#closing) {
      if (this.transport.congested) {
        this.transport.pause()
        break
      }
      const buf: Buffer = this.#held.bytes
      const at = this.head.read(buf, 0, false, this.http.maxHeaderBytes, this.http.maxHeaders, this.#held.seen)
      if (at === 0) {
        this.#held.seen = buf.length
        if (this.#headMs === 0) this.#headMs = performance.now()
        break
      }
      this.#held.clear()
      this.#headMs = 0
      if (at < 0) {
        if (this.#first && this.#toHttp2 !== undefined && buf.toString('latin1', 0, 18) === 'PRI * HTTP/2.0\r\n\r\n') this.#switch(this.#toHttp2, buf)
        else {
          if (this.head.error === 'too-large') sayLimit(this, { limitBytes: this.http.maxHeaderBytes })
          else if (this.head.error === 'too-many-headers') sayLimit(this, { limitFields: this.http.maxHeaders })
          this.#refuse(headFailure(this.head.error))
        }
        break
      }
      this.#first = false
      if (this.head.minor === 0) {
        this.#refuse(failures.http10)
        break
      }
      this.#begin(buf, at)
    }
    this.#working = false
  }

  #switch(toHttp2: ToHttp2, buf: Buffer): void {
    this.#closing = true
    this.core.live.delete(this)
    toHttp2(buf)
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
    if (stop < buf.length) this.#held.keep(stop === 0 ? buf : buf.subarray(stop))
    exchange.start(buf, at, stop)
  }

  #bodyBytes(exchange: Exchange, buf: Buffer, from: number): void {
    const stop = this.body.take(buf, from, buf.length)
    if (this.body.broken) {
      exchange.badRequest()
      return
    }
    if (stop < buf.length) this.#held.keep(buf.subarray(stop))
    exchange.requestBytes(buf, from, stop)
  }

  pause(): void {
    this.transport.pause()
  }

  resume(): void {
    this.transport.resume()
  }

  interim(head: Head): void {
    this.transport.write(interimHead(head))
  }

  respond(shape: ResponseShape, body: Body, buf: Buffer, from: number, to: number): boolean {
    const { chunked } = shape.head
    this.#rechunk = !shape.tunnel && (body.mode === 'close' || (body.mode === 'stream' && chunked))
    writeResponseHead(shape, (chunked && body.mode !== 'none') || this.#rechunk, !shape.tunnel && (this.leaving || this.head.close || !this.body.done))
    if (!this.#rechunk && to - from <= maxJoinedBytes) return this.transport.write(out.take(buf, from, to))
    if (to > from && to - from <= maxJoinedBytes) return this.transport.write(chunk(buf, from, to))
    const ok = this.transport.write(out.take())
    return to > from ? this.#bytes(buf, from, to) : ok
  }

  respondBytes(buf: Buffer, from: number, to: number): boolean {
    this.touched = true
    return this.#bytes(buf, from, to)
  }

  #bytes(buf: Buffer, from: number, to: number): boolean {
    if (this.#rechunk) return writeChunk(this.transport, buf, from, to)
    return this.transport.write(from === 0 && to === buf.length ? buf : buf.subarray(from, to))
  }

  respondEnd(trailers: Trailers): void {
    // Trailers are for those who have said that they read them (RFC 9110 section 6.5.1).
    if (this.#rechunk) this.transport.write(lastChunk(/trailers/i.test(this.head.get('te') ?? '') ? trailers : undefined))
  }

  answer(answer: OwnAnswer): void {
    this.transport.write(ownResponse(this.http, answer, !this.body.done || this.head.close || this.leaving))
  }

  tunnel(): ReturnType<Downstream['tunnel']> {
    const early = this.#held.bytes
    this.#held.clear()
    return { transport: this.transport, early, closed: () => this.onClose() }
  }

  exchangeDone(close: boolean): void {
    this.#exchange = undefined
    this.touched = true
    if (close || this.#ended || this.leaving) return this.finish()
    this.transport.resume()
    if (this.#held.bytes !== undefined) queueMicrotask(() => this.#work())
  }

  get leaving(): boolean {
    return this.#leaving || this.core.draining || this.facts.oneShot
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

  #refuse(failure: Failure): void {
    refusedRequest(this, failure)
    this.transport.write(ownResponse(this.http, { status: failure.status, body: failure.body, headOnly: false, headers: [] }, true))
    this.finish()
  }

  onEnd(): void {
    this.#ended = true
    const exchange = this.#exchange
    if (exchange === undefined) {
      this.#closing = true
      this.transport.end()
      this.transport.destroy()
    } else exchange.downstreamGone()
  }

  onDrain(): void {
    this.touched = true
    if (this.#exchange !== undefined) return this.#exchange.downstreamDrain()
    this.transport.resume()
    this.#work()
  }

  onClose(): void {
    this.core.live.delete(this)
    this.#closing = true
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.downstreamGone()
  }

  /** A peer that closes while nothing is read from it goes unheard; the kernel knows. */
  #goneUnheard(): boolean {
    if (this.#exchange?.spliced !== undefined || !this.transport.paused) return false
    const state = this.transport.kernel()?.state
    return state === tcpStates.closed || state === tcpStates.closeWait
  }

  sweep(nowMs: number): void {
    if (this.#goneUnheard()) return this.destroy()
    const headLimitMs = this.http.requestHeadersTimeoutMs ?? this.core.headTimeoutMs
    if (this.#headMs > 0 && headLimitMs > 0 && nowMs - this.#headMs > headLimitMs && !this.#closing) return this.#refuse(failures.headTimeout)
    if (this.touched) {
      this.touched = false
      this.#lastMs = nowMs
      return
    }
    const idle = nowMs - this.#lastMs
    const exchange = this.#exchange
    if (exchange !== undefined) exchange.idleFor(idle)
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
