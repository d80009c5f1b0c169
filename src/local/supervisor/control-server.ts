// The supervisor's end of the control socket: one request a connection.
import { createServer, type Server, type Socket } from 'node:net'
import type { ChildProcess } from 'node:child_process'
import { describeFailure, KithError } from '#lib/errors.ts'
import { channels, encodeFrame, encodeJson, FrameReader, type Channel, type ClientNote, type MeshStatus, type Page, type Reply, type Request } from '../control-protocol.ts'
import { findPod } from './find-pod.ts'
import { signalNumber } from './container.ts'
import type { Outcome } from './applied-files.ts'
import type { Cluster } from './cluster.ts'
import type { MeshEvent } from '../types.ts'

export interface ControlServerOptions {
  readonly socketPath: string
  readonly cluster: Cluster
  status(): MeshStatus
  /** Resolves when the mesh has taken it in. */
  change(op: 'apply' | 'delete', text: string, origin: string): Promise<Outcome>
  /** Resolves when all is ready, rejects with MESH_NOT_READY. */
  waitReady(timeoutMs: number): Promise<void>
  onEvent(listener: (event: MeshEvent) => void): () => void
  /** Of its status port. */
  controlPlanePage(path: string): Promise<Page>
  down(why: string | undefined): void
}

export function serveControl(options: ControlServerOptions): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => new Connection(socket, options))
  return new Promise((resolve, reject) => server.once('error', reject).listen(options.socketPath, () => resolve(server)))
}

class Connection {
  readonly #socket: Socket
  readonly #options: ControlServerOptions
  readonly #reader = new FrameReader()
  #program: ChildProcess | undefined
  #asked = false
  #onClose: (() => void) | undefined

  constructor(socket: Socket, options: ControlServerOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const { channel, payload } of this.#reader.push(chunk)) this.#frame(channel, payload)
      } catch {
        socket.destroy()
      }
    })
    socket.on('end', () => {
      // Whoever asked has gone: what runs for them goes too.
      this.#onClose?.()
      if (this.#program === undefined) socket.end()
    })
    socket.on('close', () => {
      this.#onClose?.()
      if (this.#program !== undefined) endGroup(this.#program, 'SIGKILL')
    })
  }

  #frame(channel: Channel, payload: Buffer): void {
    if (channel === channels.stdin) {
      if (this.#program?.stdin?.write(payload) === false) {
        this.#socket.pause()
        this.#program.stdin.once('drain', () => this.#socket.resume())
      }
      return
    }
    const value = JSON.parse(payload.toString('utf8')) as Request | ClientNote
    if ('signal' in value) endGroup(this.#program, value.signal as NodeJS.Signals)
    else if ('eof' in value) this.#program?.stdin?.end()
    else if (!this.#asked) {
      this.#asked = true
      this.#answer(value).catch((error: unknown) => this.#fail(error))
    }
  }

  #reply(reply: Reply): void {
    if (!this.#socket.destroyed) this.#socket.write(encodeJson(reply))
  }

  #end(reply: Reply): void {
    this.#reply(reply)
    this.#socket.end()
  }

  #fail(error: unknown): void {
    this.#end({ failure: describeFailure(error) })
  }

  async #answer(request: Request): Promise<void> {
    const { cluster } = this.#options
    switch (request.op) {
      case 'status':
        return this.#end({ status: this.#options.status() })
      case 'ps':
        return this.#end({ pods: cluster.views() })
      case 'wait-ready':
        await this.#options.waitReady(request.timeoutMs)
        return this.#end({ done: true })
      case 'apply':
      case 'delete':
        return this.#end(await this.#options.change(request.op, request.text, request.origin))
      case 'events':
        this.#onClose = this.#options.onEvent((event) => this.#reply({ event }))
        return
      case 'down':
        this.#reply({ done: true })
        return this.#options.down(request.why)
      case 'exec':
        return this.#exec(request)
      case 'logs':
        return this.#logs(request)
      case 'handshakes':
        return this.#end({ handshakes: await this.#runner(request.pod).handshakes() })
      case 'page':
        return this.#end({ page: await (request.pod === undefined ? this.#options.controlPlanePage(request.path) : this.#runner(request.pod).page(request.path)) })
    }
  }

  #runner(pod: string): ReturnType<Cluster['runners']>[number] {
    const view = findPod(this.#options.cluster.views(), pod)
    const runner = this.#options.cluster.runners().find((r) => r.desired.name === view.name && r.desired.namespace === view.namespace)
    if (runner === undefined) throw new KithError('NO_SUCH_POD', `pod ${view.name} has just gone`)
    return runner
  }

  #exec(request: Extract<Request, { op: 'exec' }>): void {
    const runner = this.#runner(request.pod)
    const container = named(() => runner.container(request.container))
    if (!container.running) throw new KithError('CONTAINER_NOT_RUNNING', `container ${container.name} of pod ${runner.desired.name} does not run: ${container.status}${container.detail === undefined ? '' : `, ${container.detail}`}`)
    const child = runner.exec(request.argv, container.name, request.stdin)
    this.#program = child
    child.stdin?.on('error', () => undefined)
    for (const [name, channel] of [['stdout', channels.stdout], ['stderr', channels.stderr]] as const) {
      child[name]?.on('data', (chunk: Buffer) => {
        if (this.#socket.destroyed || this.#socket.write(encodeFrame(channel, chunk))) return
        child[name]?.pause()
        this.#socket.once('drain', () => child[name]?.resume())
      })
    }
    child.once('error', (error) => this.#end({ exit: 127, error: error.message }))
    child.once('close', (code, signal) => {
      this.#program = undefined
      this.#end({ exit: code ?? 128 + signalNumber(signal) })
    })
  }

  #logs(request: Extract<Request, { op: 'logs' }>): void {
    const container = named(() => this.#runner(request.pod).container(request.options.container))
    if (container.startedAtMs === 0 && container.detail !== undefined) throw new KithError('CONTAINER_NOT_RUNNING', `container ${container.name} of ${request.pod} has not run yet: ${container.status}, ${container.detail}`)
    const stream = request.options.stream ?? 'both'
    const send = (line: { stream: string; text: string }): void => void this.#socket.write(encodeFrame(line.stream === 'stdout' ? channels.stdout : channels.stderr, Buffer.from(line.text + '\n')))
    for (const line of container.logs.lines(stream, request.options.tail)) send(line)
    if (request.follow === true) this.#onClose = container.logs.follow((line) => (stream === 'both' || line.stream === stream) && send(line))
    else this.#end({ done: true })
  }
}

function named<T>(find: () => T): T {
  try {
    return find()
  } catch (error) {
    throw error instanceof KithError ? error : new KithError('NO_SUCH_CONTAINER', (error as Error).message)
  }
}

function endGroup(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    child.kill(signal)
  }
}
