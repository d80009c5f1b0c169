// A small HTTP server at one of the agent's ports.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { ownServer, refusedLine } from '#lib/own-server.ts'

export interface Place {
  /** undefined: every address, of both families where the kernel has both. */
  readonly host: string | undefined
  readonly port: number
}

export interface Answering {
  /** Names besides those of the loopback and the pod's address. Default: none. */
  readonly isOwnName?: (host: string) => boolean
  /** Paths that may be asked for by any name: a user may set the Host of a probe. */
  readonly anyName: (path: string) => boolean
  readonly log: Logger
}

type Handler = (path: string, request: IncomingMessage, response: ServerResponse) => void

/** @throws KithError PORT_IN_USE */
export function serveAt(at: Place, { log, ...names }: Answering, handler: Handler): Promise<{ close(): void }> {
  const server = ownServer(
    (request, response) => handler((request.url ?? '').split('?')[0] as string, request, response),
    { ...names, onRefused: (refused) => log.warn(...refusedLine(at.port, refused)) },
  )
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `${at.host ?? '*'}:${at.port} can't be opened: ${cause.message}`, { cause })))
    server.listen({ port: at.port, ...(at.host === undefined ? {} : { host: at.host }) }, () => resolve({
      close() {
        server.close()
        server.closeAllConnections()
      },
    }))
  })
}
