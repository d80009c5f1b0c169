// Admin on loopback: what the proxy holds and has seen. Law: loopback and a loopback Host only, so that neither a neighbour nor a web page gets in; no private key, ever.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { toJson } from '@bufbuild/protobuf'
import { anyUnpack } from '@bufbuild/protobuf/wkt'
import { registry } from '#proto'
import type { CompileInput } from '#engine'
import { KithError } from '#lib/errors.ts'
import type { Core } from './core.ts'
import type { Proxy } from './options.ts'
import type { Secrets } from './secrets.ts'

export interface HttpFace {
  readonly port: number
  close(): Promise<void>
}

export interface AdminSources {
  readonly core: Core
  readonly secrets: Secrets
  readonly proxy: Proxy
  readonly resources: () => readonly CompileInput[]
  readonly onQuit: (() => void) | undefined
}

type Page = (response: ServerResponse, request: IncomingMessage) => void

export function startAdmin(port: number, sources: AdminSources): Promise<HttpFace> {
  const { core, secrets, proxy } = sources
  const started = Date.now()
  const pages: Readonly<Record<string, Page>> = {
    '/config_dump': (response) => json(response, { configs: sources.resources().map(dumpResource) }),
    '/stats/prometheus': (response) => text(response, 200, proxy.metrics(), 'text/plain; version=0.0.4'),
    '/stats': (response) => text(response, 200, proxy.metrics()),
    '/clusters': (response) => json(response, { clusters: [...core.upstreams.all()].map(describeCluster) }),
    '/certs': (response) => json(response, { certificates: secrets.describe() }),
    '/handshakes': (response) => json(response, { handshakes: core.handshakes.list() }),
    '/ready': (response) => text(response, proxy.ready() ? 200 : 503, proxy.ready() ? 'LIVE\n' : 'PRE_INITIALIZING\n'),
    '/server_info': (response) =>
      json(response, { version: 'kith', state: core.draining ? 'DRAINING' : proxy.ready() ? 'LIVE' : 'PRE_INITIALIZING', uptimeSeconds: Math.floor((Date.now() - started) / 1000), node: { id: core.identity.nodeId }, ...proxy.connections() }),
    '/logging': (response, request) => {
      const level = new URL(request.url ?? '/', 'http://admin').searchParams.get('level')
      if (level !== null && request.method === 'POST') (core.log as { level?: string }).level = level
      json(response, { level: (core.log as { level?: string }).level ?? 'info' })
    },
    '/quitquitquit': (response, request) => {
      if (request.method !== 'POST') return text(response, 405, 'POST only\n')
      text(response, 200, 'OK\n')
      sources.onQuit?.()
    },
  }
  return face('127.0.0.1', port, (request, response) => {
    const host = (request.headers.host ?? '').replace(/:\d+$/, '')
    if (host !== '' && !/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(host)) return text(response, 403, 'admin answers to loopback names only\n')
    const page = pages[(request.url ?? '/').split('?')[0] as string]
    if (page === undefined) text(response, 404, `${Object.keys(pages).join('\n')}\n`)
    else page(response, request)
  })
}

export function startPrometheus(port: number, proxy: Proxy): Promise<HttpFace> {
  return face(undefined, port, (request, response) => {
    if ((request.url ?? '').split('?')[0] === '/stats/prometheus') text(response, 200, proxy.metrics(), 'text/plain; version=0.0.4')
    else text(response, 404, '/stats/prometheus\n')
  })
}

function face(host: string | undefined, port: number, serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<HttpFace> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer((request, response) => {
      try {
        serve(request, response)
      } catch (error) {
        text(response, 500, `${(error as Error).message}\n`)
      }
    })
    server.once('error', (cause) => reject(new KithError('LISTEN_FAILED', `cannot listen on ${host ?? '*'}:${port}: ${cause.message}`, { cause })))
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      const address = server.address()
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: () =>
          new Promise((done) => {
            server.closeAllConnections()
            server.close(() => done())
          }),
      })
    })
  })
}

function dumpResource(resource: CompileInput): object {
  const { type, name, any } = resource
  try {
    const schema = registry.getMessage(type.split('/').at(-1) ?? '')
    const message = schema === undefined ? undefined : anyUnpack(any, schema)
    return { type, name, resource: schema === undefined || message === undefined ? null : toJson(schema, message, { registry }) }
  } catch (error) {
    return { type, name, error: (error as Error).message }
  }
}

function describeCluster(cluster: ReturnType<Core['upstreams']['get']> & object): object {
  return {
    name: cluster.config.name,
    type: cluster.config.discovery,
    connections: cluster.counts.connections,
    pending: cluster.counts.pending,
    requests: cluster.requests,
    hosts: cluster.hosts.map((h) => ({ address: h.key, healthy: h.endpoint.healthy && h.ejectedUntilMs === 0, ejected: h.ejectedUntilMs > 0, transportSocket: h.socket.name === '' ? (h.socket.tls === null ? 'raw_buffer' : 'tls') : h.socket.name, weight: h.weight, active: h.active, connections: h.connections })),
  }
}

function json(response: ServerResponse, value: object): void {
  text(response, 200, JSON.stringify(value, null, 1) + '\n', 'application/json')
}

function text(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  response.end(body)
}
