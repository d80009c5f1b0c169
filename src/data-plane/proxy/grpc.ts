// What gRPC asks of a proxy: answers of its own as trailers alone under HTTP 200, and deadlines that callers send along.
// Law: the mapping of HTTP to gRPC is Envoy's (source/common/grpc/status.cc), so that a client reads the same from both.
import { H } from './http1/names.ts'
import type { Head } from './http1/head.ts'
import type { OwnAnswer } from './response-head.ts'

const contentType = 'application/grpc'

/** `application/grpc`, `application/grpc+proto`, `application/grpc;…`; not grpc-web. */
export function isGrpc(head: Head): boolean {
  const i = head.byId(H.contentType)
  if (i < 0) return false
  const value = head.valueAt(i)
  return value.startsWith(contentType) && (value.length === contentType.length || value[contentType.length] === '+' || value[contentType.length] === ';')
}

const statuses: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 }

/** `status`: HTTP's, as the failure has it; `grpcStatus`: where it is known better. */
export function grpcAnswer(answer: OwnAnswer, grpcStatus: number | undefined): OwnAnswer & { readonly grpcStatus: string } {
  const code = String(grpcStatus ?? statuses[answer.status] ?? 2)
  const headers: (readonly [string, string])[] = [['content-type', contentType], ['grpc-status', code], ...answer.headers]
  if (answer.body !== '') headers.push(['grpc-message', percentEncoded(answer.body)])
  return { status: 200, body: '', headOnly: true, headers, grpcStatus: code }
}

/** gRPC's own encoding of messages: printable ASCII but `%`. */
function percentEncoded(text: string): string {
  return [...Buffer.from(text, 'utf8')].map((c) => (c >= 0x20 && c <= 0x7e && c !== 0x25 ? String.fromCharCode(c) : `%${c.toString(16).toUpperCase().padStart(2, '0')}`)).join('')
}

const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** `grpc-timeout: 100m`; undefined where there is none that can be read. */
export function grpcTimeoutMs(value: string | undefined): number | undefined {
  const found = value === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(value)
  return found === null ? undefined : Math.ceil(Number(found[1]) * (units[found[2] as string] as number))
}
