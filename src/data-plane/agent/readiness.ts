// Whether this sidecar is ready, for the kubelet on 15021. It is asked once a second while a pod starts: a question that comes a little early is held until the answer is yes,
// so that no pod waits a second longer than it must. Law: loaded before all else, so it imports next to nothing.
import type { ServerResponse } from 'node:http'
import type { Logger } from '#lib/log.ts'
import { serveAt, type Place } from './http-place.ts'

/** Half a second shorter than the probes' own patience (`timeoutSeconds: 3`): a start that takes longer than that fails one probe, which the kubelet logs. */
export const longestHoldMs = 2500
const lookMs = 20

export class ReadinessGate {
  readonly #holdMs: number
  #ready: () => Promise<boolean> | boolean = () => false
  #ended = false

  constructor(holdMs = longestHoldMs) {
    this.#holdMs = holdMs
  }

  /** How to find out, from now on. */
  ask(ready: () => Promise<boolean> | boolean): void {
    this.#ready = ready
  }

  /** Never again. */
  end(): void {
    this.#ended = true
  }

  async ready(): Promise<boolean> {
    for (const endMs = performance.now() + this.#holdMs; !this.#ended; await new Promise((resolve) => setTimeout(resolve, lookMs))) {
      if (await this.#ready()) return !this.#ended
      if (performance.now() > endMs) return false
    }
    return false
  }
}

export async function answerReadiness(gate: ReadinessGate, response: ServerResponse): Promise<void> {
  const ready = await gate.ready()
  response.writeHead(ready ? 200 : 503).end(ready ? '' : 'not ready: waiting for certificates and configuration\n')
}

export const readinessPath = '/healthz/ready'

export function serveReadiness(at: Place, gate: ReadinessGate, log: Logger): Promise<{ close(): void }> {
  const answering = { anyName: (path: string) => path === readinessPath, log }
  return serveAt(at, answering, (path, _request, response) => (path === readinessPath ? void answerReadiness(gate, response) : void response.writeHead(404).end()))
}

/** 15021, or where it is counted from in explicit mode. */
export function readinessPlace(portBase: number | undefined): Place {
  return portBase === undefined ? { host: undefined, port: 15021 } : { host: '127.0.0.1', port: portBase + 2 }
}
