// The command's end of the control socket.
import { connect, type Socket } from 'node:net'
import { KithError } from '#lib/errors.ts'
import { channels, encodeFrame, encodeJson, FrameReader, type Channel, type ClientNote, type Reply, type Request } from './control-protocol.ts'

export interface Session {
  /** Frames besides JSON: a program's output. */
  onBytes(listener: (channel: Channel, bytes: Buffer) => void): void
  onReply(listener: (reply: Reply) => void): void
  note(note: ClientNote): void
  /** Standard input of the program; false: wait for `drain`. */
  write(bytes: Uint8Array): boolean
  readonly socket: Socket
  /** Resolves when the other side has said all. */
  readonly closed: Promise<void>
}

/** @throws KithError MESH_UNREACHABLE where nobody listens */
export async function openSession(socketPath: string, request: Request): Promise<Session> {
  const socket = connect({ path: socketPath, allowHalfOpen: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', (cause) => reject(new KithError('MESH_UNREACHABLE', 'the mesh does not answer: it is not up, or has just ended', { cause })))
  })
  const reader = new FrameReader()
  const onBytes = new Set<(channel: Channel, bytes: Buffer) => void>()
  const onReply = new Set<(reply: Reply) => void>()
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    for (const { channel, payload } of reader.push(chunk)) {
      if (channel === channels.json) for (const l of onReply) l(JSON.parse(payload.toString('utf8')) as Reply)
      else for (const l of onBytes) l(channel, payload)
    }
  })
  socket.on('end', () => socket.end())
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.write(encodeJson(request))
  return {
    socket, closed,
    onBytes: (l) => void onBytes.add(l),
    onReply: (l) => void onReply.add(l),
    note: (n) => void socket.write(encodeJson(n)),
    write: (bytes) => socket.write(encodeFrame(channels.stdin, bytes)),
  }
}

/** One question, one answer. @throws KithError as the mesh said, or MESH_UNREACHABLE */
export async function ask(socketPath: string, request: Request): Promise<Reply> {
  const session = await openSession(socketPath, request)
  let answer: Reply | undefined
  session.onReply((reply) => (answer ??= reply))
  await session.closed
  if (answer === undefined) throw new KithError('MESH_UNREACHABLE', 'the mesh ended before it answered')
  if ('failure' in answer) throw new KithError(answer.failure.code, answer.failure.message)
  return answer
}
