// What a command and the supervisor say to each other on the control socket: frames of a channel, a length and bytes.
// Channel 0 holds JSON; 1, 2 and 3 a program's standard input, output and error. One request a connection.
import type { Handshake } from '#identity'
import type { AppliedChange, LogOptions, MeshEvent, PodView } from './types.ts'
import type { Problem } from '#lib/problem.ts'

export type Request =
  | { readonly op: 'status' }
  | { readonly op: 'ps' }
  | { readonly op: 'wait-ready'; readonly timeoutMs: number }
  | { readonly op: 'exec'; readonly pod: string; readonly argv: readonly string[]; readonly container?: string; readonly stdin: boolean }
  | { readonly op: 'apply' | 'delete'; readonly text: string; readonly origin: string }
  | { readonly op: 'logs'; readonly pod: string; readonly follow?: boolean; readonly options: LogOptions }
  | { readonly op: 'handshakes'; readonly pod: string }
  /** A page of a sidecar's admin (`pod`), else of the control plane's status port. */
  | { readonly op: 'page'; readonly pod?: string; readonly path: string }
  | { readonly op: 'events' }
  | { readonly op: 'down'; readonly why?: string }

/** What stands between: `signal` goes to the program of `exec`, `eof` ends its input. */
export type ClientNote = { readonly signal: string } | { readonly eof: true }

export type Reply =
  | { readonly status: MeshStatus }
  | { readonly pods: readonly PodView[] }
  | { readonly handshakes: readonly Handshake[] | null }
  | { readonly page: Page }
  | { readonly done: true }
  | { readonly exit: number; readonly error?: string }
  | { readonly changes: readonly AppliedChange[]; readonly problems: readonly Problem[] }
  | { readonly event: MeshEvent }
  | { readonly failure: { readonly code: string; readonly message: string } }

export interface Page {
  readonly status: number
  readonly body: string
}

export interface MeshStatus {
  readonly dir: string
  readonly mode: 'namespaced' | 'explicit'
  readonly reason?: string
  readonly pid: number
  readonly startedAt: string
}

export const channels = { json: 0, stdin: 1, stdout: 2, stderr: 3 } as const
export type Channel = (typeof channels)[keyof typeof channels]

const headBytes = 5
const mostBytes = 64 * 1024 * 1024

export function encodeFrame(channel: Channel, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + payload.length)
  frame[0] = channel
  frame.writeUInt32BE(payload.length, 1)
  frame.set(payload, headBytes)
  return frame
}

export function encodeJson(value: Request | Reply | ClientNote): Buffer {
  return encodeFrame(channels.json, Buffer.from(JSON.stringify(value)))
}

/** Bytes in, whole frames out. */
export class FrameReader {
  private rest: Buffer = Buffer.alloc(0)

  /** @throws Error where the other side speaks something else */
  push(chunk: Buffer): { channel: Channel; payload: Buffer }[] {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    const frames: { channel: Channel; payload: Buffer }[] = []
    while (this.rest.length >= headBytes) {
      const length = this.rest.readUInt32BE(1)
      if (length > mostBytes || (this.rest[0] as number) > channels.stderr) throw new Error('not a frame of the control protocol')
      if (this.rest.length < headBytes + length) break
      frames.push({ channel: this.rest[0] as Channel, payload: this.rest.subarray(headBytes, headBytes + length) })
      this.rest = this.rest.subarray(headBytes + length)
    }
    return frames
  }
}
