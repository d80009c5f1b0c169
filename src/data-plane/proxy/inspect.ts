// Looks at a connection's first bytes without consuming them: TLS or not, server name, ALPN, HTTP/1.x or HTTP/2 with prior knowledge.
// Law: never throws; a client that says nothing is waited for as long as the listener says (server-first protocols hang there, as in Istio).
import type { Socket } from 'node:net'
import { ClientHelloReader } from './client-hello.ts'
import { Gather } from './gather.ts'

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
  /** For the whole inspection, silence before the first byte included; 0 = wait for ever. */
  readonly timeoutMs: number
  /** From the first byte to the last of what is inspected; 0 = no limit. */
  readonly headTimeoutMs: number
}

/** `timeout`: it cannot be told within the time. `slow`: a ClientHello or an HTTP/2 preface was begun and not ended. undefined: the peer is gone. */
export type InspectAnswer = Inspected | 'timeout' | 'slow' | undefined

const maxPeekBytes = 64 * 1024
const maxLineBytes = 8192
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Calls back once. The bytes are put back. */
export function inspect(socket: Socket, options: InspectOptions, done: (seen: InspectAnswer) => void): void {
  const gather = new Gather()
  const inspector = new Inspector(options)
  let timer: NodeJS.Timeout | undefined
  let headTimer: NodeJS.Timeout | undefined
  const finish = (seen: InspectAnswer): void => {
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.off('close', onClose)
    clearTimeout(timer)
    clearTimeout(headTimer)
    socket.pause()
    if (gather.bytes !== undefined && !socket.destroyed) socket.unshift(gather.bytes)
    done(seen)
  }
  const onData = (piece: Buffer): void => {
    const seen = inspector.push(piece, gather.append(piece))
    if (seen !== undefined) finish(seen)
    else if (gather.length > maxPeekBytes) finish(uninspected)
    else if (options.headTimeoutMs > 0) headTimer ??= setTimeout(() => finish(inspector.framed ? 'slow' : 'timeout'), options.headTimeoutMs)
  }
  const onEnd = (): void => finish(gather.length === 0 ? undefined : uninspected)
  const onClose = (): void => finish(undefined)
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.on('close', onClose)
  socket.resume()
  if (options.timeoutMs > 0) timer = setTimeout(() => finish('timeout'), options.timeoutMs)
}

/** What a connection's first bytes say, in one piece. undefined: more bytes are needed. */
export function look(data: Buffer, options: { readonly tls: boolean; readonly http: boolean }): Inspected | undefined {
  return new Inspector(options).push(data, data)
}

/** The first bytes in pieces of any size. Each byte is looked at a bounded number of times. */
class Inspector {
  readonly #http: boolean
  #hello: ClientHelloReader | undefined
  #preface = false
  /** So many bytes hold no end of a line. */
  #seen = 0

  constructor({ tls, http }: { readonly tls: boolean; readonly http: boolean }) {
    this.#http = http
    if (tls) this.#hello = new ClientHelloReader()
  }

  /** What came is the beginning of a ClientHello or of an HTTP/2 preface. */
  get framed(): boolean {
    return this.#hello !== undefined || this.#preface
  }

  /** `all`: what came so far, `piece` at its end. */
  push(piece: Buffer, all: Buffer): Inspected | undefined {
    if (this.#hello !== undefined) {
      const hello = this.#hello.push(piece)
      if (hello === 'more') return undefined
      if (hello !== 'no') return { transportProtocol: 'tls', serverName: hello.serverName, applicationProtocols: hello.alpn }
      this.#hello = undefined
    }
    if (!this.#http) return uninspected
    const protocol = httpVersion(all, this.#seen)
    this.#seen = all.length
    this.#preface = all.toString('latin1', 0, 4) === 'PRI '
    if (protocol === undefined) return undefined
    return protocol === '' ? uninspected : { transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: [protocol] }
  }
}

/** '' = no HTTP; undefined = can't be told yet. `seen`: in so many bytes no line has ended. */
function httpVersion(data: Buffer, seen: number): string | undefined {
  const n = Math.min(data.length, preface.length)
  if (data.compare(preface, 0, n, 0, n) === 0) return n === preface.length ? 'h2c' : undefined
  if (!/^[A-Z]{1,32}(?: |$)/.test(data.toString('latin1', 0, 34).split('\n', 1)[0] as string)) return ''
  // What looked like a preface has line ends of its own.
  const lineEnd = data.indexOf(0x0a, seen < preface.length ? 0 : seen)
  if (lineEnd < 0) return data.length > maxLineBytes ? '' : undefined
  const version = / HTTP\/(1\.[01])\r?$/.exec(data.toString('latin1', 0, lineEnd))
  return version === null ? '' : `http/${version[1]}`
}
