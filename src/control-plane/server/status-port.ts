// What an operator may look at: metrics, readiness, who is in sync. Law: what shows configuration is for this machine, or for whoever proves to belong to the control plane's namespace.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { isLoopbackHost, ownServer, refusedLine } from '#lib/own-server.ts'
import type { KindStatus } from '#sources'
import type { ProxyStatus } from './discovery.ts'

export interface StatusSources {
  readonly registry: Registry
  readonly snapshot: () => number
  readonly proxies: () => readonly ProxyStatus[]
  readonly ready: () => boolean
  /** What /ready says, one line each; its status is `ready`'s alone. */
  readonly notes?: () => readonly string[]
  /** What stands behind it in a cluster. */
  readonly cluster?: () => object
  readonly kinds?: () => readonly KindStatus[]
  /** `objectMark` of the newest snapshot's objects that were read from files whose path begins with this. */
  readonly marks?: (under: string) => readonly string[]
  /** Whether a bearer token may see what /debug shows. Default: none may. */
  readonly mayDebug?: (token: string) => Promise<boolean>
  /** Of the control plane's Services. Default: none. */
  readonly names?: readonly string[]
  readonly log: Logger
}

export interface StatusAddress {
  readonly host: string
  readonly port: number
}

export async function serveStatus({ host, port }: StatusAddress, sources: StatusSources): Promise<Server> {
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    const json = (value: unknown): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value, null, 2) + '\n')
    const path = (request.url ?? '').split('?')[0] ?? ''
    const debug = (show: () => unknown): void => {
      mayDebug(request, sources).then((may) => (may ? json(show()) : response.writeHead(403).end('only for localhost, or with a token of this namespace\n')), () => response.writeHead(503).end())
    }
    switch (path) {
      case '/ready':
        return void response.writeHead(sources.ready() ? 200 : 503, { 'content-type': 'text/plain; charset=utf-8' }).end((sources.notes?.() ?? []).map((n) => `${n}\n`).join(''))
      case '/metrics':
        return void sources.registry.metrics().then((text) => response.writeHead(200, { 'content-type': sources.registry.contentType }).end(text), () => response.writeHead(500).end())
      case '/version':
        return json({ name: 'kith', node: process.version })
      case '/debug/syncz':
        return debug(() => ({ snapshot: sources.snapshot(), proxies: sources.proxies() }))
      case '/debug/objectz':
        return debug(() => ({ snapshot: sources.snapshot(), marks: sources.marks?.(queryOf(request).get('under') ?? '') ?? [] }))
      case '/debug/kindz':
        return debug(() => sources.kinds?.() ?? [])
      case '/debug/clusterz':
        return debug(() => sources.cluster?.() ?? {})
      default:
        return void response.writeHead(404).end('try /ready /metrics /version /debug/syncz /debug/objectz?under= /debug/kindz /debug/clusterz\n')
    }
  }
  const names = new Set(sources.names)
  const server = ownServer(handler, {
    isOwnName: (name) => names.has(name),
    // The probe of the control plane's own pod; it tells no more than whether it is ready.
    anyName: (path) => path === '/ready',
    onRefused: (refused) => sources.log.warn(...refusedLine(port, refused)),
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `the status port ${host}:${port} can't be opened: ${cause.message}`, { cause })))
    server.listen(port, host, resolve)
  })
  return server
}

function queryOf(request: IncomingMessage): URLSearchParams {
  return new URLSearchParams((request.url ?? '').split('?')[1] ?? '')
}

/** Through a tunnel, such as kubectl port-forward, the connection comes from the loopback: the name must be the loopback's too. */
function isLocalName(request: IncomingMessage): boolean {
  return isLoopbackHost(request.headers.host ?? '')
}

async function mayDebug(request: IncomingMessage, sources: StatusSources): Promise<boolean> {
  const from = request.socket.remoteAddress ?? ''
  if (['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(from) && isLocalName(request)) return true
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1]
  return token !== undefined && sources.mayDebug !== undefined && sources.mayDebug(token)
}
