// 15021 for the kubelet, 15020 for metrics and rewritten probes; quitting is for the pod itself alone.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { KithError } from '#lib/errors.ts'
import { probe, type Prober } from './probes.ts'

interface Place {
  readonly host: string | undefined
  readonly port: number
}

export interface HealthOptions {
  /** Without a host: every address, of both families where the kernel has both. */
  readonly health: Place
  readonly agent: Place
  readonly ready: () => Promise<boolean> | boolean
  readonly metrics: () => Promise<string>
  readonly probers: ReadonlyMap<string, Prober>
  /** Where the application is probed, and the address that the probe comes from. */
  readonly application: { readonly address: string; readonly from: string | undefined }
  /** Asked from inside the pod: `POST /quitquitquit`, `POST /drain`. */
  readonly onQuit: () => void
  readonly onDrain: () => Promise<void>
}

export async function serveHealth(options: HealthOptions): Promise<{ close(): void }> {
  const health = await listen(options.health, (request, response) => {
    if (path(request) === '/healthz/ready') return void readiness(options, response)
    response.writeHead(404).end()
  })
  const agent = await listen(options.agent, (request, response) => {
    const asked = path(request)
    if (asked === '/healthz/ready') return void readiness(options, response)
    if (asked === '/stats/prometheus' || asked === '/metrics') return void options.metrics().then((text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text), () => response.writeHead(500).end())
    const prober = options.probers.get(asked)
    if (prober !== undefined) return void probe(prober, options.application.address, options.application.from, request.headers['user-agent']).then(({ status, body }) => response.writeHead(status).end(body))
    if (asked === '/quitquitquit' || asked === '/drain') {
      if (request.method !== 'POST') return void response.writeHead(405).end()
      if (!isLoopback(request)) return void response.writeHead(403).end('only from inside the pod\n')
      if (asked === '/drain') return void options.onDrain().then(() => response.end('draining\n'), () => response.writeHead(500).end())
      response.end('quitting\n')
      return options.onQuit()
    }
    response.writeHead(404).end()
  })
  return {
    close() {
      for (const s of [health, agent]) {
        s.close()
        s.closeAllConnections()
      }
    },
  }
}

const path = (request: IncomingMessage): string => (request.url ?? '').split('?')[0] as string
/** 127.0.0.6 is what the sidecar's own inbound connections come from: a peer's, so not one of the pod's. */
const isLoopback = (request: IncomingMessage): boolean => /^(::ffff:127\.0\.0\.1|127\.0\.0\.1|::1)$/.test(request.socket.remoteAddress ?? '')

async function readiness(options: HealthOptions, response: ServerResponse): Promise<void> {
  const ready = await options.ready()
  response.writeHead(ready ? 200 : 503).end(ready ? '' : 'not ready: waiting for certificates and configuration\n')
}

function listen(at: Place, handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(handler)
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `${at.host ?? '*'}:${at.port} can't be opened: ${cause.message}`, { cause })))
    server.listen({ port: at.port, ...(at.host === undefined ? {} : { host: at.host }) }, () => resolve(server))
  })
}
