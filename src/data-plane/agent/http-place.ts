// A small HTTP server at one of the agent's ports.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { KithError } from '#lib/errors.ts'

export interface Place {
  /** undefined: every address, of both families where the kernel has both. */
  readonly host: string | undefined
  readonly port: number
}

/** @throws KithError PORT_IN_USE */
export function serveAt(at: Place, handler: (path: string, request: IncomingMessage, response: ServerResponse) => void): Promise<{ close(): void }> {
  const server: Server = createServer((request, response) => handler((request.url ?? '').split('?')[0] as string, request, response))
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
