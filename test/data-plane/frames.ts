// HTTP/2 by hand: frames and header blocks that no library would send.
import { connect, type Socket } from 'node:net'

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
export const type = { data: 0, headers: 1, priority: 2, reset: 3, settings: 4, ping: 6, goaway: 7, window: 8, continuation: 9 } as const
export const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const

export function frame(kind: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = kind
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Literal fields without indexing and without Huffman coding: any bytes at all. */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  const text = (s: string): Buffer[] => {
    const b = Buffer.from(s, 'latin1')
    return [integer(b.length, 7, 0), b]
  }
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), ...text(name), ...text(value)]))
}

/** HPACK's integer: `bits` of a prefix, `high` above them. */
export function integer(n: number, bits: number, high: number): Buffer {
  const max = 2 ** bits - 1
  if (n < max) return Buffer.from([high | n])
  const out = [high | max]
  for (n -= max; n >= 128; n >>= 7) out.push((n & 127) | 128)
  out.push(n)
  return Buffer.from(out)
}

export const get = (more: readonly (readonly [string, string])[] = []): readonly (readonly [string, string])[] => [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'a'], ...more]

export interface Frame {
  readonly kind: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** A connection that has said hello; what comes back is kept, frame by frame. */
export class RawClient {
  readonly frames: Frame[] = []
  readonly socket: Socket
  closed = false
  #held: Buffer = Buffer.alloc(0)

  /** `socket`: a connection that stands already, with TLS on it; then `port` means nothing. */
  constructor(port: number, hello = Buffer.concat([preface, frame(type.settings, 0, 0)]), socket?: Socket) {
    this.socket = socket ?? connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('error', () => {})
    this.socket.on('close', () => (this.closed = true))
    this.socket.on('data', (chunk: Buffer) => this.#read(chunk))
    this.socket.write(hello)
  }

  #read(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk])
    while (this.#held.length >= 9) {
      const length = this.#held.readUIntBE(0, 3)
      if (this.#held.length < 9 + length) return
      this.frames.push({ kind: this.#held[3] as number, flags: this.#held[4] as number, stream: this.#held.readUInt32BE(5), payload: Buffer.from(this.#held.subarray(9, 9 + length)) })
      this.#held = this.#held.subarray(9 + length)
    }
  }

  send(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  /** The error of RST_STREAM; undefined: none has come. */
  resetOf(stream: number): number | undefined {
    const found = this.frames.find((f) => f.kind === type.reset && f.stream === stream)
    return found?.payload.readUInt32BE(0)
  }

  goaway(): number | undefined {
    return this.frames.find((f) => f.kind === type.goaway)?.payload.readUInt32BE(4)
  }

  has(kind: number, stream: number): boolean {
    return this.frames.some((f) => f.kind === kind && f.stream === stream)
  }
}
