// What stays of a request: a count, a log line; and the facts that policy and formats ask of it.
import { formatAddress, lastForwarded, type Claims, type FormatOperator, type HttpConnection, type RbacFacts, type RouteRequest } from '#engine'
import type { ConnectionFactsSeen, Core } from './core.ts'
import type { Exchange } from './exchange.ts'
import { isGrpc } from './grpc.ts'
import { H } from './http1/names.ts'
import type { Head } from './http1/head.ts'
import { endpointPeer, serviceOf, type RequestSeries } from './metrics.ts'
import { connectionOperators } from './operators.ts'
import { decodeMetadata, metadataOf, unknownPeer, type PeerMetadata } from './peer-metadata.ts'

/** Who the peer's sidecar says it is: read once for each different header of a connection, and only over mTLS. */
export function readPeer(facts: ConnectionFactsSeen, head: Head): void {
  if (facts.tls?.peer === undefined) return
  const i = head.byId(H.peerMetadata)
  if (i < 0) return
  const from = head.at[4 * i + 2] as number
  const to = head.at[4 * i + 3] as number
  const before = facts.peerMetadataRaw
  if (before !== undefined && before.length === to - from && before.compare(head.buf, from, to) === 0) return
  facts.peerMetadataRaw = Buffer.from(head.buf.subarray(from, to))
  facts.peerMetadata = decodeMetadata(head.buf.toString('latin1', from, to))
}

/** Of the caller as policies on `remoteIpBlocks` and logs see it. */
export function remoteAddress(facts: ConnectionFactsSeen, http: HttpConnection | undefined, request: Pick<RouteRequest, 'header'>): string {
  if (http === undefined || http.useRemoteAddress) return facts.remote.address
  return lastForwarded(request.header('x-forwarded-for'), http.trustedHops) ?? facts.remote.address
}

export function rbacFacts(facts: ConnectionFactsSeen, request: RouteRequest | undefined, claims?: Claims, http?: HttpConnection): RbacFacts {
  const peer = facts.tls?.peer
  const principals = peer === undefined ? undefined : peer.uriSans.length > 0 ? peer.uriSans : peer.dnsSans.length > 0 ? peer.dnsSans : [peer.subject]
  return {
    destinationAddress: facts.original.address,
    destinationPort: facts.original.port,
    directAddress: facts.remote.address,
    // Made where a rule asks for it.
    get remoteAddress() {
      return request === undefined ? facts.remote.address : remoteAddress(facts, http, request)
    },
    serverName: facts.serverName,
    principals,
    ...(request === undefined ? {} : { request }),
    claims,
  }
}

/** A response's own series, kept as long as nothing that labels it changes. */
interface Cached {
  readonly status: number
  readonly flags: string
  readonly cluster: unknown
  readonly host: unknown
  readonly peer: PeerMetadata | undefined
  readonly principal: string
  readonly grpcStatus: string
  readonly series: RequestSeries
}

const notGrpc = '-'
const lastSeries = new WeakMap<ConnectionFactsSeen, Cached>()

export function requestRecord(exchange: Exchange): void {
  const { connection, status, flags } = exchange
  const { core, facts, http } = connection
  const durationMs = performance.now() - exchange.startedMs
  const principal = exchange.upstreamPrincipal
  const grpcStatus = isGrpc(connection.head) ? exchange.grpcStatus : notGrpc
  let cached = lastSeries.get(facts)
  if (cached === undefined || cached.status !== status || cached.flags !== flags || cached.cluster !== exchange.cluster || cached.host !== exchange.host || cached.peer !== facts.peerMetadata || cached.principal !== principal || cached.grpcStatus !== grpcStatus) {
    cached = { status, flags, cluster: exchange.cluster, host: exchange.host, peer: facts.peerMetadata, principal, grpcStatus, series: seriesOf(exchange, core, principal, grpcStatus) }
    lastSeries.set(facts, cached)
  }
  cached.series.record(durationMs, connection.body.bytes, sentBytes(exchange))
  if (http.accessLogs.length > 0) core.accessLogs.log(http.accessLogs, flags, (operator) => requestLookup(exchange, operator))
}

let secondText = ''
let secondAt = -1

/** `2026-01-02T03:04:05.678Z`, the part before the milliseconds made once a second. */
function isoTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== secondAt) {
    secondAt = second
    secondText = new Date(second * 1000).toISOString().slice(0, 20)
  }
  return `${secondText}${String(epochMs - second * 1000).padStart(3, '0')}Z`
}

function sentBytes(exchange: Exchange): number {
  return exchange.spliced?.received ?? exchange.responseBody?.bytes ?? exchange.ownBodyBytes
}

function seriesOf(exchange: Exchange, core: Core, principal: string, grpcStatus: string): RequestSeries {
  const { facts } = exchange.connection
  const own = metadataOf(core.identity)
  const ownPrincipal = `spiffe://${core.identity.trustDomain}/ns/${core.identity.namespace}/sa/${core.identity.serviceAccount}`
  const grpc = grpcStatus !== notGrpc
  const common = {
    protocol: grpc ? ('grpc' as const) : ('http' as const),
    code: String(exchange.status),
    flags: exchange.flags,
    grpcStatus: grpc ? grpcStatus : '',
  }
  if (facts.inbound) {
    const mutual = facts.tls?.peer !== undefined
    return core.metrics.requests({
      ...common,
      reporter: 'destination',
      source: facts.peerMetadata ?? unknownPeer,
      sourcePrincipal: facts.tls?.peer?.principal ?? '',
      destination: own,
      destinationPrincipal: mutual ? facts.localPrincipal : '',
      service: serviceOf(exchange.cluster?.config, { host: own.canonicalService, name: own.canonicalService, namespace: own.namespace }),
      security: mutual ? 'mutual_tls' : 'none',
    })
  }
  return core.metrics.requests({
    ...common,
    reporter: 'source',
    source: own,
    sourcePrincipal: principal === '' ? '' : ownPrincipal,
    destination: endpointPeer(exchange.host?.endpoint.workload ?? ''),
    destinationPrincipal: principal,
    service: serviceOf(exchange.cluster?.config, { host: 'unknown', name: 'unknown', namespace: 'unknown' }),
    security: 'unknown',
  })
}

export function requestLookup(exchange: Exchange, operator: FormatOperator): string | undefined {
  const { connection } = exchange
  const { facts, core } = connection
  switch (operator.op) {
    case 'START_TIME':
      return isoTime(exchange.startedAt)
    case 'REQ': {
      for (const name of operator.args) {
        const value = requestHeader(exchange, name.toLowerCase())
        if (value !== undefined) return value
      }
      return undefined
    }
    case 'RESP':
      if (operator.args[0]?.toLowerCase() === 'x-envoy-upstream-service-time') return exchange.serviceTimeMs < 0 ? undefined : String(exchange.serviceTimeMs)
      return exchange.responseHead?.get((operator.args[0] ?? '').toLowerCase())
    case 'PROTOCOL':
      return connection.protocol
    case 'RESPONSE_CODE':
      return String(exchange.status)
    case 'RESPONSE_FLAGS':
      return exchange.flags
    case 'RESPONSE_CODE_DETAILS':
      return exchange.details
    case 'UPSTREAM_TRANSPORT_FAILURE_REASON':
      return exchange.upstreamReason.replaceAll('"', "'").replaceAll(' ', '_')
    case 'BYTES_RECEIVED':
      return String(exchange.spliced?.sent ?? connection.body.bytes)
    case 'BYTES_SENT':
      return String(sentBytes(exchange))
    case 'DURATION':
      return String(Math.round(performance.now() - exchange.startedMs))
    case 'UPSTREAM_HOST':
    case 'UPSTREAM_REMOTE_ADDRESS':
      return exchange.host?.key
    case 'UPSTREAM_CLUSTER':
    case 'UPSTREAM_CLUSTER_RAW':
      return exchange.cluster?.config.name ?? exchange.matched?.cluster
    case 'UPSTREAM_LOCAL_ADDRESS':
      return exchange.upstreamLocal === undefined ? undefined : formatAddress(exchange.upstreamLocal)
    case 'UPSTREAM_REQUEST_ATTEMPT_COUNT':
      return String(exchange.attempts)
    case 'UPSTREAM_PEER_URI_SAN':
      return exchange.upstreamPrincipal
    case 'UPSTREAM_TLS_VERSION':
      return exchange.upstreamTls?.version
    case 'UPSTREAM_TLS_CIPHER':
      return exchange.upstreamTls?.cipher
    case 'UPSTREAM_PEER_SUBJECT':
      return exchange.upstreamTls?.peer?.subject
    case 'DYNAMIC_METADATA':
      return exchange.audited && operator.args.join(':') === 'envoy.common:access_log_hint' ? 'true' : undefined
    case 'DOWNSTREAM_REMOTE_ADDRESS': {
      const address = remoteAddress(facts, connection.http, exchange.view)
      // Port 0, as Envoy writes what a header says.
      return formatAddress(address === facts.remote.address ? facts.remote : { address, port: 0 })
    }
    case 'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT':
      return remoteAddress(facts, connection.http, exchange.view)
    case 'DOWNSTREAM_REMOTE_PORT':
      return remoteAddress(facts, connection.http, exchange.view) === facts.remote.address ? String(facts.remote.port) : '0'
    case 'ROUTE_NAME':
      return exchange.matched?.route.name
    default:
      return connectionOperators(facts, core, operator)
  }
}

function requestHeader(exchange: Exchange, name: string): string | undefined {
  const { view } = exchange
  switch (name) {
    case ':method':
      return view.method
    case ':path':
      return view.path
    case ':authority':
      return view.authority
    case ':scheme':
      return view.scheme
    case 'x-request-id':
      return exchange.requestId === '' ? view.header(name) : exchange.requestId
    case 'x-envoy-original-path':
      return undefined
    default:
      return view.header(name)
  }
}
