// The last mutual TLS handshake with each peer, on either side: who both ends proved to be, in what TLS. Law: names, times and ciphers; never a key, a token or a byte of a request.
import type { Handshake } from '#identity'
import type { TlsFacts } from './transport.ts'

export interface OwnEnd {
  readonly principal: string
  readonly notAfterMs: number
}

const mostPeers = 512

export class Handshakes {
  readonly #last = new Map<string, Handshake>()

  /** Where no peer has been verified nothing is kept. */
  record(side: Handshake['side'], address: string, serverName: string, { version, cipher, peer }: TlsFacts, own: OwnEnd | undefined, nowMs: number): void {
    if (peer === undefined || peer.principal === '' || own === undefined || own.principal === '') return
    const key = `${side}|${address}|${serverName}|${peer.principal}`
    // Anew, so that the oldest stands first.
    this.#last.delete(key)
    this.#last.set(key, { time: iso(nowMs), side, address, serverName, tlsVersion: version, cipher, own: own.principal, peer: peer.principal, ownCertificateEnds: iso(own.notAfterMs), peerCertificateEnds: iso(peer.notAfterMs) })
    if (this.#last.size > mostPeers) this.#last.delete(this.#last.keys().next().value as string)
  }

  /** The latest first. */
  list(): readonly Handshake[] {
    return [...this.#last.values()].reverse()
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()
