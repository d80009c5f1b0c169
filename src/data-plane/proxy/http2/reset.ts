// How a stream is reset, so that neither the peer nor node misreads it. Law: nobody else in this room calls close() or destroy() of a stream.
// close() of node 26 ends the writable side first: a peer would see END_STREAM, and half a message would look whole. And while a write of the
// connection is under way it puts RST_STREAM off: a stream that is destroyed meanwhile, and still has trailers to be asked for, ends the process
// (CHECK in Http2Stream::OnTrailers). So: outside of nghttp2's own turn, without the end, and not between the last byte and the trailers.
import type { Http2Stream } from 'node:http2'

/** `trails`: it was opened with `waitForTrailers`, and hasn't been asked for them yet. What still comes is thrown away. */
export function reset(stream: Http2Stream, code: number, trails: boolean): void {
  const act = (): void => {
    if (stream.destroyed) return
    // Node lets go of a stream that its peer has closed when all of it is read: of one that nobody reads, never.
    stream.resume()
    if (stream.closed) return
    if (!stream.writableFinished) stream._final = neverEnds
    stream.close(code)
  }
  if (trails && stream.writableFinished && stream.sentTrailers === undefined) stream.once('wantTrailers', () => setImmediate(act))
  else setImmediate(act)
}

function neverEnds(): void {}
