// Looks at a connection's first bytes without consuming them: TLS or not, server name, ALPN, HTTP/1.x or HTTP/2 with prior knowledge.
// Law: never throws; a client that says nothing is waited for as long as the listener says (server-first protocols hang there, as in Istio).
import type { Socket } from 'node:net'
import { readClientHello } from './client-hello.ts'

export interface Inspected {
  readonly transportProtocol: 'tls' | 'raw_buffer'
  readonly serverName: string
  /** ALPN of the ClientHello, or `http/1.1`, `http/1.0`, `h2c`. */
  readonly applicationProtocols: readonly string[]
}

export const uninspected: Inspected = { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: [] }

export interface InspectOptions {
  readonly tls: boolean
  readonly http: boolean
  /** 0 = wait for ever. */
  readonly timeoutMs: number
}

const maxPeekBytes = 64 * 1024
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Calls back once: what was seen, or undefined when the peer was gone or silent for too long. The bytes are put back. */
export function inspect(socket: Socket, options: InspectOptions, done: (seen: Inspected | 'timeout' | undefined) => void): void {
  let held: Buffer | undefined
  let timer: NodeJS.Timeout | undefined
  const finish = (seen: Inspected | 'timeout' | undefined): void => {
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.off('close', onClose)
    clearTimeout(timer)
    socket.pause()
    if (held !== undefined && !socket.destroyed) socket.unshift(held)
    done(seen)
  }
  const onData = (chunk: Buffer): void => {
    held = held === undefined ? chunk : Buffer.concat([held, chunk])
    const seen = look(held, options)
    if (seen !== undefined) finish(seen)
    else if (held.length > maxPeekBytes) finish(uninspected)
  }
  const onEnd = (): void => finish(held === undefined ? undefined : uninspected)
  const onClose = (): void => finish(undefined)
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.on('close', onClose)
  socket.resume()
  if (options.timeoutMs > 0) timer = setTimeout(() => finish('timeout'), options.timeoutMs)
}

/** undefined: more bytes are needed. */
export function look(data: Buffer, options: { readonly tls: boolean; readonly http: boolean }): Inspected | undefined {
  if (options.tls) {
    const hello = readClientHello(data)
    if (hello === 'more') return undefined
    if (hello !== 'no') return { transportProtocol: 'tls', serverName: hello.serverName, applicationProtocols: hello.alpn }
  }
  if (!options.http) return uninspected
  const protocol = httpVersion(data)
  if (protocol === undefined) return undefined
  return protocol === '' ? uninspected : { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: [protocol] }
}

/** '' = no HTTP; undefined = can't be told yet. */
function httpVersion(data: Buffer): string | undefined {
  const n = Math.min(data.length, preface.length)
  if (data.compare(preface, 0, n, 0, n) === 0) return n === preface.length ? 'h2c' : undefined
  const lineEnd = data.indexOf(0x0a)
  const line = data.toString('latin1', 0, lineEnd < 0 ? Math.min(data.length, 8192) : lineEnd)
  if (!/^[A-Z]{1,32}(?: |$)/.test(line)) return ''
  if (lineEnd < 0) return data.length > 8192 ? '' : undefined
  const version = / HTTP\/(1\.[01])\r?$/.exec(line)
  return version === null ? '' : `http/${version[1]}`
}
