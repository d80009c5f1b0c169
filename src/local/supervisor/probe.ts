// One look at a container, as kubelet takes it: over HTTP, TCP, gRPC, or by a program inside it.
import type { ChildProcess } from 'node:child_process'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Container, Probe } from '#api'

export interface ProbeTarget {
  connect(port: number): Socket
  spawn(argv: readonly string[]): ChildProcess
}

/** Undefined where the look was good, else why not. Never rejects. */
export async function probeOnce(probe: Probe, container: Container, target: ProbeTarget): Promise<string | undefined> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
  try {
    if (probe.httpGet !== undefined) await http(probe.httpGet, portOf(probe.httpGet.port, container), target, timeoutMs)
    else if (probe.tcpSocket !== undefined) await tcp(portOf(probe.tcpSocket.port, container), target, timeoutMs)
    else if (probe.grpc !== undefined) await grpc(probe.grpc.port, probe.grpc.service ?? '', target, timeoutMs)
    else if (probe.exec !== undefined) await program(probe.exec.command, target, timeoutMs)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function portOf(port: number | string, container: Container): number {
  if (typeof port === 'number' || /^\d+$/.test(port)) return Number(port)
  const found = (container.ports ?? []).find((p) => p.name === port)
  if (found === undefined) throw new Error(`the probe's port ${JSON.stringify(port)} is no port of container ${container.name}`)
  return found.containerPort
}

function http(spec: NonNullable<Probe['httpGet']>, port: number, target: ProbeTarget, timeoutMs: number): Promise<void> {
  const secure = spec.scheme?.toUpperCase() === 'HTTPS'
  const headers = Object.fromEntries((spec.httpHeaders ?? []).map((h) => [h.name, h.value]))
  return new Promise((resolve, reject) => {
    const socket = target.connect(port)
    socket.on('error', reject)
    const sent = (secure ? secureRequest : request)({
      path: spec.path === undefined || spec.path === '' ? '/' : spec.path.startsWith('/') ? spec.path : `/${spec.path}`, headers: { host: `${spec.host ?? 'localhost'}:${port}`, 'user-agent': 'kube-probe/kith', connection: 'close', ...headers }, timeout: timeoutMs,
      createConnection: () => (secure ? connectTls({ socket, rejectUnauthorized: false }) : socket),
    }, (response) => {
      const status = response.statusCode ?? 0
      response.resume()
      socket.destroy()
      if (status >= 200 && status < 400) resolve()
      else reject(new Error(`HTTP ${status} from ${spec.path ?? '/'}`))
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer from port ${port} within ${timeoutMs} ms`)))
    sent.on('error', reject)
    sent.end()
  })
}

function tcp(port: number, target: ProbeTarget, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = target.connect(port)
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no connection to port ${port} within ${timeoutMs} ms`)))
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.on('error', reject)
  })
}

/** grpc.health.v1.Health/Check by hand: one length-prefixed message each way; field 1 of the answer is 1 for SERVING. */
async function grpc(port: number, service: string, target: ProbeTarget, timeoutMs: number): Promise<void> {
  const { connect: connectHttp2 } = await import('node:http2')
  const name = Buffer.from(service)
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return new Promise((resolve, reject) => {
    const socket = target.connect(port)
    const session = connectHttp2('http://localhost', { createConnection: () => socket })
    const timer = setTimeout(() => session.destroy(new Error(`no answer from port ${port} within ${timeoutMs} ms`)), timeoutMs)
    const over = (error?: Error): void => {
      clearTimeout(timer)
      session.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }
    socket.on('error', over)
    session.on('error', over)
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers' })
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('error', over)
    stream.on('end', () => {
      const body = Buffer.concat(parts).subarray(5)
      over(body[0] === 0x08 && body[1] === 1 ? undefined : new Error('the gRPC health service does not say SERVING'))
    })
    stream.end(Buffer.concat([prefix, message]))
  })
}

function program(argv: readonly string[], target: ProbeTarget, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = target.spawn(argv)
    child.stdout?.resume()
    child.stderr?.resume()
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) resolve()
      else reject(new Error(`${argv[0]} ended with ${code ?? signal}`))
    })
  })
}
