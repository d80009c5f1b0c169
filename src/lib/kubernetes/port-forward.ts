// A port of this machine that leads to a port of a pod: kubectl port-forward, over WebSockets (v4.channel.k8s.io). Each connection has a stream of its own.
import { createServer, type Server, type Socket } from 'node:net'
import { KithError } from '#lib/errors.ts'
import { clusterAccess, type AccessOptions, type ClusterAccess } from './kubeconfig.ts'
import { openWebSocket } from './web-socket.ts'

export interface ForwardTarget {
  readonly namespace: string
  readonly pod: string
  readonly port: number
}

export interface ForwardOptions extends AccessOptions {
  /** Default 127.0.0.1. */
  readonly address?: string
  /** 0, the default: any that is free. */
  readonly localPort?: number
  /** A connection that could not be led on: the others go on. */
  readonly onFailure?: (message: string) => void
}

export interface Forward {
  readonly port: number
  close(): void
}

const dataChannel = 0

export async function forwardPort(target: ForwardTarget, options: ForwardOptions = {}): Promise<Forward> {
  const access = clusterAccess(options)
  const open = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket)).on('error', () => undefined)
    connect(access, target, socket).catch((error: unknown) => {
      options.onFailure?.(error instanceof Error ? error.message : String(error))
      socket.destroy()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `port ${options.localPort ?? 0} of ${options.address ?? '127.0.0.1'} can't be opened: ${cause.message}`, { cause })))
    server.listen(options.localPort ?? 0, options.address ?? '127.0.0.1', resolve)
  })
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

async function connect(access: ClusterAccess, { namespace, pod, port }: ForwardTarget, socket: Socket): Promise<void> {
  const stream = await openWebSocket(access, `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward?ports=${port}`, 'v4.channel.k8s.io')
  socket.once('close', () => stream.close())
  const upward = (async () => {
    for await (const chunk of socket) await stream.send(Buffer.concat([Buffer.from([dataChannel]), chunk as Buffer]))
  })().catch(() => undefined)
  // The first message of each channel names its port.
  const begun = new Set<number>()
  for await (const message of stream.messages) {
    const channel = message[0] ?? dataChannel
    const payload = message.subarray(begun.has(channel) ? 1 : 3)
    begun.add(channel)
    if (payload.length === 0) continue
    if (channel !== dataChannel) throw new KithError('K8S_FAILED', `pod ${namespace}/${pod}, port ${port}: ${payload.toString('utf8').trim()}`)
    if (!socket.write(payload)) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve))
  }
  socket.end()
  await upward
}
