// One byte stream, plain or TLS, behind four calls and four events; everything above it knows no sockets, so that a faster one may take its place.
// Law: `error` is listened to from the first moment; whatever a peer does ends in onClose, once, and never in a throw.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { SocketAddress } from '#engine'
import { resetOnClose, tcpInfo, type TcpInfo } from '#netlink'
import type { PeerIdentity } from './peer.ts'

export interface TransportEvents {
  onData(chunk: Buffer): void
  /** The peer has sent its last byte; writing goes on. */
  onEnd(): void
  onDrain(): void
  /** Nothing comes or goes any more. */
  onClose(error: NodeJS.ErrnoException | undefined): void
}

export interface TlsFacts {
  /** `TLSv1.3` */
  readonly version: string
  readonly cipher: string
  readonly alpn: string
  /** Verified; undefined where the peer showed no certificate. */
  readonly peer: PeerIdentity | undefined
}

export interface Transport {
  events: TransportEvents
  readonly local: SocketAddress
  readonly remote: SocketAddress
  readonly tls: TlsFacts | undefined
  readonly closed: boolean
  /** All that was written is with the kernel, and all that was read has been handed over. */
  readonly settled: boolean
  /** More than a little waits to be taken by the peer: onDrain comes. */
  readonly congested: boolean
  /** Nothing is read now, so that the peer's end goes unheard. */
  readonly paused: boolean
  /** What the kernel knows of the connection; undefined where it cannot be asked. Read it before the next call, of any transport. */
  kernel(): TcpInfo | undefined
  /** False: wait for onDrain before writing much more. */
  write(chunk: Buffer): boolean
  /** No more bytes from here; what is queued still goes out. */
  end(): void
  destroy(): void
  /** Like `destroy`, and the peer hears a reset instead of an end. */
  reset(): void
  pause(): void
  resume(): void
}

/** TLS hands over 16 KB at a time, several in one turn: they go out in one system call. */
const bulkBytes = 8 * 1024

const deaf: TransportEvents = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

export class SocketTransport implements Transport {
  events: TransportEvents = deaf
  readonly local: SocketAddress
  readonly remote: SocketAddress
  readonly tls: TlsFacts | undefined
  closed = false
  readonly #socket: Socket | TLSSocket
  #error: NodeJS.ErrnoException | undefined
  #corked = false
  readonly #onData: (chunk: Buffer) => void
  readonly #uncork = (): void => {
    this.#corked = false
    this.#socket.uncork()
  }

  /** `onBug`: something of ours threw while it handled this stream; the stream ends, the proxy doesn't. */
  constructor(socket: Socket | TLSSocket, onBug: (error: unknown) => void, tls?: TlsFacts) {
    this.#socket = socket
    this.tls = tls
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    this.remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    socket.on('error', (error) => {
      this.#error ??= error
    })
    const broken = (error: unknown): void => {
      onBug(error)
      socket.destroy()
    }
    this.#onData = (chunk) => {
      try {
        this.events.onData(chunk)
      } catch (error) {
        broken(error)
      }
    }
    socket.on('data', this.#onData)
    socket.on('end', () => {
      try {
        this.events.onEnd()
      } catch (error) {
        broken(error)
      }
    })
    socket.on('drain', () => {
      try {
        this.events.onDrain()
      } catch (error) {
        broken(error)
      }
    })
    socket.on('close', () => {
      if (this.closed) return
      this.closed = true
      try {
        this.events.onClose(this.#error)
      } catch (error) {
        onBug(error)
      }
    })
    if (socket.destroyed) queueMicrotask(() => socket.emit('close', false))
  }

  get settled(): boolean {
    return this.#socket.writableLength === 0 && this.#socket.readableLength === 0
  }

  get congested(): boolean {
    return this.#socket.writableNeedDrain
  }

  get paused(): boolean {
    return this.#socket.isPaused()
  }

  kernel(): TcpInfo | undefined {
    return tcpInfo(this.#socket)
  }

  /** Gives the socket back to whoever speaks another protocol on it; `bytes` were read from it already. */
  release(bytes: Buffer): Socket | TLSSocket {
    const socket = this.#socket
    this.closed = true
    this.events = deaf
    socket.off('data', this.#onData)
    socket.pause()
    if (!socket.destroyed) socket.unshift(bytes)
    return socket
  }

  write(chunk: Buffer): boolean {
    if (this.closed || this.#socket.destroyed || this.#socket.writableEnded) return true
    if (chunk.length >= bulkBytes && !this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(this.#uncork)
    }
    return this.#socket.write(chunk)
  }

  end(): void {
    if (!this.#socket.destroyed) this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  reset(): void {
    if (!this.#socket.destroyed) resetOnClose(this.#socket)
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }
}
