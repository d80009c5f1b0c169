// TLS towards a downstream. Law: a client certificate is demanded and its chain verified by TLS; what is negotiated is never one of Istio's own ALPN names.
import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { DownstreamTls } from '#engine'
import { checkPeer, identify } from './peer.ts'
import type { Secrets } from './secrets.ts'
import type { TlsFacts } from './transport.ts'

export type ServerTlsAnswer = (error: Error | undefined, socket: TLSSocket | undefined, facts: TlsFacts | undefined) => void

const handshakeTimeoutMs = 10_000
/** TLS 1.2: each one would cost us a handshake, and the peer next to nothing. */
export const noRenegotiation = constants.SSL_OP_NO_RENEGOTIATION

/** One never-listening tls.Server per context and ALPN list; connections are injected, as node documents for `connection`. */
export class TlsServers {
  readonly #secrets: Secrets
  readonly #servers = new Map<string, Server>()
  /** By the four numbers that name a TCP connection. */
  readonly #waiting = new Map<string, { readonly tls: DownstreamTls; readonly answer: ServerTlsAnswer }>()

  constructor(secrets: Secrets) {
    this.#secrets = secrets
  }

  /** New certificates or roots: new contexts, and with them new ticket keys. */
  forget(): void {
    this.#servers.clear()
  }

  /** `offered`: the ALPN of the ClientHello. Throws KithError when a secret is missing. Calls back once. */
  accept(raw: Socket, tls: DownstreamTls, offered: readonly string[], done: ServerTlsAnswer): void {
    const alpn = tls.alpn.filter((p) => offered.includes(p) && !p.startsWith('istio'))
    const server = this.#server(tls, alpn)
    const id = connectionId(raw)
    const answer: ServerTlsAnswer = (error, socket, facts) => {
      if (this.#waiting.get(id)?.answer !== answer) return
      this.#waiting.delete(id)
      done(error, socket, facts)
    }
    this.#waiting.set(id, { tls, answer })
    raw.once('close', () => answer(new Error('connection closed during TLS handshake'), undefined, undefined))
    server.emit('connection', raw)
  }

  #server(tls: DownstreamTls, alpn: readonly string[]): Server {
    const material = this.#secrets.material(tls)
    const key = `${tls.minVersion}|${tls.maxVersion}|${tls.ciphers ?? ''}|${tls.validation !== undefined}|${tls.requireClientCertificate}|${material.cacheKey}|${alpn.join()}`
    const known = this.#servers.get(key)
    if (known !== undefined) return known
    const server = createServer({
      cert: material.cert,
      key: material.key?.reveal(),
      ...(material.ca === undefined ? {} : { ca: material.ca }),
      ...(tls.ciphers === undefined ? {} : { ciphers: tls.ciphers }),
      minVersion: tls.minVersion,
      maxVersion: tls.maxVersion,
      requestCert: tls.validation !== undefined,
      rejectUnauthorized: tls.requireClientCertificate,
      handshakeTimeout: handshakeTimeoutMs,
      secureOptions: noRenegotiation,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    })
    server.on('secureConnection', (socket) => this.#secured(socket))
    server.on('tlsClientError', (error, socket) => {
      const waiting = this.#waiting.get(connectionId(socket))
      socket.destroy()
      waiting?.answer(error, undefined, undefined)
    })
    this.#servers.set(key, server)
    return server
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', () => {})
    const waiting = this.#waiting.get(connectionId(socket))
    if (waiting === undefined) {
      socket.destroy()
      return
    }
    const { tls, answer } = waiting
    const certificate = socket.getPeerX509Certificate()
    const problem =
      certificate === undefined
        ? tls.requireClientCertificate
          ? 'no client certificate'
          : undefined
        : tls.validation === undefined
          ? undefined
          : describe(checkPeer(certificate, tls.validation, [], Date.now(), this.#secrets.revoked(tls.validation)))
    if (problem !== undefined) {
      socket.destroy()
      answer(new Error(problem), undefined, undefined)
      return
    }
    const peer = certificate === undefined || tls.validation === undefined || !socket.authorized ? undefined : identify(certificate)
    answer(undefined, socket, { version: socket.getProtocol() ?? '', cipher: socket.getCipher().standardName, alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '', peer })
  }
}

function describe(problem: ReturnType<typeof checkPeer>): string | undefined {
  return problem === undefined ? undefined : `${problem.code}: expected ${problem.expected}; presented ${problem.presented}`
}

function connectionId(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}|${socket.localAddress}|${socket.localPort}`
}
