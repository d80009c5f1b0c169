// What a peer may ask of one HTTP/2 connection, in one table. Law: Envoy's defaults, or narrower where memory would follow the peer's wishes; everything else is nghttp2's own.
import type { Settings } from 'node:http2'

/** Of `max_concurrent_streams`, since Envoy 1.35; Istio sets none. */
export const maxConcurrentStreams = 1024
/** Octets of a stream that nobody has read yet: this is what one slow reader can hold in memory here. */
export const streamWindow = 256 * 1024
/** Of all streams on the wire at a time. */
export const connectionWindow = 4 * 1024 * 1024
/** The head of a request grows on its way (identity, metadata); nghttp2's 64 KB would end the connection. */
const maxSentHeadBytes = 256 * 1024

/** nghttp2's own: a larger block of HEADERS and CONTINUATION ends its connection. */
export const maxEncodedHeadBytes = 64 * 1024

/** For both sides. `nghttp2`: CONTINUATION, PING and SETTINGS floods end the session (8 frames, 1000 unsent acknowledgements). */
const shared = {
  maxSendHeaderBlockLength: maxSentHeadBytes,
  /** MB: of heads and of what waits to be written. */
  maxSessionMemory: 64,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  /** Several values of one field are the application's business; what would reframe a message is refused by the head's reader. */
  strictSingleValueFields: false,
}

const settings = (maxHeaderListSize: number): Settings => ({ enablePush: false, initialWindowSize: streamWindow, maxHeaderListSize })

/** Rapid reset (CVE-2023-44487): a burst of this many, then so many a second; then the connection is over. */
const resets = { streamResetBurst: 500, streamResetRate: 100 }

export function serverOptions(maxHeadBytes: number, maxHeaders: number, streams: number) {
  return { ...shared, ...resets, maxHeaderListPairs: knownAbove * maxHeaders, settings: { ...settings(maxHeadBytes), maxConcurrentStreams: streams } }
}

/** Lists that are too long by less than this factor are read, so that the log can name them; longer ones nghttp2's session resets unseen. */
const knownAbove = 4
/** Of a response's head or trailers, pseudo-headers included: Envoy's defaults. */
export const maxResponseHeaders = 100
export const maxResponseHeadBytes = 60 * 1024

export function clientOptions() {
  return { ...shared, maxReservedRemoteStreams: 0, maxHeaderListPairs: knownAbove * maxResponseHeaders, settings: settings(knownAbove * maxResponseHeadBytes) }
}
