// What a request sees of its upstream: one request and its response, over HTTP/1.1 (a connection taken for itself) or HTTP/2 (one stream of many).
// Law: who takes one gives it back by `release` or ends it by `abort`; `false` from a write means: wait for onUpstreamDrain.
import type { SocketAddress } from '#engine'
import type { Trailers } from './downstream.ts'
import type { Body } from './http1/body.ts'
import type { Head } from './http1/head.ts'
import type { TlsFacts, Transport } from './transport.ts'

/** How a response failed to come. */
export interface Gone {
  /** The peer has certainly not processed the request: it may be sent again, whatever its method. */
  readonly unprocessed: boolean
  readonly why: 'closed' | 'protocol-error' | 'reset' | 'refused'
  readonly error: Error | undefined
}

/** Whoever waits for a response. */
export interface ResponseSink {
  /** 1xx but 101. */
  onInterim(head: Head): void
  /** `buf[from,to)`: as much of the body as came along. */
  onHead(head: Head, body: Body, buf: Buffer, from: number, to: number): void
  onBody(buf: Buffer, from: number, to: number): void
  onResponseDone(trailers: Trailers): void
  onUpstreamDrain(): void
  onUpstreamGone(gone: Gone): void
}

export interface UpstreamStream {
  readonly tls: TlsFacts | undefined
  readonly local: SocketAddress
  /** A request is about to be written; `sink` gets its response. */
  begin(sink: ResponseSink, method: string, upgradeAsked: boolean): void
  /** The head that the writer holds (HTTP/1.1's, whatever goes on the wire) and what is here of the body, which `source` frames. */
  sendHead(body: readonly Buffer[], source: Body, unknownLength: boolean): void
  send(part: Buffer): boolean
  /** The body is whole. */
  finish(trailers: Trailers): void
  pause(): void
  resume(): void
  /** The sink leaves; what happens later is nobody's. */
  detach(): void
  /** Ends what is under way; nothing else may use it. */
  abort(): void
  /** After 101 or CONNECT: the bytes themselves, and whom to tell when they end. */
  tunnel(): { readonly transport: Transport; readonly closed: () => void } | undefined
}
