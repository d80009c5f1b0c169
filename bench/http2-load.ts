// The HTTP/2 part of data-path.ts: an application that speaks it, and load over one connection. Law: answers and failures are counted as for HTTP/1.1.
import { createHash } from 'node:crypto'
import { connect as connectHttp2, createServer, type ClientHttp2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { host } from '../test/data-plane/pair.ts'
import { httpOptions, istioH2Alpn, type OutboundSpec } from '../test/data-plane/resources.ts'

/** What makes a service speak HTTP/2 upstream. */
export const http2Service: Pick<OutboundSpec, 'cluster' | 'routes'> = {
  cluster: httpOptions('http2'),
  routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: `outbound|8000||${host}`, timeout: '0s' }, typedPerFilterConfig: istioH2Alpn }],
}

/** GET answers `bytes` bytes; PUT answers the SHA-256 of what came. */
export async function http2Application(port: number, bytes: number): Promise<void> {
  const body = Buffer.alloc(bytes, 'x')
  const server = createServer({ settings: { initialWindowSize: 1024 * 1024 } })
  server.on('session', (session) => session.setLocalWindowSize(16 * 1024 * 1024))
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {})
    if (headers[':method'] === 'GET') {
      stream.respond({ ':status': 200, 'content-type': 'text/plain' })
      return void stream.end(body)
    }
    const hash = createHash('sha256')
    stream.on('data', (part: Buffer) => hash.update(part))
    stream.on('end', () => {
      stream.respond({ ':status': 200 })
      stream.end(hash.digest('hex'))
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
}

export function http2Session(socket: Socket): ClientHttp2Session {
  return connectHttp2('http://httpbin.bar:8000', { createConnection: () => socket }).on('error', () => {})
}

/** Failures among `total` requests, `streams` at a time on one connection. */
export async function http2Load(socket: Socket, total: number, streams: number): Promise<number> {
  const session = http2Session(socket)
  let started = 0
  let failures = 0
  const worker = async (): Promise<void> => {
    while (started++ < total) if (!(await get(session))) failures++
  }
  await Promise.all(Array.from({ length: streams }, worker))
  session.destroy()
  return failures
}

function get(session: ClientHttp2Session): Promise<boolean> {
  return new Promise((resolve) => {
    let ok = false
    const stream = session.request({ ':path': '/get', 'user-agent': 'bench/1', accept: '*/*' })
    stream.on('response', (h) => (ok = h[':status'] === 200))
    stream.on('error', () => {})
    stream.on('close', () => resolve(ok))
    stream.resume()
  })
}

/** Sends `parts` as one body; what the application says of it. */
export async function http2Put(socket: Socket, parts: Iterable<Buffer>): Promise<string> {
  const session = http2Session(socket)
  const stream = session.request({ ':path': '/big', ':method': 'PUT' })
  let text = ''
  stream.setEncoding('latin1').on('data', (part: string) => (text += part))
  const closed = new Promise((resolve) => stream.on('close', resolve).on('error', () => {}))
  for (const part of parts) if (!stream.write(part)) await Promise.race([new Promise((resolve) => stream.once('drain', resolve)), closed])
  stream.end()
  await closed
  session.destroy()
  return text
}
