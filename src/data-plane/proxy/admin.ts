// Admin on loopback: what the proxy holds and has seen. Law: neither a neighbour nor a web page gets in (#lib/own-server.ts); no private key, ever.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { toJson } from '@bufbuild/protobuf'
import { anyUnpack } from '@bufbuild/protobuf/wkt'
import { registry } from '#proto'
import type { CompileInput } from '#engine'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { clusterNames, ownServer, refusedLine } from '#lib/own-server.ts'
import type { Core } from './core.ts'
import type { Proxy, ProxyIdentity } from './options.ts'
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
  return face({ host: '127.0.0.1', port, log: core.log, isOwnName: () => false }, (request, response) => {
    const page = pages[(request.url ?? '/').split('?')[0] as string]
    if (page === undefined) text(response, 404, `${Object.keys(pages).join('\n')}\n`)
    else page(response, request)
  })
}

export function startPrometheus(port: number, proxy: Proxy, identity: ProxyIdentity, log: Logger): Promise<HttpFace> {
  return face({ host: undefined, port, log, isOwnName: ownNames(identity) }, (request, response) => {
    if ((request.url ?? '').split('?')[0] === '/stats/prometheus') text(response, 200, proxy.metrics(), 'text/plain; version=0.0.4')
    else text(response, 404, '/stats/prometheus\n')
  })
}

/** Node ids end with the domain of the pod's namespace: `sidecar~10.0.0.1~web-1.foo~foo.svc.cluster.local`. */
function ownNames({ nodeId, namespace, pod, workload, labels }: ProxyIdentity): (host: string) => boolean {
  const domain = nodeId.split('~')[3]?.replace(`${namespace}.svc.`, '') ?? 'cluster.local'
  return clusterNames([pod, workload, labels['app'] ?? ''], namespace, domain)
}

interface Face {
  readonly host: string | undefined
  readonly port: number
  readonly log: Logger
  readonly isOwnName: (host: string) => boolean
}

function face({ host, port, log, isOwnName }: Face, serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<HttpFace> {
  return new Promise((resolve, reject) => {
    const handler = (request: IncomingMessage, response: ServerResponse): void => {
      try {
        serve(request, response)
      } catch (error) {
        text(response, 500, `${(error as Error).message}\n`)
      }
    }
    const server = ownServer(handler, { isOwnName, onRefused: (refused) => log.warn(...refusedLine(port, refused)) })
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
    hosts: cluster.hosts.map((h) => ({ address: h.key, healthy: h.endpoint.healthy && h.ejectedUntilMs === 0, ejected: h.ejectedUntilMs > 0, ejectedForMs: Math.max(0, Math.round(h.ejectedUntilMs - performance.now())), transportSocket: h.socket.name === '' ? (h.socket.tls === null ? 'raw_buffer' : 'tls') : h.socket.name, weight: h.weight, active: h.active, connections: h.connections })),
  }
}

function json(response: ServerResponse, value: object): void {
  text(response, 200, JSON.stringify(value, null, 1) + '\n', 'application/json')
}

function text(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  response.end(body)
}
