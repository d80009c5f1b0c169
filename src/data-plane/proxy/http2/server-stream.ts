// One request on an HTTP/2 connection from a downstream. Law: read only as fast as its upstream takes it; ended by END_STREAM, trailers or a reset, so that the peer can tell a whole answer from a broken one.
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { HttpConnection } from '#engine'
import type { ConnectionFactsSeen, Core } from '../core.ts'
import type { Downstream, Trailers } from '../downstream.ts'
import { Exchange } from '../exchange.ts'
import { failures, headFailure, type Failure } from '../failures.ts'
import { Body } from '../http1/body.ts'
import { Head, type HeadError } from '../http1/head.ts'
import { refusedRequest, sayLimit } from '../refused.ts'
import { writeOwnHead, writeResponseHead, type OwnAnswer, type ResponseShape } from '../response-head.ts'
import { Dechunker } from './dechunk.ts'
import { interimFields, listBytes, requestHead, takePairs, trailerObject } from './heads.ts'
import { streamWindow } from './limits.ts'
import { reset } from './reset.ts'
import type { Http2ServerConnection } from './server.ts'

const nothing = Buffer.alloc(0)

export class Http2ServerStream implements Downstream {
  readonly protocol = 'HTTP/2'
  readonly core: Core
  readonly facts: ConnectionFactsSeen
  readonly http: HttpConnection
  head = new Head(0)
  readonly body = new Body()
  trailers: Trailers
  touched = true
  readonly #connection: Http2ServerConnection
  readonly #stream: ServerHttp2Stream
  #exchange: Exchange | undefined
  #dechunker: Dechunker | undefined
  #responseTrailers: Trailers
  #awaitsTrailers = false
  /** The answer is whole. */
  #whole = false
  #lastMs = performance.now()
  /** Of the connection's budget. */
  #headBytes = 0
  /** The rest of the request's body is thrown away. */
  #cut = false

  constructor(connection: Http2ServerConnection, stream: ServerHttp2Stream) {
    this.#connection = connection
    this.#stream = stream
    this.core = connection.core
    this.facts = connection.facts
    this.http = connection.http
  }

  start(raw: readonly string[], ended: boolean): void {
    const stream = this.#stream
    const { budget } = this.#connection
    const headBytes = listBytes(raw)
    budget.stream(headBytes)
    if (this.#exceeds(raw, headBytes)) return
    if (!budget.holdHead(headBytes)) return this.#refuse(failures.tooManyHeads)
    this.#headBytes = headBytes
    const head = requestHead(raw, ended, Infinity, Infinity)
    if (!(head instanceof Head)) return this.#refuse(headFailure(head satisfies HeadError))
    this.head = head
    if (ended) this.body.none()
    else this.body.stream()
    const exchange = (this.#exchange = new Exchange(this))
    stream.on('drain', () => this.#guarded(() => this.#drained()))
    if (!ended) stream.on('trailers', (_headers, _flags, rawTrailers?: readonly string[]) => this.#guarded(() => this.#trailers(rawTrailers ?? [])))
    exchange.start(nothing, 0, 0)
    if (ended) return
    stream.on('data', (chunk: Buffer) => this.#guarded(() => this.#bytes(chunk)))
    stream.on('end', () => this.#guarded(() => this.#ended()))
  }

  /** True: a list of fields is larger than it may be. The stream is reset, as Envoy does. */
  #exceeds(raw: readonly string[], bytes: number): boolean {
    const { maxHeaderBytes, maxHeaders } = this.http
    if (bytes <= maxHeaderBytes && raw.length <= 2 * maxHeaders) return false
    const failure = bytes > maxHeaderBytes ? failures.listTooLarge : failures.listTooLong
    const limit = bytes > maxHeaderBytes ? { bytes, limitBytes: maxHeaderBytes } : { fields: raw.length / 2, limitFields: maxHeaders }
    sayLimit(this, limit)
    if (this.#exchange === undefined) refusedRequest(this, failure)
    else this.#exchange.breakOff(failure.flag, failure.details)
    reset(this.#stream, constants.NGHTTP2_INTERNAL_ERROR, this.#awaitsTrailers)
    return true
  }

  #trailers(raw: readonly string[]): void {
    if (!this.#exceeds(raw, listBytes(raw))) this.trailers = raw
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.core.onBug(error)
      reset(this.#stream, constants.NGHTTP2_INTERNAL_ERROR, this.#awaitsTrailers)
    }
  }

  #bytes(chunk: Buffer): void {
    this.touched = true
    this.#connection.budget.read(chunk.length)
    this.body.take(chunk, 0, chunk.length)
    this.#exchange?.requestBytes(chunk, 0, chunk.length)
  }

  #ended(): void {
    const stream = this.#stream
    // A reset reads as an end too: only END_STREAM makes a request whole.
    if (this.body.done || stream.aborted || stream.destroyed || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return
    this.body.done = true
    this.#exchange?.requestBytes(nothing, 0, 0)
  }

  #drained(): void {
    this.touched = true
    this.#exchange?.downstreamDrain()
  }

  #refuse(failure: Failure): void {
    refusedRequest(this, failure)
    this.answer({ status: failure.status, body: failure.body, headOnly: false, headers: failure.headers ?? [] })
    this.#close()
  }

  get leaving(): boolean {
    return this.#connection.leaving || this.core.draining
  }

  pause(): void {
    if (!this.body.done) this.#stream.pause()
  }

  resume(): void {
    if (!this.body.done) this.#stream.resume()
  }

  interim(head: Head): void {
    if (this.#stream.closed || head.status === 101) return
    this.#stream.additionalHeaders({ ':status': head.status, ...trailerObject(interimFields(head)) })
  }

  respond(shape: ResponseShape, body: Body, buf: Buffer, from: number, to: number): boolean {
    const stream = this.#stream
    if (stream.closed) return true
    writeResponseHead(shape, false, false)
    if (body.mode === 'chunked') this.#dechunker = new Dechunker(stream)
    const bare = body.mode === 'none' || (body.done && body.mode !== 'chunked' && to === from)
    // Even where none can come: without it node ends a stream that is reset by END_STREAM, and half an answer would look whole.
    this.#awaitsTrailers = !bare
    this.#whole = bare
    if (this.#awaitsTrailers) stream.once('wantTrailers', () => this.#guarded(() => this.#sendTrailers()))
    stream.respond(takePairs(true), { endStream: bare, waitForTrailers: this.#awaitsTrailers })
    return to === from ? true : this.respondBytes(buf, from, to)
  }

  respondBytes(buf: Buffer, from: number, to: number): boolean {
    const stream = this.#stream
    this.touched = true
    if (stream.closed || this.#whole || to === from) return true
    this.#connection.budget.sent(to - from)
    if (this.#dechunker !== undefined) return this.#dechunker.write(buf, from, to)
    return stream.write(from === 0 && to === buf.length ? buf : buf.subarray(from, to))
  }

  respondEnd(trailers: Trailers): void {
    if (this.#whole) return
    this.#whole = true
    this.#responseTrailers = this.#dechunker?.trailers ?? trailers
    this.#stream.end()
  }

  #sendTrailers(): void {
    if (this.#stream.closed) return
    this.#stream.sendTrailers(trailerObject(this.#responseTrailers))
    if (!this.body.done) this.#close()
  }

  answer(answer: OwnAnswer): void {
    const stream = this.#stream
    if (stream.closed) return
    const body = writeOwnHead(this.http, answer, false, true)
    const bare = answer.headOnly || body.length === 0
    this.#whole = true
    stream.respond(takePairs(true), { endStream: bare })
    if (!bare) stream.end(body)
  }

  exchangeDone(): void {
    this.#exchange = undefined
    if (this.body.done) return
    if (this.#stream.closed) this.#stream.resume()
    else if (this.#whole && !this.#awaitsTrailers) this.#close()
  }

  /** After a whole answer: what is left of the request need not be sent (RFC 9113 section 8.1). */
  #close(): void {
    this.#cut = true
    const stream = this.#stream
    // Node submits trailers one turn later, and writes one more turn later: a reset would overtake the end of the answer, and drop it.
    const later = (): void => void setImmediate(() => reset(stream, constants.NGHTTP2_NO_ERROR, this.#awaitsTrailers))
    if (stream.writableFinished) later()
    else stream.once('finish', later)
  }

  destroy(): void {
    this.#cut = true
    reset(this.#stream, constants.NGHTTP2_INTERNAL_ERROR, this.#awaitsTrailers)
  }

  /** Extended CONNECT (RFC 8441) isn't offered, as by Istio's sidecars. */
  tunnel(): undefined {
    return undefined
  }

  /** Nothing comes or goes any more. */
  closed(): void {
    const { budget } = this.#connection
    budget.dropHead(this.#headBytes)
    if (!this.body.done || this.#cut) budget.unread(streamWindow)
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.downstreamGone(this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR && !this.#connection.lost)
  }

  /** Bytes of the request's body that have come and are not passed on: they wait for the upstream, or nobody wants them. */
  get waiting(): number {
    return this.#cut ? streamWindow : this.#stream.readableLength
  }

  sweep(nowMs: number): void {
    if (this.touched) {
      this.touched = false
      this.#lastMs = nowMs
    } else this.#exchange?.idleFor(nowMs - this.#lastMs)
  }
}
