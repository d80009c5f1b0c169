// HTTPS for the API server: bodies in, AdmissionReviews out. Law: whoever reaches the port may send anything; it costs little, breaks nothing, and gets no stack trace.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { ownTlsServer, refusedLine } from '#lib/own-server.ts'
import type { Pair, ServingCertificate } from '../serving-certificate.ts'

export interface WebhookServerOptions {
  readonly host: string
  /** 0 chooses one. */
  readonly port: number
  readonly serving: Pick<ServingCertificate, 'addIdentityCertificateListener' | 'removeIdentityCertificateListener'>
  readonly ready: () => boolean
  /** What /ready says beside it, one line each: it stays ready, for what is wrong is not its own. */
  readonly notes?: () => readonly string[]
  /** First segment of the path → what answers. The body is parsed JSON; what it throws is our bug. */
  readonly routes: Readonly<Record<string, (body: unknown, path: string) => object>>
  readonly log: Logger
  /** Counted with why: `no-json` … */
  readonly onRefused?: (route: string, why: string) => void
}

export interface WebhookServer {
  readonly port: number
  /** New requests go elsewhere, those begun are answered. */
  close(): Promise<void>
}

/** An API server takes objects of 3 MB (etcd of 1.5), and a review may hold two of them. */
const maxBodyBytes = 7 * 1024 * 1024
/** Of all requests at once. */
const maxHeldBytes = 64 * 1024 * 1024
const maxConnections = 512

export async function serveWebhooks(options: WebhookServerOptions): Promise<WebhookServer> {
  const { log, serving } = options
  const holding = { bytes: 0 }
  const tls = { minVersion: 'TLSv1.2', maxHeaderSize: 16 * 1024, handshakeTimeout: 5000 } as const
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response, options, holding).catch((error: unknown) => {
      log.error({ error: error instanceof Error ? error.stack : String(error), path: request.url }, 'a review went wrong, our bug')
      options.onRefused?.(routeOf(request), 'bug')
      plain(response, 500, 'the control plane could not answer, its log says why')
    })
  }
  // An API server may be told to call it by any name or address.
  const server = ownTlsServer(tls, handler, { anyName: () => true, onRefused: (refused) => log.warn(...refusedLine(options.port, refused)) })
  server.maxConnections = maxConnections
  server.headersTimeout = 10_000
  server.requestTimeout = 15_000
  // Longer than the API server keeps its own: whoever closes first must not be us, or a review is lost now and then.
  server.keepAliveTimeout = 120_000
  server.on('tlsClientError', (error) => log.debug({ reason: error.message }, 'a caller and this server found no TLS in common'))
  const take = (pair: Pair | null): void => {
    if (pair !== null) server.setSecureContext({ minVersion: 'TLSv1.2', cert: pair.certificate, key: pair.privateKey })
  }
  serving.addIdentityCertificateListener(take)
  await listen(server, options)
  return {
    port: (server.address() as { port: number }).port,
    close() {
      serving.removeIdentityCertificateListener(take)
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
        setTimeout(() => server.closeAllConnections(), 2000).unref()
      })
    },
  }
}

function listen(server: Server, { host, port }: WebhookServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `the webhooks' port ${host}:${port} can't be opened: ${cause.message}`, { cause })))
    server.listen(port, host, resolve)
  })
}

async function answer(request: IncomingMessage, response: ServerResponse, options: WebhookServerOptions, holding: { bytes: number }): Promise<void> {
  const path = (request.url ?? '').split('?')[0] ?? ''
  const route = routeOf(request)
  if (route === 'ready' || route === 'httpsReady') return plain(response, options.ready() ? 200 : 503, [options.ready() ? 'ready' : 'not ready', ...(options.notes?.() ?? [])].join('\n'))
  const handle = Object.hasOwn(options.routes, route) ? options.routes[route] : undefined
  if (handle === undefined) return plain(response, 404, 'try /inject, /validate or /ready')
  const refuse = (code: number, why: string, sentence: string): void => {
    options.onRefused?.(route, why)
    // What still comes of the body is not read.
    response.shouldKeepAlive = false
    plain(response, code, sentence)
  }
  if (request.method !== 'POST') return refuse(405, 'method', 'POST an AdmissionReview')
  if (!/^application\/json(;|$)/i.test(request.headers['content-type'] ?? '')) return refuse(415, 'content-type', 'content-type must be application/json')
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) return refuse(413, 'too-large', `at most ${maxBodyBytes} bytes`)
  const body = await readBody(request, holding)
  if (body.failed === 'too-large') return refuse(413, 'too-large', `at most ${maxBodyBytes} bytes`)
  if (body.failed === 'busy') return refuse(503, 'busy', 'too much at once')
  if (body.failed === 'gone') return options.onRefused?.(route, 'gone')
  let parsed: unknown
  try {
    parsed = JSON.parse(body.text)
  } catch {
    return refuse(400, 'no-json', body.text === '' ? 'no body' : 'the body is no JSON')
  }
  // The caller has hung up: an answer would help nobody.
  if ((request.socket as Socket).destroyed) return options.onRefused?.(route, 'gone')
  const text = JSON.stringify(handle(parsed, path))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}

interface Body {
  readonly text: string
  readonly failed?: 'too-large' | 'busy' | 'gone'
}

async function readBody(request: IncomingMessage, holding: { bytes: number }): Promise<Body> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    // Left early, the stream stays open: the refusal goes out on the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      holding.bytes += chunk.length
      if (bytes > maxBodyBytes) return { text: '', failed: 'too-large' }
      if (holding.bytes > maxHeldBytes) return { text: '', failed: 'busy' }
      chunks.push(chunk)
    }
    return { text: Buffer.concat(chunks).toString('utf8') }
  } catch {
    return { text: '', failed: 'gone' }
  } finally {
    holding.bytes -= bytes
  }
}

function routeOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0]?.split('/')[1] ?? ''
}

function plain(response: ServerResponse, code: number, sentence: string): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(sentence + '\n')
}
