// The ports on which connections arrive, and what the kernel or the dial map says of where they meant to go.
// Law: a connection that was made to the proxy's own port directly is refused, or it would loop.
import { createServer, type Server, type Socket } from 'node:net'
import { plainAddress, type SocketAddress } from '#engine'
import { KithError } from '#lib/errors.ts'
import { originalDestination } from '#netlink'
import { accept, type Accepting } from './accept.ts'

export interface Listening {
  readonly port: number
  /** Stops listening; ends what it has accepted, in whatever state it is. */
  close(): Promise<void>
}

/** @throws KithError LISTEN_FAILED */
export function listen(host: string | undefined, port: number, onSocket: (socket: Socket) => void): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const open = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {})
      open.add(socket)
      socket.on('close', () => open.delete(socket))
      onSocket(socket)
    })
    server.once('error', (cause) => reject(new KithError('LISTEN_FAILED', `cannot listen on ${host ?? '*'}:${port}: ${cause.message}`, { cause })))
    server.listen({ port, ...(host === undefined ? {} : { host }), backlog: 4096 }, () => {
      const address = server.address()
      resolve({ port: typeof address === 'object' && address !== null ? address.port : port, close: () => closeAll(server, open) })
    })
  })
}

/** 15001 or 15006: connections that the kernel has redirected. */
export function redirected(accepting: Accepting, inbound: boolean): (socket: Socket) => void {
  return (socket) => {
    let original: SocketAddress | undefined
    try {
      original = originalDestination(socket)
    } catch (error) {
      accepting.core.log.error({ error: (error as Error).message }, 'original destination cannot be read')
    }
    const local = plainAddress(socket.localAddress ?? '')
    if (original === undefined || (original.port === socket.localPort && plainAddress(original.address) === local)) {
      accepting.core.metrics.count('kith_connections_refused_total', 'reason="direct"')
      socket.destroy()
      return
    }
    accept(accepting, socket, inbound, { address: plainAddress(original.address), port: original.port })
  }
}

/** Explicit mode: this port stands for that destination. */
export function standsFor(accepting: Accepting, original: SocketAddress): (socket: Socket) => void {
  return (socket) => accept(accepting, socket, true, original)
}

function closeAll(server: Server, open: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    for (const socket of open) socket.destroy()
  })
}
