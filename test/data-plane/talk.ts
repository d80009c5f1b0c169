// Raw conversations with a sidecar, and applications that remember what reached them.
import { createServer, connect, type Socket, type Server } from 'node:net'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listenOn } from './pair.ts'

/** Everything that comes back until the peer closes, or until `enough` says so. */
export function talk(port: number, bytes: string | Buffer, enough?: (text: string) => boolean, options: { readonly end?: boolean } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (enough?.(text) === true) socket.destroy()
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(text))
    socket.write(bytes)
    if (options.end === true) socket.end()
  })
}

/** A connection like an intercepted one: CONNECT to the service, then raw bytes. */
export async function intercepted(proxyPort: number, target = 'httpbin.bar:8000'): Promise<Socket> {
  const socket = connect({ port: proxyPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  socket.on('error', () => {})
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`)
  await new Promise<void>((resolve, reject) => {
    socket.once('data', () => resolve())
    socket.once('close', () => reject(new Error('closed')))
  })
  return socket
}

/** Sends on an intercepted connection and reads until `enough`, or the close. */
export function exchange(socket: Socket, bytes: string | Buffer, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const onEnd = (): void => void socket.end()
    const done = (): void => {
      socket.off('data', onData)
      socket.off('close', done)
      socket.off('end', onEnd)
      resolve(text)
    }
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (enough(text)) done()
    }
    socket.on('data', onData)
    socket.on('close', done)
    socket.once('end', onEnd)
    socket.resume()
    socket.write(bytes)
  })
}

/** True once a whole response with a content-length, or a last chunk, is there. */
export function whole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))
  return length === null ? text.endsWith('0\r\n\r\n') : text.length >= end + 4 + Number(length[1])
}

export interface App {
  readonly port: number
  readonly server: Server
  close(): void
}

export async function httpApp(handler: (req: IncomingMessage, res: ServerResponse) => void): Promise<App> {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, handler)
  const port = await listenOn(server)
  return {
    port,
    server,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** An application of raw bytes; `connections` keeps every byte that each one got. */
export async function rawApp(onConnection: (socket: Socket) => void): Promise<App & { readonly received: Buffer[][] }> {
  const received: Buffer[][] = []
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const bytes: Buffer[] = []
    received.push(bytes)
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    socket.on('data', (chunk: Buffer) => bytes.push(chunk))
    onConnection(socket)
  })
  const port = await listenOn(server)
  return {
    port,
    server,
    received,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`never came true: ${what}`)
}
