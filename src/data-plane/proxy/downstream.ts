// What an exchange sees of its client: one request and the way back, over HTTP/1.1 (a whole connection) or HTTP/2 (one stream of many).
// Law: everything that differs between the two is behind this page; `false` from a write means: wait for downstreamDrain.
import type { HttpConnection } from '#engine'
import type { ConnectionFactsSeen, Core } from './core.ts'
import type { Body } from './http1/body.ts'
import type { Head } from './http1/head.ts'
import type { OwnAnswer, ResponseShape } from './response-head.ts'
import type { Transport } from './transport.ts'

/** Names in lower case and values in turn; undefined = none. */
export type Trailers = readonly string[] | undefined

export interface Downstream {
  readonly core: Core
  readonly facts: ConnectionFactsSeen
  readonly http: HttpConnection
  readonly protocol: 'HTTP/1.1' | 'HTTP/2'
  /** HTTP/2's is written as HTTP/1.1's and read by the same strict reader. */
  readonly head: Head
  readonly body: Body
  /** What stood behind a request's body that came in frames. */
  readonly trailers: Trailers
  /** Marked by every read and write; the sweeper turns it into a time. */
  touched: boolean
  /** No request follows the one under way. */
  readonly leaving: boolean
  /** The request's body: stop reading it, go on. */
  pause(): void
  resume(): void
  /** A 1xx. */
  interim(head: Head): void
  /** The head of the answer, and as much of its body as came along. */
  respond(shape: ResponseShape, body: Body, buf: Buffer, from: number, to: number): boolean
  respondBytes(buf: Buffer, from: number, to: number): boolean
  respondEnd(trailers: Trailers): void
  /** An answer of the proxy's own, whole. */
  answer(answer: OwnAnswer): void
  /** The exchange has said its last byte. `close`: nothing more can follow. */
  exchangeDone(close: boolean): void
  /** The client must see that the answer is not whole. */
  destroy(): void
  /** From here on raw bytes: what carries them, and those that came early; undefined where that can't be. */
  tunnel(): { readonly transport: Transport; readonly early: Buffer | undefined; readonly closed: () => void } | undefined
}
