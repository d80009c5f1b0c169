// What an application or a sidecar puts on a connection first, and what a listener's inspectors make of it.
import { inspectsFor, type ConnectionFacts, type RuntimeListener, type SocketAddress } from '#engine'

export interface FirstBytes {
  /** Who speaks TLS here; absent: nobody. */
  readonly tls?: { readonly serverName: string; readonly alpn: readonly string[] }
  /** `http/1.1`, `h2c`; absent: no HTTP, or nobody can say. */
  readonly http?: string
}

/** What the chains are matched by: only what the listener looks at on this port. */
export function connectionFacts(listener: RuntimeListener, original: SocketAddress, source: string, bytes: FirstBytes): ConnectionFacts {
  const looks = inspectsFor(listener, original.port)
  const seen = looks.tls && bytes.tls !== undefined
    ? { transportProtocol: 'tls' as const, serverName: bytes.tls.serverName, applicationProtocols: bytes.tls.alpn }
    : { transportProtocol: 'raw_buffer' as const, serverName: '', applicationProtocols: looks.http && bytes.tls === undefined && bytes.http !== undefined ? [bytes.http] : [] }
  return { destinationAddress: original.address, destinationPort: original.port, sourceAddress: source, sourcePort: 40_000, ...seen }
}
