// A gRPC application of bytes, its client, and the kernel's part: connections that reach the client's sidecar as intercepted ones do.
import { createServer, type Socket } from 'node:net'
import { Client, credentials, Metadata, Server, ServerCredentials, status, type handleBidiStreamingCall, type handleClientStreamingCall, type handleServerStreamingCall, type handleUnaryCall, type MethodDefinition, type ServiceDefinition } from '@grpc/grpc-js'
import { freePort } from '../fixtures/ports.ts'
import { host, listenOn, startPair, type Pair, type PairOptions } from './pair.ts'
import { httpOptions, istioH2Alpn, type OutboundSpec } from './resources.ts'
import { intercepted } from './talk.ts'

const bytes = (b: Buffer): Buffer => b
const method = (name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Bytes/${name}`, requestStream, responseStream, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes,
})

export const methods = {
  Echo: method('Echo', false, false),
  /** `count:size` → so many messages of that size. */
  Many: method('Many', false, true),
  /** How many bytes came. */
  Count: method('Count', true, false),
  Chat: method('Chat', true, true),
  /** The status by number, with a message and metadata. */
  Fail: method('Fail', false, false),
  /** Says metadata and one message, then fails without having read what was sent. */
  Quit: method('Quit', true, true),
  /** Never answers. */
  Hang: method('Hang', false, false),
} satisfies ServiceDefinition

export interface GrpcApp {
  readonly port: number
  /** Calls of Hang that began, and that were cancelled. */
  readonly hanging: { begun: number; cancelled: number }
  /** Metadata of the last call. */
  readonly seen: { metadata: Metadata }
  /** Connections that came. */
  readonly server: Server
  close(): void
}

export async function grpcApp(): Promise<GrpcApp> {
  const hanging = { begun: 0, cancelled: 0 }
  const seen = { metadata: new Metadata() }
  const echo: handleUnaryCall<Buffer, Buffer> = (call, done) => {
    seen.metadata = call.metadata
    const trailer = new Metadata()
    trailer.set('x-trailer', 'behind')
    done(null, call.request, trailer)
  }
  const many: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const [count = 0, size = 0] = call.request.toString().split(':').map(Number)
    const part = Buffer.alloc(size, 'm')
    let sent = 0
    const more = (): void => {
      while (sent < count) {
        sent++
        if (!call.write(part)) return void call.once('drain', more)
      }
      call.end()
    }
    more()
  }
  const count: handleClientStreamingCall<Buffer, Buffer> = (call, done) => {
    let n = 0
    call.on('data', (part: Buffer) => (n += part.length))
    call.on('end', () => done(null, Buffer.from(String(n))))
  }
  const chat: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on('data', (part: Buffer) => call.write(part))
    call.on('end', () => call.end())
    call.on('error', () => {})
  }
  const fail: handleUnaryCall<Buffer, Buffer> = (call, done) => {
    const metadata = new Metadata()
    metadata.set('x-why', 'asked')
    done({ code: Number(call.request.toString()), details: 'as you wished: 100 %', metadata })
  }
  const quit: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on('error', () => {})
    call.write(Buffer.from('so far'))
    call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'enough' })
  }
  const hang: handleUnaryCall<Buffer, Buffer> = (call) => {
    hanging.begun++
    call.on('cancelled', () => hanging.cancelled++)
  }
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(methods, { Echo: echo, Many: many, Count: count, Chat: chat, Fail: fail, Quit: quit, Hang: hang })
  const port = await freePort()
  await new Promise<void>((resolve, reject) => server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))))
  return { port, hanging, seen, server, close: () => server.forceShutdown() }
}

/** A port whose connections are the application's own, caught on their way to `target`. */
export async function interceptor(proxyPort: number, target = 'httpbin.bar:8000'): Promise<{ readonly port: number; readonly count: () => number; close(): void }> {
  const open = new Set<Socket>()
  let n = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    n++
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    void intercepted(proxyPort, target).then(
      (far) => {
        open.add(far)
        socket.pipe(far)
        far.pipe(socket)
        socket.on('close', () => far.destroy())
        far.on('close', () => socket.destroy())
      },
      () => socket.destroy(),
    )
  })
  const port = await listenOn(server)
  return {
    port,
    count: () => n,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

export const grpcCluster = httpOptions('http2')

/** Two sidecars before a port that declares gRPC. */
export async function grpcPair(appPort: number, more: Partial<PairOptions> = {}, service: Partial<OutboundSpec> = {}): Promise<Pair & { readonly port: number; readonly connections: () => number; newClient(options?: object): BytesClient }> {
  const routes = [{ name: 'default', match: { prefix: '/' }, route: { cluster: `outbound|8000||${host}`, timeout: '0s', maxStreamDuration: { grpcTimeoutHeaderMax: '0s' } }, typedPerFilterConfig: istioH2Alpn }]
  const pair = await startPair({ appPort, inbound: [{ port: 80, kind: 'http', mode: 'STRICT', http: 'http2' }], outbound: (base) => [{ ...base, cluster: grpcCluster, routes, ...service }], ...more })
  const caught = await interceptor(pair.proxyPort)
  const clients: BytesClient[] = []
  return {
    ...pair,
    port: caught.port,
    connections: caught.count,
    newClient(options = {}) {
      const client = new BytesClient(caught.port, options)
      clients.push(client)
      return client
    },
    async stop() {
      for (const client of clients) client.close()
      caught.close()
      await pair.stop()
    },
  }
}

export interface Answer {
  readonly body: Buffer
  readonly trailers: Metadata
}

export class BytesClient extends Client {
  constructor(port: number, options: object = {}) {
    super(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.default_authority': 'httpbin.bar:8000', 'grpc.max_receive_message_length': -1, 'grpc.use_local_subchannel_pool': 1, ...options })
  }

  unary(name: 'Echo' | 'Fail' | 'Hang', body: string | Buffer, options: { readonly deadlineMs?: number; readonly metadata?: Metadata; readonly onCall?: (cancel: () => void) => void } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let trailers = new Metadata()
      const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs }
      const call = this.makeUnaryRequest(methods[name].path, bytes, bytes, Buffer.from(body), options.metadata ?? new Metadata(), deadline, (error, answer) => (error === null ? setImmediate(() => resolve({ body: answer ?? Buffer.alloc(0), trailers })) : reject(error)))
      call.on('status', (s) => (trailers = s.metadata))
      options.onCall?.(() => call.cancel())
    })
  }

  many(count: number, size: number) {
    return this.makeServerStreamRequest(methods.Many.path, bytes, bytes, Buffer.from(`${count}:${size}`))
  }

  chat(name: 'Chat' | 'Quit' = 'Chat') {
    return this.makeBidiStreamRequest(methods[name].path, bytes, bytes)
  }

  count(parts: readonly Buffer[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = this.makeClientStreamRequest(methods.Count.path, bytes, bytes, (error: Error | null, answer?: Buffer) => (error === null ? resolve(String(answer)) : reject(error)))
      let i = 0
      const more = (): void => {
        while (i < parts.length) if (!call.write(parts[i++] as Buffer)) return void call.once('drain', more)
        call.end()
      }
      more()
    })
  }
}

export { status }
