// What every connection shares: the running configuration, upstreams, counters, logs. Law: handed in at start, never global.
import type { RuntimeChain, RuntimeConfig, RuntimeListener, SocketAddress } from '#engine'
import type { Logger } from '#lib/log.ts'
import type { AccessLogs } from './access-log.ts'
import type { Handshakes } from './handshakes.ts'
import type { SidecarBudget } from './http2/budget.ts'
import type { Metrics } from './metrics.ts'
import type { ProxyIdentity } from './options.ts'
import type { PeerMetadata } from './peer-metadata.ts'
import type { TlsFacts } from './transport.ts'
import type { Upstreams } from './upstreams.ts'

/** A connection that the sweeper looks after. */
export interface Live {
  readonly facts: ConnectionFactsSeen
  sweep(nowMs: number): void
  /** Ends it as soon as what is under way is done. */
  drain(): void
  /** The chain that let it in stands no more: what is under way may end, nothing new begins. */
  chainGone(): void
  /** HTTP/2: its chain is gone, and the peer may not know yet; a request that it sends now is still served by the old chain. */
  readonly takesByGoneChain?: boolean
  destroy(): void
}

export interface Core {
  readonly identity: ProxyIdentity
  readonly log: Logger
  readonly upstreams: Upstreams
  readonly metrics: Metrics
  readonly accessLogs: AccessLogs
  readonly handshakes: Handshakes
  readonly live: Set<Live>
  /** What all HTTP/2 connections together may ask for. */
  readonly http2: SidecarBudget
  /** Our own `x-envoy-peer-metadata` and `-id`. */
  readonly ownMetadata: { readonly value: string; readonly id: string }
  /** Our own mistake, caught: logged and counted. */
  readonly onBug: (error: unknown) => void
  /** From the first byte of a head, a ClientHello or an HTTP/2 preface to its last; 0 = no limit. */
  readonly headTimeoutMs: number
  config: RuntimeConfig
  draining: boolean
}

/** One accepted connection, after its chain has been chosen and TLS ended. */
export interface ConnectionFactsSeen {
  readonly id: number
  readonly listener: RuntimeListener
  readonly chain: RuntimeChain
  readonly inbound: boolean
  /** Where the client meant to go. */
  readonly original: SocketAddress
  readonly remote: SocketAddress
  readonly tls: TlsFacts | undefined
  /** SNI; '' = none. */
  readonly serverName: string
  /** The `By`, `Hash` … element of this peer; '' where no certificate was shown. */
  readonly clientCert: string
  /** SPIFFE id that we presented; '' = none. */
  readonly localPrincipal: string
  readonly openedMs: number
  /** Epoch. */
  readonly openedAt: number
  /** What the peer's sidecar said of itself, last. */
  peerMetadata: PeerMetadata | undefined
  peerMetadataRaw: Buffer | undefined
  /** An explicit-mode proxy request: one for each connection. */
  readonly oneShot: boolean
}
