// A WebSocket to the API server, as far as its streams need one: binary messages both ways (RFC 6455). Node's own takes neither client certificates nor a CA.
import { createHash, randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { KithError } from '#lib/errors.ts'
import { credentialSource } from './credentials.ts'
import { tlsOptions } from './http.ts'
import type { ClusterAccess } from './kubeconfig.ts'

export interface WebSocketStream {
  /** Resolves when the kernel has taken it. */
  send(message: Buffer): Promise<void>
  /** Messages in order; ends when the other side closes. */
  readonly messages: AsyncIterable<Buffer>
  close(): void
}

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const mostBytes = 16 * 1024 * 1024
const opcodes = { continuation: 0, binary: 2, close: 8, ping: 9, pong: 10 } as const

export async function openWebSocket(access: ClusterAccess, path: string, protocol: string): Promise<WebSocketStream> {
  const base = new URL(access.server)
  const credential = await credentialSource(access).get()
  const key = randomBytes(16).toString('base64')
  const secure = base.protocol === 'https:'
  const socket = await new Promise<Duplex>((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)({
      host: base.hostname.replace(/^\[|\]$/g, ''), port: base.port === '' ? (secure ? 443 : 80) : Number(base.port), path: base.pathname.replace(/\/+$/, '') + path, agent: false, ...(secure ? tlsOptions(access.cluster, credential) : {}),
      headers: { ...credential.headers as Record<string, string | string[]>, 'user-agent': 'kith', connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key, 'sec-websocket-version': '13', 'sec-websocket-protocol': protocol },
    })
    request.setTimeout(30_000, () => request.destroy(new Error('no answer within 30 s')))
    request.once('upgrade', (response, upgraded, first) => {
      if (response.headers['sec-websocket-accept'] !== createHash('sha1').update(key + guid).digest('base64')) return void upgraded.destroy(new Error('the answer does not fit the question'))
      upgraded.setTimeout?.(0)
      if (first.length > 0) upgraded.unshift(first)
      resolve(upgraded)
    })
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (c: Buffer) => chunks.push(c)).on('end', () => reject(new KithError(response.statusCode === 403 ? 'K8S_FORBIDDEN' : response.statusCode === 404 ? 'K8S_NOT_FOUND' : 'K8S_FAILED', `GET ${path}: ${messageOf(Buffer.concat(chunks).toString('utf8')) || `answered ${response.statusCode}`}`)))
    })
    request.once('error', (cause) => reject(new KithError('K8S_UNREACHABLE', `GET ${path}: the API server ${base.host} can't be reached: ${cause.message}`, { cause })))
    request.end()
  })
  socket.on('error', () => undefined)
  const write = (opcode: number, payload: Buffer): Promise<void> => new Promise((resolve, reject) => void socket.write(frame(opcode, payload), (error) => (error ? reject(error) : resolve())))
  return {
    send: (message) => write(opcodes.binary, message),
    messages: messagesOf(socket, (payload) => void write(opcodes.pong, payload).catch(() => undefined)),
    close() {
      socket.end(frame(opcodes.close, Buffer.from([0x03, 0xe8])))
    },
  }
}

/** Clients mask what they send. */
function frame(opcode: number, payload: Buffer): Buffer {
  const length = payload.length
  const size = length < 126 ? Buffer.from([0x80 | length]) : length < 65536 ? Buffer.from([0x80 | 126, length >> 8, length & 255]) : Buffer.concat([Buffer.from([0x80 | 127, 0, 0, 0, 0]), uint32(length)])
  const mask = randomBytes(4)
  const masked = Buffer.from(payload)
  for (let i = 0; i < length; i++) masked[i] = (masked[i] as number) ^ (mask[i & 3] as number)
  return Buffer.concat([Buffer.from([0x80 | opcode]), size, mask, masked])
}

function uint32(n: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(n)
  return bytes
}

async function* messagesOf(socket: Duplex, pong: (payload: Buffer) => void): AsyncIterable<Buffer> {
  let pending: Buffer = Buffer.alloc(0)
  let parts: Buffer[] = []
  for await (const chunk of socket) {
    pending = pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer])
    for (;;) {
      const read = readFrame(pending)
      if (read === undefined) break
      pending = read.rest
      if (read.opcode === opcodes.close) return
      if (read.opcode === opcodes.ping) pong(read.payload)
      if (read.opcode > opcodes.binary) continue
      parts.push(read.payload)
      if (!read.last) continue
      yield Buffer.concat(parts)
      parts = []
    }
  }
}

interface Frame { readonly opcode: number; readonly last: boolean; readonly payload: Buffer; readonly rest: Buffer }

/** undefined: more bytes are needed. */
export function readFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined
  const short = (bytes[1] as number) & 127
  const head = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < head) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if (length > mostBytes) throw new KithError('K8S_FAILED', `the API server sent a message of ${length} bytes`)
  if (bytes.length < head + length) return undefined
  return { opcode: (bytes[0] as number) & 15, last: ((bytes[0] as number) & 128) !== 0, payload: bytes.subarray(head, head + length), rest: bytes.subarray(head + length) }
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text
  } catch {
    return text
  }
}
