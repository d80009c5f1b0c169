// How a stream is reset: never from inside the frames that are being read. Law: nobody else in this room calls close() or destroy() of a stream.
// Node runs our callbacks while nghttp2 still walks the receive buffer; a stream that is reset there, is destroyed before its RST_STREAM has been
// handed over, and ends the process when nghttp2 then asks it for trailers (CHECK in Http2Stream::OnTrailers, Node 26).
import type { Http2Stream } from 'node:http2'

/** RST_STREAM, one turn later; what still comes is thrown away. */
export function reset(stream: Http2Stream, code: number): void {
  setImmediate(() => {
    if (stream.closed) return
    stream.resume()
    stream.close(code)
  })
}
