// Requests that two parsers could read in two ways, as bytes. `{path}` is the case's own path; a request for /smuggled must never reach the application.

export interface Ambiguous {
  readonly name: string
  readonly bytes: string
}

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
const chunked = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
const shown = (text: string): string => JSON.stringify(text).slice(1, -1)

function post(fields: readonly string[], body: string): string {
  return ['POST {path} HTTP/1.1', 'Host: {host}', ...fields, '', body].join('\r\n')
}

const codings = [
  'chunked', 'Chunked', ' chunked ', '\tchunked', 'chunked\t', 'xchunked', 'chunkedx', 'chunked, identity', 'identity, chunked', 'gzip, chunked', 'chunked, chunked', 'chunked,', ',chunked', '"chunked"', 'chunked;q=1',
  'chunked\x0b', '\x0bchunked', 'chu\tnked', 'identity', 'gzip', '', 'chunked\0', 'chunked\xa0', 'deflate,\tchunked',
]
const lengths = ['+5', '-5', '5,5', '5, 6', '0x5', '05', '5.0', '', '5 5', '5\t', '\t5', '5e0', '٥', '5;', '"5"', '00000000000000000005', '99999999999999999999', '18446744073709551621', '4294967301', '5\0', '5\x0b', ' ', '-0', '5,', ',5', '٠']
const fieldLines = [
  'Transfer-Encoding : chunked', ' Transfer-Encoding: chunked', 'Transfer-Encoding\t: chunked', 'Transfer\0-Encoding: chunked', 'Transfer_Encoding: chunked', 'X: a\r\n Transfer-Encoding: chunked', 'X: a\nTransfer-Encoding: chunked',
  'X: a\rTransfer-Encoding: chunked', 'X: a\r\n\tb', 'no-colon', ': empty', 'X Y: z', 'X(: z', 'X: a\0b', 'X: a\x7fb', 'X: a\x01b', 'X: \x80\xff', 'X:', 'X\x80: a', '\xa0X: a', 'X: a\x0bb', 'X: a\x0cb', '"X": a', 'X,Y: a', 'X;: a', 'X/: a', '@: a', 'X: a\r\r\nY: b', '\0X: a', 'Content-Length\0: 5',
]
const startLines = [
  'GET  {path} HTTP/1.1', 'GET {path}  HTTP/1.1', 'GET\t{path}\tHTTP/1.1', 'GET {path} http/1.1', 'GET {path} HTTP/1.2', 'GET {path} HTTP/2.0', 'GET {path} HTTP/0.9', 'GET {path} HTTP/1.1 ', ' GET {path} HTTP/1.1', 'GET {path}', 'GET {path} HTTP/1.10',
  'GET {path} HTTP/01.1', 'GET {path} HTTP/1', 'GET {path}#x HTTP/1.1', 'GET {path}\x80 HTTP/1.1', 'GET {path}\0 HTTP/1.1', 'GET {path} x HTTP/1.1', 'get {path} HTTP/1.1', 'G@T {path} HTTP/1.1', 'G,T {path} HTTP/1.1', 'GET http://{host}{path} HTTP/1.1', 'GET http://other{path} HTTP/1.1',
  'GET HTTP://{host}{path} HTTP/1.1', 'GET ftp://{host}{path} HTTP/1.1', 'GET /{path} HTTP/1.1', 'GET *{path} HTTP/1.1', 'GET a{path} HTTP/1.1', 'GET http:{path} HTTP/1.1', '\r\nGET {path} HTTP/1.1', '\nGET {path} HTTP/1.1', '\r\n\r\nGET {path} HTTP/1.1', 'GET {path} HTTP/1.1\rX: y', 'GET {path} HTTP/1.1\nX: y', 'GET\x0b{path} HTTP/1.1', 'GET {path} HTTPS/1.1', 'GET {path} HTTP/1.1x',
]
const hosts: readonly (readonly string[])[] = [
  [], ['Host: {host}', 'Host: {host}'], ['Host: {host}', 'Host: other'], ['Host: {host}, other'], ['Host: {host} other'], ['Host: user@{host}'], ['Host: {host}/x'], ['Host:'], ['Host: {host}#x'], ['Host: {host}?x'], ['Host : {host}'], [' Host: {host}'], ['Host: {host}\0'], ['Host: {host}\t'], ['Host: [{host}'], ['Host: {host}\x80'],
]
const chunks = [
  ['a size with an extension', '5;a=b\r\nhello\r\n0\r\n\r\n'], ['a size with a quoted extension', '5;a="b"\r\nhello\r\n0\r\n\r\n'], ['a leading zero', '05\r\nhello\r\n0\r\n\r\n'], ['0x5', '0x5\r\nhello\r\n0\r\n\r\n'], ['+5', '+5\r\nhello\r\n0\r\n\r\n'], ['-5', '-5\r\nhello\r\n0\r\n\r\n'],
  ['a space before', ' 5\r\nhello\r\n0\r\n\r\n'], ['a space behind', '5 \r\nhello\r\n0\r\n\r\n'], ['a tab behind', '5\t\r\nhello\r\n0\r\n\r\n'], ['LF behind the size', '5\nhello\r\n0\r\n\r\n'], ['CR behind the size', '5\rhello\r\n0\r\n\r\n'], ['no line end behind the data', '5\r\nhello0\r\n\r\n'], ['LF behind the data', '5\r\nhello\n0\r\n\r\n'],
  ['LF at the end', '5\r\nhello\r\n0\n\n'], ['no size', '\r\nhello\r\n0\r\n\r\n'], ['a size that overflows', '10000000000000005\r\nhello\r\n0\r\n\r\n'], ['a size that is no number', 'g\r\nhello\r\n0\r\n\r\n'], ['LF in an extension', `5;a\nhello\r\n0\r\n\r\n`], ['CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
  ['NUL in an extension', '5;a\0\r\nhello\r\n0\r\n\r\n'], ['zeros only', '5\r\nhello\r\n000\r\n\r\n'], ['a trailer', '5\r\nhello\r\n0\r\nX: y\r\n\r\n'], ['a length as trailer', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'], ['a coding as trailer', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a host as trailer', '5\r\nhello\r\n0\r\nHost: b\r\n\r\n'], ['a trailer without colon', '5\r\nhello\r\n0\r\nX\r\n\r\n'], ['a folded trailer', '5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n'], ['a trailer with LF', '5\r\nhello\r\n0\r\nX: y\n\r\n'], ['a trailer with a space before its colon', '5\r\nhello\r\n0\r\nX : y\r\n\r\n'],
] as const

export const ambiguous: readonly Ambiguous[] = [
  ...codings.map((c) => ({ name: `Transfer-Encoding: ${shown(c)}`, bytes: post([`Transfer-Encoding: ${c}`], chunked('hello')) })),
  ...['chunked', 'identity', 'xchunked', '\tchunked', 'chunked, identity'].map((c) => ({ name: `a length and Transfer-Encoding: ${shown(c)}`, bytes: post(['Content-Length: 6', `Transfer-Encoding: ${c}`], `0\r\n\r\n${smuggled}`) })),
  { name: 'two codings in two fields', bytes: post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], `0\r\n\r\n${smuggled}`) },
  { name: 'a coding in HTTP/1.0', bytes: post(['Transfer-Encoding: chunked'], chunked('hello')).replace('HTTP/1.1', 'HTTP/1.0') },
  ...lengths.map((l) => ({ name: `Content-Length: ${shown(l)}`, bytes: post([`Content-Length: ${l}`], 'hello') })),
  { name: 'two equal lengths', bytes: post(['Content-Length: 5', 'Content-Length: 5'], 'hello') },
  { name: 'two lengths that differ', bytes: post(['Content-Length: 5', 'Content-Length: 0'], `hello${smuggled}`) },
  { name: 'a body that is longer than its length', bytes: post(['Content-Length: 0'], 'G') },
  ...fieldLines.map((f) => ({ name: `field ${shown(f)}`, bytes: post([f, 'Content-Length: 0'], '') })),
  ...startLines.map((s) => ({ name: `start line ${shown(s)}`, bytes: `${s}\r\nHost: {host}\r\n\r\n` })),
  ...hosts.map((h) => ({ name: `host ${shown(h.join(' | '))}`, bytes: ['GET {path} HTTP/1.1', ...h, 'X: y', '', ''].join('\r\n') })),
  ...chunks.map(([name, body]) => ({ name: `chunks: ${name}`, bytes: post(['Transfer-Encoding: chunked'], body) })),
]
