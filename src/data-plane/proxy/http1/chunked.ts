// Chunk framing, written: payload whose length nobody knows, on its way to an HTTP/1.1 peer. Law: nothing is framed twice; a trailer that would change how a message reads never gets in.
import type { Trailers } from '../downstream.ts'
import type { Transport } from '../transport.ts'
import { mayTrail } from './body.ts'
import * as out from './writer.ts'

/** Whatever the writer holds, then one chunk; as one buffer. */
export function chunk(buf: Buffer, from: number, to: number): Buffer {
  out.text(`${(to - from).toString(16)}\r\n`)
  out.bytes(buf, from, to)
  out.text('\r\n')
  return out.take()
}

/** Up to this many bytes are copied, to go out in one write with what stands before them. */
export const maxJoinedBytes = 64 * 1024
const lineBreak = Buffer.from('\r\n', 'latin1')

/** One chunk of `buf[from,to)`, in one write where it is small; nothing where it is empty. False: wait for the drain. */
export function writeChunk(transport: Transport, buf: Buffer, from: number, to: number): boolean {
  if (to === from) return true
  out.begin()
  if (to - from <= maxJoinedBytes) return transport.write(chunk(buf, from, to))
  transport.write(Buffer.from(`${(to - from).toString(16)}\r\n`, 'latin1'))
  transport.write(buf.subarray(from, to))
  return transport.write(lineBreak)
}

const last = Buffer.from('0\r\n\r\n', 'latin1')

export function lastChunk(trailers: Trailers): Buffer {
  if (trailers === undefined || trailers.length === 0) return last
  out.begin()
  out.text('0\r\n')
  for (let i = 0; i + 1 < trailers.length; i += 2) if (mayTrail(trailers[i] as string)) out.line(trailers[i] as string, trailers[i + 1] as string)
  out.text('\r\n')
  return out.take()
}
