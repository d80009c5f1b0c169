// What an operator may look at, on loopback alone: metrics, who is in sync, readiness.
import { createServer, type Server } from 'node:http'
import type { Registry } from 'prom-client'
import { KithError } from '#lib/errors.ts'
import type { ProxyStatus } from './discovery.ts'

export interface StatusSources {
  readonly registry: Registry
  readonly snapshot: () => number
  readonly proxies: () => readonly ProxyStatus[]
  readonly ready: () => boolean
}

export async function serveStatus(port: number, sources: StatusSources): Promise<Server> {
  const server = createServer((request, response) => {
    // A web page may point a name of its own at 127.0.0.1: whoever asks by another name than this machine's is not from here.
    if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/i.test(request.headers.host ?? '')) return void response.writeHead(403).end('only for localhost\n')
    const json = (value: unknown): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value, null, 2) + '\n')
    switch ((request.url ?? '').split('?')[0]) {
      case '/ready':
        return void response.writeHead(sources.ready() ? 200 : 503).end()
      case '/debug/syncz':
        return json({ snapshot: sources.snapshot(), proxies: sources.proxies() })
      case '/version':
        return json({ name: 'kith', node: process.version })
      case '/metrics':
        return void sources.registry.metrics().then((text) => response.writeHead(200, { 'content-type': sources.registry.contentType }).end(text), () => response.writeHead(500).end())
      default:
        return void response.writeHead(404).end('try /ready /metrics /debug/syncz /version\n')
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `the status port 127.0.0.1:${port} can't be opened: ${cause.message}`, { cause })))
    server.listen(port, '127.0.0.1', resolve)
  })
  return server
}
