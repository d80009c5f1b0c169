// Every way a request or connection can fail, in one table: HTTP status, Envoy's response flag and details, and the body that the caller reads.
// Law: nothing else in the proxy invents a status or a flag.
import type { HeadError } from './http1/head.ts'
import type { Gone } from './upstream-stream.ts'

export interface Failure {
  readonly status: number
  /** Envoy's response flag; '' = none. */
  readonly flag: string
  /** %RESPONSE_CODE_DETAILS% */
  readonly details: string
  readonly body: string
  /** Where gRPC knows it better than by the status. */
  readonly grpcStatus?: number
  /** Of the answer. */
  readonly headers?: readonly (readonly [string, string])[]
}

/** Tells a caller that it is not the upstream that failed. */
const overloaded = [['x-envoy-overloaded', 'true']] as const

const failure = (status: number, flag: string, details: string, body: string): Failure => ({ status, flag, details, body })

export const failures = {
  routeNotFound: failure(404, 'NR', 'route_not_found', ''),
  noRouteTable: failure(404, 'NR', 'route_configuration_not_found', ''),
  clusterNotFound: failure(503, 'NC', 'cluster_not_found', ''),
  noHealthyUpstream: failure(503, 'UH', 'no_healthy_upstream', 'no healthy upstream'),
  connectFailure: failure(503, 'UF', 'upstream_reset_before_response_started{connection_failure}', 'upstream connect error or disconnect/reset before headers. reset reason: connection failure'),
  connectTimeout: failure(503, 'UF', 'upstream_reset_before_response_started{connection_timeout}', 'upstream connect error or disconnect/reset before headers. reset reason: connection timeout'),
  connectionTermination: failure(503, 'UC', 'upstream_reset_before_response_started{connection_termination}', 'upstream connect error or disconnect/reset before headers. reset reason: connection termination'),
  protocolError: failure(502, 'UPE', 'upstream_reset_before_response_started{protocol_error}', 'upstream connect error or disconnect/reset before headers. reset reason: protocol error'),
  remoteReset: failure(503, 'UR', 'upstream_reset_before_response_started{remote_reset}', 'upstream connect error or disconnect/reset before headers. reset reason: remote reset'),
  refusedStream: failure(503, 'UR', 'upstream_reset_before_response_started{remote_refused_stream_reset}', 'upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset'),
  overflow: { ...failure(503, 'UO', 'upstream_reset_before_response_started{overflow}', 'upstream connect error or disconnect/reset before headers. reset reason: overflow'), headers: overloaded },
  tooManyHeads: { ...failure(503, 'UO', 'http2.too_many_heads', 'too many requests with large headers'), headers: overloaded },
  // HTTP/2 resets the stream: there is no answer, and no status.
  listTooLarge: failure(0, 'DR', 'http2.header_list_size_too_large', ''),
  listTooLong: failure(0, 'DR', 'http2.too_many_headers', ''),
  http2Codec: failure(0, 'DPE', 'codec_error:Protocol_error', ''),
  timeout: failure(504, 'UT', 'response_timeout', 'upstream request timeout'),
  perTryTimeout: failure(504, 'UT', 'upstream_per_try_timeout', 'upstream request timeout'),
  streamIdle: failure(504, 'SI', 'stream_idle_timeout', 'stream timeout'),
  headTimeout: failure(408, '', 'request_header_timeout', 'request header timeout'),
  denied: failure(403, 'RBAC', 'rbac_access_denied_matched_policy', 'RBAC: access denied'),
  upgradeRefused: failure(403, '', 'upgrade_failed', ''),
  http10: failure(426, 'DPE', 'low_version', ''),
  expressionCost: failure(400, '', 'regular_expression_too_costly', 'a value of the request is too long for a regular expression of a policy or route'),
  missingPath: failure(400, 'DPE', 'path_normalization_failed', ''),
  secretMissing: failure(503, 'UF', 'upstream_reset_before_response_started{connection_failure,TLS_error:secret_not_supplied}', 'upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: TLS secret is not supplied by SDS'),
  internal: failure(500, '', 'kith_internal_error', 'internal error'),
  maxDuration: { ...failure(504, 'DT', 'max_duration_timeout', 'downstream duration timeout'), grpcStatus: 4 },
} as const

const headFailures: Readonly<Record<HeadError, Failure>> = {
  'bad-start-line': failure(400, 'DPE', 'http1.codec_error', 'Bad Request'),
  'bad-version': failure(400, 'DPE', 'http1.codec_error', 'Bad Request'),
  'bad-header': failure(400, 'DPE', 'http1.codec_error', 'Bad Request'),
  'bad-framing': failure(400, 'DPE', 'http1.ambiguous_framing', 'Bad Request'),
  'bad-host': failure(400, 'DPE', 'missing_host_header', 'Bad Request'),
  'too-large': failure(431, 'DPE', 'http1.headers_too_large', 'Request Header Fields Too Large'),
  'too-many-headers': failure(431, 'DPE', 'http1.too_many_headers', 'Request Header Fields Too Large'),
  http10: failures.http10,
}

export function headFailure(error: HeadError | undefined): Failure {
  return headFailures[error ?? 'bad-header']
}

export function goneFailure(why: Gone['why']): Failure {
  return why === 'protocol-error' ? failures.protocolError : why === 'reset' ? failures.remoteReset : why === 'refused' ? failures.refusedStream : failures.connectionTermination
}

/** `reason` is appended to the body and details, as Envoy does for transport failures. */
export function withReason(base: Failure, reason: string): Failure {
  return reason === '' ? base : { ...base, body: `${base.body}, transport failure reason: ${reason}` }
}

const reasons: Readonly<Record<number, string>> = {
  200: 'OK', 204: 'No Content', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 307: 'Temporary Redirect', 308: 'Permanent Redirect', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden',
  404: 'Not Found', 405: 'Method Not Allowed', 408: 'Request Timeout', 413: 'Payload Too Large', 426: 'Upgrade Required', 429: 'Too Many Requests', 431: 'Request Header Fields Too Large',
  500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 505: 'HTTP Version Not Supported',
}

export function reasonPhrase(status: number): string {
  return reasons[status] ?? 'Unknown'
}
