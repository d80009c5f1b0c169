// TLS towards an upstream. Law: the chain is verified by TLS, the name by us, on every connection, resumed or not; there is no fall-back to plaintext.
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { connect, createSecureContext, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls'
import type { UpstreamTls } from '#engine'
import { KithError } from '#lib/errors.ts'
import type { Handshakes } from './handshakes.ts'
import { checkPeer, exactDns, identify } from './peer.ts'
import type { Secrets } from './secrets.ts'
import { noRenegotiation } from './tls-server.ts'
import type { TlsFacts } from './transport.ts'

export interface TlsTarget {
  readonly tls: UpstreamTls
  /** What goes into the ClientHello; '' = none. */
  readonly sni: string
  readonly alpn: readonly string[]
  /** Auto SAN validation: this DNS name must be in the certificate. */
  readonly dnsName: string
  /** `address:port`: tickets are kept per endpoint. */
  readonly endpoint: string
}

export type TlsAnswer = (error: Error | undefined, socket: TLSSocket, facts: TlsFacts | undefined) => void

const maxTickets = 1024

export class TlsClients {
  readonly #secrets: Secrets
  readonly #contexts = new Map<string, SecureContext>()
  /** A ticket and the certificate of the handshake that it came from: a resumed session shows none. */
  readonly #tickets = new Map<string, { readonly ticket: Buffer; readonly certificate: X509Certificate }>()

  readonly #handshakes: Handshakes

  constructor(secrets: Secrets, handshakes: Handshakes) {
    this.#secrets = secrets
    this.#handshakes = handshakes
  }

  /** Certificates or roots have changed: nothing learned under the old ones is used again. */
  forget(): void {
    this.#contexts.clear()
    this.#tickets.clear()
  }

  /** Handshakes over a connected socket. Throws KithError when a secret or file is missing. Calls back once. */
  wrap(raw: Socket, target: TlsTarget, timeoutMs: number, done: TlsAnswer): void {
    const { tls } = target
    const { context, key } = this.#context(tls)
    const ticketKey = `${key}|${target.endpoint}|${target.sni}|${target.alpn.join()}`
    const before = this.#tickets.get(ticketKey)
    let certificate: X509Certificate | undefined
    let waiting: Buffer | undefined
    const verifies = tls.validation !== undefined && tls.validation.roots !== 'none'
    const socket = connect({
      socket: raw,
      secureContext: context,
      ...(target.sni === '' || /^[\d.]+$|:/.test(target.sni) ? {} : { servername: target.sni }),
      ALPNProtocols: target.alpn.length === 0 ? undefined : [...target.alpn],
      rejectUnauthorized: verifies,
      // Names are checked below, for resumed sessions too.
      checkServerIdentity: () => undefined,
      ...(before === undefined ? {} : { session: before.ticket }),
    } as ConnectionOptions)
    let answered = false
    const answer = (error: Error | undefined, facts?: TlsFacts): void => {
      if (answered) return
      answered = true
      clearTimeout(timer)
      if (error !== undefined) {
        this.#tickets.delete(ticketKey)
        socket.destroy()
      }
      done(error, socket, facts)
    }
    const timer = setTimeout(() => answer(new KithError('TLS_TIMEOUT', 'TLS handshake timeout')), timeoutMs)
    socket.on('error', answer)
    socket.once('close', () => answer(new KithError('TLS_CLOSED', 'connection closed during TLS handshake')))
    socket.on('session', (ticket: Buffer) => {
      // Under TLS 1.2 it comes before the handshake ends.
      if (certificate === undefined) waiting = ticket
      else this.#keep(ticketKey, ticket, certificate)
    })
    socket.once('secureConnect', () => {
      certificate = socket.isSessionReused() ? before?.certificate : socket.getPeerX509Certificate()
      const problem = this.#check(certificate, target, verifies)
      if (problem !== undefined) return answer(problem)
      const peer = certificate === undefined ? undefined : identify(certificate)
      if (waiting !== undefined && certificate !== undefined) this.#keep(ticketKey, waiting, certificate)
      const facts = { version: socket.getProtocol() ?? '', cipher: socket.getCipher().standardName, alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '', peer }
      const own = tls.certificate
      if (own !== undefined && 'sds' in own) this.#handshakes.record('outbound', target.endpoint, target.sni, facts, this.#secrets.ownEnd(own.sds), Date.now())
      answer(undefined, facts)
    })
  }

  #check(certificate: X509Certificate | undefined, target: TlsTarget, verifies: boolean): Error | undefined {
    if (certificate === undefined) return new KithError('TLS_NO_CERTIFICATE', 'the server showed no certificate')
    if (!verifies && (target.tls.validation?.sans.length ?? 0) === 0) return undefined
    const validation = target.tls.validation ?? { roots: null, sans: [] }
    const problem = checkPeer(certificate, validation, target.dnsName === '' ? [] : [exactDns(target.dnsName)], Date.now(), this.#secrets.revoked(validation))
    if (problem === undefined) return undefined
    return new KithError('TLS_PEER', `${problem.code}: expected ${problem.expected}; presented ${problem.presented}`)
  }

  #keep(key: string, ticket: Buffer, certificate: X509Certificate): void {
    this.#tickets.delete(key)
    this.#tickets.set(key, { ticket, certificate })
    if (this.#tickets.size > maxTickets) this.#tickets.delete(this.#tickets.keys().next().value as string)
  }

  #context(tls: UpstreamTls): { context: SecureContext; key: string } {
    const material = this.#secrets.material(tls)
    // By content, so that a new version of the same settings is the same context.
    const key = `${tls.minVersion}|${tls.maxVersion}|${tls.ciphers ?? ''}|${material.cacheKey}`
    let context = this.#contexts.get(key)
    if (context === undefined) {
      context = createSecureContext({
        ...(material.cert === undefined ? {} : { cert: material.cert, key: material.key?.reveal() }),
        ...(material.ca === undefined ? {} : { ca: material.ca }),
        ...(material.crl === undefined ? {} : { crl: material.crl }),
        ...(tls.ciphers === undefined ? {} : { ciphers: tls.ciphers }),
        secureOptions: noRenegotiation,
        minVersion: tls.minVersion,
        maxVersion: tls.maxVersion,
      })
      this.#contexts.set(key, context)
    }
    return { context, key }
  }
}
