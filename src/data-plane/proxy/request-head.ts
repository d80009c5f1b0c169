// The head of a request as it goes to the next hop: untouched lines copied as bytes, hop-by-hop and forgeable ones left out, ours added.
import type { HeaderOps, HttpConnection } from '#engine'
import { renderFormat, type FormatOperator } from '#engine'
import { H } from './http1/names.ts'
import type { Head } from './http1/head.ts'
import * as out from './http1/writer.ts'
import { forwardedClientCert } from './xfcc.ts'

export interface RequestShape {
  readonly http: HttpConnection
  readonly head: Head
  readonly inbound: boolean
  /** The connection came with a verified certificate. */
  readonly mutual: boolean
  readonly encrypted: boolean
  readonly clientCert: string
  /** '' = as it came. */
  readonly path: string
  /** '' = as it came. */
  readonly host: string
  /** '' = as it came; set where the proxy made one. */
  readonly requestId: string
  /** '' = not added. */
  readonly forwardedFor: string
  readonly upgrade: string
  readonly metadata: { readonly value: string; readonly id: string } | undefined
  readonly attempt: number
  readonly ops: readonly HeaderOps[]
  readonly lookup: (operator: FormatOperator) => string | undefined
  /** Path before a rewrite; '' = none. */
  readonly originalPath: string
}

/** Builds into the writer; the caller takes it. */
export function writeRequestHead(shape: RequestShape): void {
  const { head, http } = shape
  out.begin()
  out.text(head.method)
  out.text(' ')
  if (shape.path !== '') out.text(shape.path)
  else {
    if (head.pathless) out.text('/')
    out.bytes(head.buf, head.targetStart, head.targetEnd)
  }
  out.text(' HTTP/1.1\r\n')
  const host = shape.host !== '' ? shape.host : head.authorityStart >= 0 ? head.authority() : ''
  if (host !== '' && head.method !== 'CONNECT') out.line('host', host)
  copyLines(shape, host !== '')
  if (head.chunked) out.text('transfer-encoding: chunked\r\n')
  if (shape.upgrade !== '') {
    out.text('connection: upgrade\r\n')
    out.line('upgrade', shape.upgrade)
  }
  const hasProto = head.byId(H.xForwardedProto) >= 0
  if (!hasProto) out.text(shape.encrypted ? 'x-forwarded-proto: https\r\n' : 'x-forwarded-proto: http\r\n')
  if (shape.requestId !== '') out.line('x-request-id', shape.requestId)
  if (shape.forwardedFor !== '') out.line('x-forwarded-for', shape.forwardedFor)
  const xfcc = forwardedClientCert(http.clientCert, http.clientCert === 'SANITIZE' ? undefined : head.get('x-forwarded-client-cert'), shape.clientCert)
  if (xfcc !== '') out.line('x-forwarded-client-cert', xfcc)
  if (shape.metadata !== undefined) {
    out.line('x-envoy-peer-metadata', shape.metadata.value)
    out.line('x-envoy-peer-metadata-id', shape.metadata.id)
  }
  if (shape.attempt > 0) out.text(`x-envoy-attempt-count: ${shape.attempt}\r\n`)
  if (shape.originalPath !== '') out.line('x-envoy-original-path', shape.originalPath)
  writeOps(shape.ops, head, shape.lookup)
  out.text('\r\n')
}

/** Names whose lines the header operations replace or drop. */
function replaced(ops: readonly HeaderOps[], head: Head): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined
  for (const { set, remove } of ops) {
    for (const name of remove) (names ??= new Set()).add(name)
    for (const op of set) if (op.kind === 'overwrite' || (op.kind === 'overwriteIfExists' && head.get(op.name) !== undefined)) (names ??= new Set()).add(op.name)
  }
  return names
}

function copyLines(shape: RequestShape, ownHost: boolean): void {
  const { head, http } = shape
  const nominated = head.nominated()
  const gone = replaced(shape.ops, head)
  let run = -1
  for (let i = 0; i < head.count; i++) {
    let keep = keepRequestLine(head.ids[i] as number, head, i, shape, http, ownHost)
    if (keep && (nominated.length > 0 || gone !== undefined)) {
      const name = head.nameAt(i).toLowerCase()
      // Host can be neither nominated nor removed.
      keep = name === 'host' || (!nominated.includes(name) && gone?.has(name) !== true)
    }
    const start = head.at[4 * i] as number
    if (keep) {
      if (run < 0) run = start
    } else if (run >= 0) {
      out.bytes(head.buf, run, start)
      run = -1
    }
  }
  if (run >= 0) out.bytes(head.buf, run, head.end - 2)
}

function keepRequestLine(id: number, head: Head, i: number, shape: RequestShape, http: HttpConnection, ownHost: boolean): boolean {
  switch (id) {
    case H.other:
      return true
    case H.host:
      return !ownHost
    case H.connection:
    case H.keepAlive:
    case H.proxyConnection:
    case H.upgrade:
    case H.transferEncoding:
    case H.http2Settings:
    case H.xForwardedClientCert:
    case H.peerMetadata:
    case H.peerMetadataId:
    case H.proxyAuthorization:
      return false
    case H.te:
      return head.valueAt(i).toLowerCase() === 'trailers'
    case H.expect:
      return http.proxy100Continue
    case H.xRequestId:
      return shape.requestId === ''
    case H.xForwardedFor:
      return shape.forwardedFor === ''
    case H.xEnvoy:
      // What another sidecar says of the request stays; what came from outside does not.
      return shape.inbound && shape.mutual && /^x-envoy-(?:attempt-count|original-path|decorator-operation)$/i.test(head.nameAt(i)) && shape.attempt === 0
    default:
      return true
  }
}

/** Adds what the operations add; `present` answers whether a name stands already. */
export function writeOps(ops: readonly HeaderOps[], head: Head, lookup: (operator: FormatOperator) => string | undefined): void {
  for (const { set } of ops) {
    for (const op of set) {
      if (op.kind === 'addIfAbsent' && head.get(op.name) !== undefined) continue
      if (op.kind === 'overwriteIfExists' && head.get(op.name) === undefined) continue
      if (op.name === 'host' || op.name.startsWith(':')) continue
      out.line(op.name, renderFormat(op.value, lookup))
    }
  }
}

export { replaced as replacedNames }
