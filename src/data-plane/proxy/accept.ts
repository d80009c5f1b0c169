// A connection from accept to its chain: original destination, listener, inspection, chain, TLS, policy, then HTTP or TCP.
// Law: this page is the life of a connection, in order. Whatever a client does ends in a closed socket, never in a throw.
import type { Socket } from 'node:net'
import { chooseChain, decideRbac, findListener, formatAddress, inspectsFor, plainAddress, type HttpConnection, type RuntimeChain, type RuntimeListener, type SocketAddress } from '#engine'
import type { ConnectionFactsSeen, Core } from './core.ts'
import { HttpServerConnection } from './http-server.ts'
import { Http2ServerConnection } from './http2/server.ts'
import { inspect, uninspected, type Inspected } from './inspect.ts'
import { connectionOperators } from './operators.ts'
import { rbacFacts } from './request-record.ts'
import type { Secrets } from './secrets.ts'
import { TcpConnection } from './tcp-server.ts'
import type { TlsServers } from './tls-server.ts'
import { SocketTransport, type TlsFacts } from './transport.ts'
import { clientCertElement } from './xfcc.ts'

export interface Accepting {
  readonly core: Core
  readonly secrets: Secrets
  readonly tlsServers: TlsServers
}

let nextId = 1

/** `listenerName`: virtualInbound or virtualOutbound; `original`: where the client meant to go. */
export function accept(accepting: Accepting, socket: Socket, inbound: boolean, original: SocketAddress, oneShot = false): void {
  const { core } = accepting
  const listener = findListener(core.config, inbound, original)
  if (listener === undefined) return noListener(core, socket)
  const { tls, http } = inspectsFor(listener, original.port)
  if (!tls && !http) return choose(accepting, socket, listener, inbound, original, uninspected, oneShot)
  inspect(socket, { tls, http, timeoutMs: listener.inspectTimeoutMs, headTimeoutMs: core.headTimeoutMs }, (seen) => {
    if (seen === 'slow') tooSlow(core, socket, original)
    else if (seen === undefined || (seen === 'timeout' && !listener.continueOnTimeout)) socket.destroy()
    else {
      // The configuration may be another one since the connection came.
      const now = findListener(core.config, inbound, original)
      if (now === undefined) noListener(core, socket)
      else choose(accepting, socket, now, inbound, original, seen === 'timeout' ? uninspected : seen, oneShot)
    }
  })
}

function noListener(core: Core, socket: Socket): void {
  core.metrics.count('kith_connections_refused_total', 'reason="no_listener"')
  socket.destroy()
}

/** A ClientHello or an HTTP/2 preface that was begun, and did not end in time. */
function tooSlow(core: Core, socket: Socket, original: SocketAddress): void {
  core.metrics.count('kith_connections_refused_total', 'reason="slow_head"')
  core.log.warn({ peer: plainAddress(socket.remoteAddress ?? ''), destination: formatAddress(original), limitMs: core.headTimeoutMs }, 'connection closed: its first bytes took too long')
  socket.destroy()
}

function choose(accepting: Accepting, socket: Socket, listener: RuntimeListener, inbound: boolean, original: SocketAddress, seen: Inspected, oneShot: boolean): void {
  const remote = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
  const chain = chainFor(listener, original, remote, seen)
  if (chain === undefined) return noChain(accepting.core, socket, listener, inbound, original, remote, seen)
  if (chain.tls === null) return serve(accepting, socket, listener, chain, inbound, original, remote, undefined, seen, oneShot)
  if (seen.transportProtocol !== 'tls') return noChain(accepting.core, socket, listener, inbound, original, remote, seen)
  const { config } = accepting.core
  const failed = (error: Error): void => {
    accepting.core.metrics.count('kith_tls_handshake_failures_total', 'side="server"')
    accepting.core.log.warn({ peer: formatAddress(remote), destination: formatAddress(original), error: error.message, rule: chain.metadata.rule, source: chain.metadata.source }, 'tls handshake failed')
    socket.destroy()
  }
  try {
    accepting.tlsServers.accept(socket, chain.tls, seen.applicationProtocols, (error, tlsSocket, facts) => {
      if (error !== undefined || tlsSocket === undefined) return failed(error ?? new Error('no socket'))
      if (accepting.core.config === config) return serve(accepting, tlsSocket, listener, chain, inbound, original, remote, facts, seen, oneShot)
      // It changed during the handshake. Policies are those of now; who may come in was asked by the TLS settings of before.
      const now = findListener(accepting.core.config, inbound, original)
      const chainNow = now === undefined ? undefined : chainFor(now, original, remote, seen)
      if (now === undefined || chainNow === undefined || chainNow.tlsFingerprint !== chain.tlsFingerprint) return outdated(accepting.core, tlsSocket, original, remote)
      serve(accepting, tlsSocket, now, chainNow, inbound, original, remote, facts, seen, oneShot)
    })
  } catch (error) {
    failed(error as Error)
  }
}

function chainFor(listener: RuntimeListener, original: SocketAddress, remote: SocketAddress, seen: Inspected): RuntimeChain | undefined {
  return chooseChain(listener, {
    destinationAddress: original.address,
    destinationPort: original.port,
    sourceAddress: remote.address,
    sourcePort: remote.port,
    transportProtocol: seen.transportProtocol,
    serverName: seen.serverName,
    applicationProtocols: seen.applicationProtocols,
  })
}

function outdated(core: Core, socket: Socket, original: SocketAddress, remote: SocketAddress): void {
  core.metrics.count('kith_connections_refused_total', 'reason="configuration_changed"')
  core.log.info({ peer: formatAddress(remote), destination: formatAddress(original) }, 'connection closed: TLS settings changed during its handshake')
  socket.destroy()
}

/** Plaintext to a STRICT port comes here; so does foreign TLS to a PERMISSIVE HTTP port. The line names the policy. */
function noChain(core: Core, socket: Socket, listener: RuntimeListener, inbound: boolean, original: SocketAddress, remote: SocketAddress, seen: Inspected): void {
  const ofPort = listener.chains.find((c) => c.criteria.port === original.port && c.chain.metadata.rule !== '') ?? listener.chains.find((c) => c.criteria.port === 0 && c.chain.metadata.rule !== '')
  const policy = ofPort?.chain.metadata
  const plaintext = seen.transportProtocol === 'raw_buffer'
  core.metrics.count('kith_connections_refused_total', `reason="${plaintext && inbound ? 'plaintext' : 'no_filter_chain'}",port="${original.port}"`)
  const fields = { peer: formatAddress(remote), destination: formatAddress(original), transport: seen.transportProtocol, alpn: seen.applicationProtocols, rule: policy?.rule ?? '', source: policy?.source ?? '' }
  core.log.warn(fields, plaintext && inbound ? 'plaintext rejected' : 'no filter chain matches')
  core.accessLogs.log(listener.accessLogs, 'NR', (operator) => {
    switch (operator.op) {
      case 'START_TIME':
        return new Date().toISOString()
      case 'RESPONSE_CODE':
      case 'BYTES_RECEIVED':
      case 'BYTES_SENT':
      case 'DURATION':
        return '0'
      case 'RESPONSE_FLAGS':
        return 'NR'
      case 'RESPONSE_CODE_DETAILS':
        return 'filter_chain_not_found'
      case 'REQUESTED_SERVER_NAME':
        return seen.serverName
      case 'DOWNSTREAM_REMOTE_ADDRESS':
        return formatAddress(remote)
      case 'DOWNSTREAM_LOCAL_ADDRESS':
        return formatAddress(original)
      default:
        return undefined
    }
  })
  socket.destroy()
}

function serve(accepting: Accepting, socket: Socket, listener: RuntimeListener, chain: RuntimeChain, inbound: boolean, original: SocketAddress, remote: SocketAddress, tls: TlsFacts | undefined, seen: Inspected, oneShot: boolean): void {
  const { core, secrets } = accepting
  const { terminal } = chain
  const certificate = chain.tls?.certificate
  const localPrincipal = certificate !== undefined && 'sds' in certificate ? secrets.identityOf(certificate.sds) : ''
  const facts: ConnectionFactsSeen = {
    id: nextId++,
    listener,
    chain,
    inbound,
    original,
    remote,
    tls,
    serverName: seen.serverName,
    localPrincipal,
    clientCert: terminal.kind === 'http' ? clientCertElement(tls?.peer, localPrincipal, terminal.clientCertDetails) : '',
    openedMs: performance.now(),
    openedAt: Date.now(),
    peerMetadata: undefined,
    peerMetadataRaw: undefined,
    oneShot,
  }
  if (tls !== undefined && certificate !== undefined && 'sds' in certificate) core.handshakes.record('inbound', remote.address, seen.serverName, tls, secrets.ownEnd(certificate.sds), facts.openedAt)
  for (const rbac of chain.rbac) {
    const verdict = decideRbac(rbac, rbacFacts(facts, undefined))
    if (verdict.audited !== undefined) core.metrics.count('kith_rbac_audited_total', `policy="${verdict.audited}"`)
    if (verdict.allowed) continue
    core.metrics.count('kith_rbac_denied_total', `policy="${verdict.policy === '' ? 'none' : verdict.policy}"`)
    core.accessLogs.log(terminal.accessLogs, 'RBAC', (operator) => (operator.op === 'CONNECTION_TERMINATION_DETAILS' ? `rbac_access_denied_matched_policy[${verdict.policy === '' ? 'none' : verdict.policy}]` : connectionOperators(facts, core, operator)))
    socket.destroy()
    return
  }
  if (terminal.kind !== 'http') new TcpConnection(core, facts, terminal, new SocketTransport(socket, core.onBug, tls))
  else serveHttp(core, facts, terminal, socket, tls, seen.applicationProtocols.includes('h2c'))
}

/** Which HTTP it is says the codec, else ALPN, else the first bytes. */
function serveHttp(core: Core, facts: ConnectionFactsSeen, http: HttpConnection, socket: Socket, tls: TlsFacts | undefined, h2c: boolean): void {
  if (http.codec === 'HTTP2' || (http.codec === 'AUTO' && (tls === undefined ? h2c : tls.alpn === 'h2'))) {
    new Http2ServerConnection(core, facts, http, socket)
    return
  }
  const transport = new SocketTransport(socket, core.onBug, tls)
  const toHttp2 = http.codec === 'AUTO' ? (bytes: Buffer) => void new Http2ServerConnection(core, facts, http, transport.release(bytes)) : undefined
  new HttpServerConnection(core, facts, http, transport, toHttp2)
}
