// One mutual TLS handshake as a sidecar remembers it, and as whoever asks for it reads it. Law: names, times and ciphers; never a key.

export interface Handshake {
  /** RFC 3339. */
  readonly time: string
  /** `inbound`: the peer called. */
  readonly side: 'inbound' | 'outbound'
  /** Of the peer that was called, as the mesh names it; of a caller, its address alone. */
  readonly address: string
  /** SNI as the caller sent it: a sidecar names the destination by it, `outbound_.8000_._.httpbin.bar.svc.cluster.local`. */
  readonly serverName: string
  readonly tlsVersion: string
  readonly cipher: string
  /** SPIFFE ids. */
  readonly own: string
  readonly peer: string
  /** RFC 3339: when each certificate ends. */
  readonly ownCertificateEnds: string
  readonly peerCertificateEnds: string
}
