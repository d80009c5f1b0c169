// One gRPC call, grpc.health.v1.Health/Check, over HTTP/2 by hand: the gRPC library can't choose the address that a call comes from, and that address is what lets a probe pass.
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'

export interface HealthCheck {
  readonly host: string
  readonly port: number
  readonly localAddress: string | undefined
  readonly service: string
  readonly userAgent: string
  readonly timeoutMs: number
}

const SERVING = 1

/** Whether the service says SERVING. Throws on whatever is no such answer. */
export function checkHealth({ host, port, localAddress, service, userAgent, timeoutMs }: HealthCheck): Promise<boolean> {
  const socket = connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) })
  const session = connectHttp2(`http://${host}:${port}`, { createConnection: () => socket })
  const answer = new Promise<boolean>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      reject(error)
    }
    socket.on('error', fail)
    session.on('error', fail)
    const call = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers', 'user-agent': userAgent })
    const parts: Buffer[] = []
    let status = ''
    const readStatus = (headers: Readonly<Record<string, unknown>>): void => void (status ||= String(headers['grpc-status'] ?? ''))
    call.on('response', readStatus).on('trailers', readStatus).on('error', fail).on('data', (part: Buffer) => parts.push(part)).on('end', () => {
      clearTimeout(timer)
      if (status === '0') resolve(servingStatus(Buffer.concat(parts)) === SERVING)
      else reject(new Error(`grpc status ${status === '' ? 'missing' : status}`))
    })
    call.end(framed(request(service)))
  })
  return answer.finally(() => {
    session.destroy()
    socket.destroy()
  })
}

/** HealthCheckRequest: one string field (1). */
function request(service: string): Buffer {
  const name = Buffer.from(service)
  if (name.length === 0) return name
  const length = name.length < 0x80 ? [name.length] : [(name.length & 0x7f) | 0x80, name.length >> 7]
  return Buffer.concat([Buffer.from([0x0a, ...length]), name])
}

/** gRPC's frame: not compressed, four bytes of length. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** HealthCheckResponse: one enum field (1); absent = 0, UNKNOWN. */
function servingStatus(frame: Buffer): number {
  return frame[5] === 0x08 ? (frame[6] ?? 0) : 0
}
