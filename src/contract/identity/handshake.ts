// One mutual TLS handshake as a sidecar remembers it, and as whoever asks for it reads it. Law: names, times and ciphers; never a key.

export interface Handshake {
  /** RFC 3339. */
  readonly time: string
  /** `inbound`: the peer called. */
  readonly side: 'inbound' | 'outbound'
  /** Of the peer that was called, as the mesh names it; of a caller, its address alone. */
  readonly address: string
  readonly tlsVersion: string
  readonly cipher: string
  /** SPIFFE ids. */
  readonly own: string
  readonly peer: string
  /** RFC 3339: when each certificate ends. */
  readonly ownCertificateEnds: string
  readonly peerCertificateEnds: string
}
