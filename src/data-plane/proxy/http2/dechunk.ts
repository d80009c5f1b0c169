// Chunk framing, taken off: a body that came over HTTP/1.1 on its way to an HTTP/2 peer. Law: its framing has been checked before; payload is passed on as it lies, never copied.
import type { Trailers } from '../downstream.ts'
import { Body } from '../http1/body.ts'

export class Dechunker {
  readonly #body = new Body()

  constructor(onPayload: (payload: Buffer) => void) {
    this.#body.chunked()
    this.#body.onPayload = (buf, from, to) => onPayload(buf.subarray(from, to))
  }

  take(buf: Buffer, from: number, to: number): void {
    this.#body.take(buf, from, to)
  }

  get trailers(): Trailers {
    return this.#body.trailers
  }
}
