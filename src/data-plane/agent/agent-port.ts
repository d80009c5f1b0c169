// 15020: metrics, rewritten probes and hooks; draining and quitting are for the pod itself alone.
import type { IncomingMessage } from 'node:http'
import type { Logger } from '#lib/log.ts'
import { serveAt, type Place } from './http-place.ts'
import { patientProbe, probe, type Prober } from './probes.ts'
import { answerReadiness, readinessPath, type ReadinessGate } from './readiness.ts'

export interface AgentPortOptions {
  readonly at: Place
  readonly gate: ReadinessGate
  readonly metrics: () => Promise<string>
  readonly probers: ReadonlyMap<string, Prober>
  /** Where the application is probed, and the address that the probe comes from. */
  readonly application: { readonly address: string; readonly from: string | undefined }
  /** Asked from inside the pod: `POST /quitquitquit`, `POST /drain`. */
  readonly onQuit: () => void
  readonly onDrain: () => Promise<void>
  /** Names of the pod and of its Services. */
  readonly isOwnName: (host: string) => boolean
  readonly log: Logger
}

export function serveAgentPort(options: AgentPortOptions): Promise<{ close(): void }> {
  const { isOwnName, log, probers } = options
  const anyName = (path: string): boolean => path === readinessPath || probers.has(path)
  return serveAt(options.at, { isOwnName, anyName, log }, (asked, request, response) => {
    if (asked === readinessPath) return void answerReadiness(options.gate, response)
    if (asked === '/stats/prometheus' || asked === '/metrics') return void options.metrics().then((text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text), () => response.writeHead(500).end())
    const prober = options.probers.get(asked)
    // Liveness is another question: a port that has closed is to be heard of at once.
    const ask = /\/(readyz|startupz)$/.test(asked) ? patientProbe : probe
    if (prober !== undefined) return void ask(prober, options.application.address, options.application.from, request.headers['user-agent']).then(({ status, body }) => response.writeHead(status).end(body))
    if (asked === '/quitquitquit' || asked === '/drain') {
      if (request.method !== 'POST') return void response.writeHead(405).end()
      if (!isLoopback(request)) return void response.writeHead(403).end('only from inside the pod\n')
      if (asked === '/drain') return void options.onDrain().then(() => response.end('draining\n'), () => response.writeHead(500).end())
      response.end('quitting\n')
      return options.onQuit()
    }
    response.writeHead(404).end()
  })
}

/** 127.0.0.6 is what the sidecar's own inbound connections come from: a peer's, so not one of the pod's. */
const isLoopback = (request: IncomingMessage): boolean => /^(::ffff:127\.0\.0\.1|127\.0\.0\.1|::1)$/.test(request.socket.remoteAddress ?? '')
