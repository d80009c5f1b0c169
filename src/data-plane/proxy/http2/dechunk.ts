// Chunk framing, taken off: a body that came over HTTP/1.1 on its way to an HTTP/2 peer. Law: its framing has been checked before; payload is passed on as it lies, never copied.
import type { Http2Stream } from 'node:http2'
import type { Trailers } from '../downstream.ts'
import { Body } from '../http1/body.ts'

export class Dechunker {
  readonly #body = new Body()
  readonly #stream: Http2Stream

  /** What carries the payload on. */
  constructor(stream: Http2Stream) {
    this.#stream = stream
    this.#body.chunked()
    this.#body.onPayload = (buf, from, to) => void stream.write(buf.subarray(from, to))
  }

  /** False: wait for the stream's drain. */
  write(buf: Buffer, from: number, to: number): boolean {
    this.#body.take(buf, from, to)
    return !this.#stream.writableNeedDrain
  }

  get trailers(): Trailers {
    return this.#body.trailers
  }
}
