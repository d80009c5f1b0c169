// Opens upstream sockets: marked, bound, by the dial map where there is one. Law: `error` is attached before anything can fail; a deadline ends every attempt.
import { connect, type Socket } from 'node:net'
import { formatAddress, type SocketAddress } from '#engine'
import type { DialMap } from './options.ts'

export interface DialRequest {
  readonly to: SocketAddress
  readonly bindAddress?: string | undefined
  readonly inbound: boolean
  readonly timeoutMs: number
  readonly keepaliveMs?: number | undefined
}

export type DialAnswer = (error: NodeJS.ErrnoException | undefined, socket: Socket) => void

export interface Dialler {
  /** Calls back once. The socket has no data listeners yet and is paused. */
  dial(request: DialRequest, done: DialAnswer): Socket
  /** Explicit mode: the address that stands for a name, where no resolver knows it. */
  addressOf(host: string): string | undefined
}

/** Makes an unconnected socket that carries the mark; null where marks can't be had. */
export type MarkedSocket = (mark: number, family: 4 | 6) => Socket

export function createDialler(dialMap: DialMap | undefined, mark: number | undefined, marked: MarkedSocket | undefined): Dialler {
  const table = new Map<string, SocketAddress>()
  for (const [from, to] of Object.entries(dialMap?.dial ?? {})) table.set(from, parseAddress(to))
  const apps = new Map<string, SocketAddress>()
  for (const entry of dialMap?.inbound ?? []) if (entry.app !== undefined) apps.set(entry.originalDestination, parseAddress(entry.app))
  return {
    addressOf: (host) => dialMap?.hosts[host.toLowerCase()],
    dial(request, done) {
      const key = formatAddress(request.to)
      const to = (request.inbound ? apps.get(key) : undefined) ?? table.get(key) ?? request.to
      const family = to.address.includes(':') ? 6 : 4
      // ::6 belongs to no interface: over IPv6 what the proxy sends is told by its mark or its owner alone.
      const bind = family === 4 && request.bindAddress !== undefined && !request.bindAddress.includes(':') ? request.bindAddress : undefined
      const options = { host: to.address, port: to.port, ...(bind === undefined ? {} : { localAddress: bind }) }
      const shape = { allowHalfOpen: true, noDelay: true }
      const socket = mark !== undefined && marked !== undefined ? marked(mark, family).connect({ ...options, ...shape }) : connect({ ...options, ...shape })
      let answered = false
      const answer = (error: NodeJS.ErrnoException | undefined): void => {
        if (answered) return
        answered = true
        clearTimeout(timer)
        if (error !== undefined) socket.destroy()
        done(error, socket)
      }
      const timer = setTimeout(() => answer(Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' })), request.timeoutMs)
      socket.on('error', answer)
      socket.once('close', () => answer(Object.assign(new Error('closed while connecting'), { code: 'ECONNRESET' })))
      socket.once('connect', () => {
        if (mark !== undefined) socket.setNoDelay(true)
        if (request.keepaliveMs !== undefined) socket.setKeepAlive(true, request.keepaliveMs)
        answer(undefined)
      })
      return socket
    },
  }
}

/** `127.0.0.1:80`, `[::1]:80` */
export function parseAddress(text: string): SocketAddress {
  const colon = text.lastIndexOf(':')
  return { address: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}
