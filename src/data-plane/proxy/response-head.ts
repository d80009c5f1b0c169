// The head of a response as it goes back: hop-by-hop lines left out, ours added; and answers that the proxy gives itself.
import type { FormatOperator, HeaderOps, HttpConnection } from '#engine'
import { reasonPhrase } from './failures.ts'
import { H } from './http1/names.ts'
import type { Head } from './http1/head.ts'
import * as out from './http1/writer.ts'
import { replacedNames, writeOps } from './request-head.ts'

export interface ResponseShape {
  readonly http: HttpConnection
  readonly head: Head
  readonly inbound: boolean
  /** Bytes without any framing follow: 101, or CONNECT's 2xx. */
  readonly tunnel: boolean
  readonly serviceTimeMs: number
  readonly metadata: { readonly value: string; readonly id: string } | undefined
  readonly ops: readonly HeaderOps[]
  readonly lookup: (operator: FormatOperator) => string | undefined
}

/** Builds HTTP/1.1's into the writer; the caller takes it. */
export function writeResponseHead(shape: ResponseShape, chunked: boolean, close: boolean): void {
  const { head, http } = shape
  out.begin()
  out.text('HTTP/1.1 ')
  out.text(String(head.status))
  out.text(' ')
  out.bytes(head.buf, head.reasonStart, head.reasonEnd)
  out.text('\r\n')
  const ownServer = http.serverHeader === 'OVERWRITE' || (http.serverHeader === 'APPEND_IF_ABSENT' && head.byId(H.server) < 0)
  copyLines(shape, http.serverHeader === 'OVERWRITE')
  if (head.status === 101) {
    out.text('connection: upgrade\r\n')
    const i = head.byId(H.upgrade)
    if (i >= 0) out.line('upgrade', head.valueAt(i))
  } else if (close) out.text('connection: close\r\n')
  if (chunked) out.text('transfer-encoding: chunked\r\n')
  if (ownServer) out.line('server', http.serverName)
  if (head.byId(H.date) < 0) out.text(`date: ${httpDate()}\r\n`)
  out.text(`x-envoy-upstream-service-time: ${shape.serviceTimeMs}\r\n`)
  if (shape.metadata !== undefined) {
    out.line('x-envoy-peer-metadata', shape.metadata.value)
    out.line('x-envoy-peer-metadata-id', shape.metadata.id)
  }
  writeOps(shape.ops, head, shape.lookup)
  out.text('\r\n')
}

function copyLines(shape: ResponseShape, ownServer: boolean): void {
  const { head } = shape
  const nominated = head.nominated()
  const gone = replacedNames(shape.ops, head)
  let run = -1
  for (let i = 0; i < head.count; i++) {
    let keep = keepResponseLine(head, i, ownServer)
    if (keep && (nominated.length > 0 || gone !== undefined)) {
      const name = head.nameAt(i).toLowerCase()
      keep = !nominated.includes(name) && gone?.has(name) !== true
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

function keepResponseLine(head: Head, i: number, ownServer: boolean): boolean {
  switch (head.ids[i]) {
    case H.connection:
    case H.keepAlive:
    case H.proxyConnection:
    case H.upgrade:
    case H.transferEncoding:
    case H.peerMetadata:
    case H.peerMetadataId:
      return false
    case H.server:
      return !ownServer
    case H.contentLength:
      return head.status >= 200 && head.status !== 204
    case H.xEnvoy:
      return !/^x-envoy-upstream-service-time$/i.test(head.nameAt(i))
    default:
      return true
  }
}

/** A 1xx on its way back. */
export function interimHead(head: Head): Buffer {
  out.begin()
  out.text('HTTP/1.1 ')
  out.text(String(head.status))
  out.text(' ')
  out.bytes(head.buf, head.reasonStart, head.reasonEnd)
  out.text('\r\n')
  for (let i = 0; i < head.count; i++) if (head.ids[i] === H.other) out.bytes(head.buf, head.at[4 * i] as number, head.lineEnd(i))
  out.text('\r\n')
  return out.take()
}

export interface OwnAnswer {
  readonly status: number
  readonly body: string
  readonly headOnly: boolean
  readonly headers: readonly (readonly [string, string])[]
}

export function ownResponse(http: HttpConnection, answer: OwnAnswer, close: boolean): Buffer {
  const body = writeOwnHead(http, answer, close)
  return answer.headOnly ? out.take() : out.take(body, 0, body.length)
}

/** Builds HTTP/1.1's head into the writer; returns the body. `framed`: HTTP/2's, whose frames say that there is no body. */
export function writeOwnHead(http: HttpConnection, answer: OwnAnswer, close: boolean, framed = false): Buffer {
  out.begin()
  out.text(`HTTP/1.1 ${answer.status} ${reasonPhrase(answer.status)}\r\n`)
  const body = Buffer.from(answer.body, 'utf8')
  for (const [name, value] of answer.headers) out.line(name, value)
  if (answer.body !== '' && !answer.headers.some(([n]) => n === 'content-type')) out.text('content-type: text/plain\r\n')
  if (answer.status !== 204 && answer.status >= 200 && !(framed && body.length === 0)) out.text(`content-length: ${body.length}\r\n`)
  out.text(`date: ${httpDate()}\r\n`)
  if (http.serverHeader !== 'PASS_THROUGH') out.line('server', http.serverName)
  if (close) out.text('connection: close\r\n')
  out.text('\r\n')
  return body
}

let dateText = ''
let dateSecond = 0

/** RFC 9110 date, made once a second. */
export function httpDate(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    dateText = new Date(second * 1000).toUTCString()
  }
  return dateText
}
