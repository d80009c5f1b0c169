// One request on an HTTP/2 connection to an upstream. Law: the sink hears exactly one end; what it no longer wants is reset, so that the server stops working for it.
import { constants, type ClientHttp2Stream } from 'node:http2'
import type { SocketAddress } from '#engine'
import type { Trailers } from '../downstream.ts'
import { Body } from '../http1/body.ts'
import type { TlsFacts } from '../transport.ts'
import type { Gone, ResponseSink, UpstreamStream } from '../upstream-stream.ts'
import { Dechunker } from './dechunk.ts'
import { listBytes, responseHead, takePairs, trailerObject } from './heads.ts'
import { maxResponseHeadBytes, maxResponseHeaders, streamWindow } from './limits.ts'
import { reset } from './reset.ts'
import type { Http2Upstream } from './upstream.ts'

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_REFUSED_STREAM } = constants
const nothing = Buffer.alloc(0)

export class Http2UpstreamStream implements UpstreamStream {
  readonly #connection: Http2Upstream
  readonly #body = new Body()
  #stream: ClientHttp2Stream | undefined
  #sink: ResponseSink | undefined
  #dechunker: Dechunker | undefined
  #requestTrailers: Trailers
  #trailers: Trailers
  #sent = false
  #bare = false
  #answered = false
  #length = -1
  /** What came on the connection could not be read. */
  #broken = false
  /** Of the connection's budget. */
  #headBytes = 0

  constructor(connection: Http2Upstream) {
    this.#connection = connection
  }

  get tls(): TlsFacts | undefined {
    return this.#connection.tls
  }

  get local(): SocketAddress {
    return this.#connection.local
  }

  /** Bytes of the response that have come and are not passed on: they wait for the downstream, or nobody wants them. */
  get waiting(): number {
    return this.#sink === undefined && !this.#body.done ? streamWindow : (this.#stream?.readableLength ?? 0)
  }

  get unused(): boolean {
    return this.#stream === undefined
  }

  begin(sink: ResponseSink): void {
    this.#sink = sink
  }

  sendHead(body: readonly Buffer[], source: Body): void {
    const bare = source.mode === 'none' || (source.mode === 'length' && source.done && body.length === 0)
    // Trailers even where none can come: without them node ends a stream that is reset by END_STREAM, and half a request would look whole.
    const stream = this.#connection.session.request(takePairs(false), { endStream: bare, waitForTrailers: !bare })
    this.#stream = stream
    this.#sent = this.#bare = bare
    stream.on('error', (error: NodeJS.ErrnoException) => (this.#broken = error.code === 'ERR_HTTP2_ERROR'))
    stream.once('close', () => this.#guarded(() => this.#closed()))
    stream.on('headers', (_headers, _flags, raw?: readonly string[]) => this.#guarded(() => this.#interim(raw ?? [])))
    stream.once('response', (_headers, flags, raw) => this.#guarded(() => this.#response(raw, (flags & NGHTTP2_FLAG_END_STREAM) !== 0)))
    stream.once('trailers', (_headers, _flags, raw?: readonly string[]) => this.#guarded(() => this.#takeTrailers(raw ?? [])))
    if (bare) return
    stream.on('drain', () => this.#guarded(() => this.#sink?.onUpstreamDrain()))
    stream.once('wantTrailers', () => this.#guarded(() => stream.closed || stream.sendTrailers(trailerObject(this.#requestTrailers))))
    if (source.mode === 'chunked') this.#dechunker = new Dechunker(stream)
    for (const part of body) this.send(part)
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#connection.onBug(error)
      if (this.#stream !== undefined) reset(this.#stream, NGHTTP2_INTERNAL_ERROR, !this.#bare)
    }
  }

  send(part: Buffer): boolean {
    const stream = this.#stream
    if (stream === undefined || stream.closed || this.#sent) return true
    this.#connection.budget.sent(part.length)
    if (this.#dechunker !== undefined) return this.#dechunker.write(part, 0, part.length)
    return part.length === 0 || stream.write(part)
  }

  finish(trailers: Trailers): void {
    if (this.#sent) return
    this.#sent = true
    this.#requestTrailers = this.#dechunker?.trailers ?? trailers
    this.#stream?.end()
  }

  #interim(raw: readonly string[]): void {
    const head = this.#answered ? undefined : responseHead(raw, false)
    if (head === undefined || head.status === 101) this.#malformed()
    else this.#sink?.onInterim(head)
  }

  #response(raw: readonly string[], ended: boolean): void {
    const sink = this.#sink
    const stream = this.#stream as ClientHttp2Stream
    if (sink === undefined) return
    const { budget } = this.#connection
    const headBytes = listBytes(raw)
    budget.stream(headBytes)
    if (this.#exceeds(raw, headBytes)) return
    if (!budget.holdHead(headBytes)) return this.#malformed()
    this.#headBytes = headBytes
    const head = responseHead(raw, ended)
    if (head === undefined || head.status < 200) return this.#malformed()
    this.#answered = true
    this.#length = head.contentLength
    if (ended) this.#body.none()
    else this.#body.stream()
    sink.onHead(head, this.#body, nothing, 0, 0)
    if (this.#sink === undefined) return
    if (ended) return this.#done()
    stream.on('data', (chunk: Buffer) => this.#guarded(() => this.#bytes(chunk)))
    stream.on('end', () => this.#guarded(() => this.#ended()))
  }

  #bytes(chunk: Buffer): void {
    this.#connection.budget.read(chunk.length)
    this.#body.take(chunk, 0, chunk.length)
    this.#sink?.onBody(chunk, 0, chunk.length)
  }

  #ended(): void {
    const stream = this.#stream as ClientHttp2Stream
    // A reset reads as an end too.
    if (stream.rstCode !== NGHTTP2_NO_ERROR) return
    if (this.#length >= 0 && this.#body.bytes !== this.#length) return this.#malformed()
    this.#body.done = true
    this.#done()
  }

  #takeTrailers(raw: readonly string[]): void {
    if (!this.#exceeds(raw, listBytes(raw))) this.#trailers = raw
  }

  /** True: a list of fields is larger than it may be. The stream is reset; it counts as reset by the peer, as in Envoy. */
  #exceeds(raw: readonly string[], bytes: number): boolean {
    if (bytes <= maxResponseHeadBytes && raw.length <= 2 * maxResponseHeaders) return false
    const sink = this.#sink
    this.#sink = undefined
    const what = bytes > maxResponseHeadBytes ? `${bytes} bytes of response headers, the limit is ${maxResponseHeadBytes}` : `${raw.length / 2} response headers, the limit is ${maxResponseHeaders}`
    if (this.#stream !== undefined) reset(this.#stream, NGHTTP2_INTERNAL_ERROR, !this.#bare)
    sink?.onUpstreamGone({ unprocessed: false, why: 'reset', error: new Error(what) })
    return true
  }

  #done(): void {
    const sink = this.#sink
    this.#sink = undefined
    sink?.onResponseDone(this.#trailers)
  }

  #malformed(): void {
    const sink = this.#sink
    this.#sink = undefined
    if (this.#stream !== undefined) reset(this.#stream, NGHTTP2_PROTOCOL_ERROR, !this.#bare)
    sink?.onUpstreamGone({ unprocessed: false, why: 'protocol-error', error: undefined })
  }

  #closed(): void {
    const { budget } = this.#connection
    budget.dropHead(this.#headBytes)
    this.#headBytes = 0
    if (!this.#body.done) budget.unread(streamWindow)
    this.#connection.closed(this, performance.now())
    const sink = this.#sink
    this.#sink = undefined
    const why = this.#why()
    sink?.onUpstreamGone({ unprocessed: !this.#answered && (why === 'refused' || (why === 'closed' && this.#connection.unprocessed)), why, error: this.#connection.error })
  }

  #why(): Gone['why'] {
    const code = this.#stream?.rstCode
    if (code === NGHTTP2_REFUSED_STREAM || (this.#stream?.id ?? 0) > this.#connection.lastServed) return 'refused'
    if (this.#broken) return 'protocol-error'
    if (this.#connection.lost) return 'closed'
    return code === NGHTTP2_PROTOCOL_ERROR ? 'protocol-error' : 'reset'
  }

  pause(): void {
    this.#stream?.pause()
  }

  resume(): void {
    this.#stream?.resume()
  }

  detach(): void {
    this.#sink = undefined
  }

  abort(): void {
    this.#sink = undefined
    const stream = this.#stream
    if (stream === undefined) return this.#connection.closed(this, performance.now())
    reset(stream, NGHTTP2_CANCEL, !this.#bare)
  }

  /** The peer will say nothing more: what has come whole is still read, anything else is given up. */
  lost(): void {
    if (this.#stream?.closed === false) this.#guarded(() => this.#closed())
  }

  tunnel(): undefined {
    return undefined
  }
}
