// Explicit mode: the application's HTTP proxy. Absolute-form requests and CONNECT are looked up by name and then handled like intercepted connections to that address.
// Law: only the first request decides; the connection closes after it, so that a second one can't go elsewhere unseen.
import type { Socket } from 'node:net'
import type { SocketAddress } from '#engine'
import { accept, type Accepting } from './accept.ts'
import { Gather } from './gather.ts'
import { Head } from './http1/head.ts'

const maxHeadBytes = 60 * 1024

export function proxyRequests(accepting: Accepting, hosts: Readonly<Record<string, string>>): (socket: Socket) => void {
  return (socket) => {
    const gather = new Gather()
    const head = new Head()
    let timer: NodeJS.Timeout | undefined
    const onData = (chunk: Buffer): void => {
      const held = gather.append(chunk)
      const end = head.read(held, 0, false, maxHeadBytes, 200, gather.seen)
      if (end === 0) {
        gather.seen = held.length
        const { headTimeoutMs } = accepting.core
        if (headTimeoutMs > 0) timer ??= setTimeout(() => refuse(socket, '408 Request Timeout'), headTimeoutMs)
        return
      }
      clearTimeout(timer)
      socket.off('data', onData)
      socket.pause()
      const target = end < 0 || head.authorityStart < 0 ? undefined : resolve(head.authority(), hosts)
      if (target === undefined) return refuse(socket, end < 0 ? '400 Bad Request' : head.authorityStart < 0 ? '400 Bad Request' : '502 Bad Gateway')
      if (head.method === 'CONNECT') {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        if (end < held.length) socket.unshift(held.subarray(end))
        accept(accepting, socket, false, target)
        return
      }
      socket.unshift(held)
      accept(accepting, socket, false, target, true)
    }
    socket.on('data', onData)
    socket.once('end', () => (gather.length === 0 ? socket.destroy() : undefined))
    socket.once('close', () => clearTimeout(timer))
    socket.resume()
  }
}

/** `host:port` → the address that DNS would have given in a cluster. */
function resolve(authority: string, hosts: Readonly<Record<string, string>>): SocketAddress | undefined {
  const parts = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(authority)
  if (parts === null) return undefined
  const name = (parts[1] as string).replace(/^\[|\]$/g, '').toLowerCase()
  const port = Number(parts[2] ?? 80)
  const address = hosts[name] ?? hosts[name.replace(/\.$/, '')] ?? (/^[\d.]+$|:/.test(name) ? name : undefined)
  return address === undefined || port === 0 || port > 65535 ? undefined : { address, port }
}

function refuse(socket: Socket, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)
}
