// The header names that the proxy itself must know, recognised from bytes without making a string.
// Law: every other header is a range of bytes that nobody reads.

export const H = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  upgrade: 7,
  expect: 8,
  te: 9,
  trailer: 10,
  xForwardedFor: 11,
  xForwardedProto: 12,
  xForwardedClientCert: 13,
  xRequestId: 14,
  server: 15,
  date: 16,
  peerMetadata: 17,
  peerMetadataId: 18,
  http2Settings: 19,
  grpcStatus: 20,
  userAgent: 21,
  contentType: 22,
  authorization: 23,
  cookie: 24,
  proxyAuthorization: 25,
  /** Any other `x-envoy-…`. */
  xEnvoy: 26,
} as const

const names: readonly (readonly [string, number])[] = [
  ['host', H.host],
  ['content-length', H.contentLength],
  ['transfer-encoding', H.transferEncoding],
  ['connection', H.connection],
  ['keep-alive', H.keepAlive],
  ['proxy-connection', H.proxyConnection],
  ['upgrade', H.upgrade],
  ['expect', H.expect],
  ['te', H.te],
  ['trailer', H.trailer],
  ['x-forwarded-for', H.xForwardedFor],
  ['x-forwarded-proto', H.xForwardedProto],
  ['x-forwarded-client-cert', H.xForwardedClientCert],
  ['x-request-id', H.xRequestId],
  ['server', H.server],
  ['date', H.date],
  ['x-envoy-peer-metadata', H.peerMetadata],
  ['x-envoy-peer-metadata-id', H.peerMetadataId],
  ['http2-settings', H.http2Settings],
  ['grpc-status', H.grpcStatus],
  ['user-agent', H.userAgent],
  ['content-type', H.contentType],
  ['authorization', H.authorization],
  ['cookie', H.cookie],
  ['proxy-authorization', H.proxyAuthorization],
]

/** Applications behind CGI or WSGI read `_` as `-`: a forged identity may not come in by that spelling either. */
const forgeable: readonly (readonly [string, number])[] = Array.from({ length: 7 }, (_, i) => [`x${i & 1 ? '-' : '_'}forwarded${i & 2 ? '-' : '_'}client${i & 4 ? '-' : '_'}cert`, H.xForwardedClientCert] as const)

interface Known {
  readonly id: number
  readonly bytes: Uint8Array
}

const slots: (readonly Known[] | undefined)[] = Array.from({ length: 64 * 32 })
for (const [name, id] of [...names, ...forgeable]) {
  const slot = name.length * 32 + (name.charCodeAt(0) & 31)
  slots[slot] = [...(slots[slot] ?? []), { id, bytes: Buffer.from(name, 'latin1') }]
}
const envoyPrefix = Buffer.from('x-envoy-', 'latin1')

/** Id of the name in `buf[start,end)`, whatever its case. */
export function headerId(buf: Uint8Array, start: number, end: number): number {
  const length = end - start
  const first = buf[start] as number
  const known = length < 64 ? slots[length * 32 + (first & 31)] : undefined
  if (known !== undefined) for (const k of known) if (sameName(buf, start, k.bytes, length)) return k.id
  if ((first | 0x20) === 0x78 && length > 8 && sameName(buf, start, envoyPrefix, 8)) return H.xEnvoy
  return H.other
}

/** Case-insensitive comparison of a token with a lower-case one of letters, digits and hyphens. */
export function sameName(buf: Uint8Array, start: number, lower: Uint8Array, length: number): boolean {
  for (let i = 0; i < length; i++) {
    const c = buf[start + i] as number
    const want = lower[i] as number
    if (c !== want && !(c >= 0x41 && c <= 0x5a && (c | 0x20) === want)) return false
  }
  return true
}

/** 1 = may stand in a token (RFC 9110 5.6.2). */
export const tokenChar = new Uint8Array(256)
for (const c of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") tokenChar[c.charCodeAt(0)] = 1
