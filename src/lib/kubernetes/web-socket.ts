// A WebSocket to the API server with the kubeconfig's certificates and credentials: messages in order, each side as fast as the other takes them.
import { on } from 'node:events'
import { Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { WebSocket } from 'ws'
import { credentialSource } from './credentials.ts'
import { bodyText, proxyOptions, refusal, tlsOptions, unreachable } from './http.ts'
import type { ClusterAccess } from './kubeconfig.ts'

export interface WebSocketStream {
  /** Resolves when the kernel has taken it. */
  send(message: Buffer): Promise<void>
  /** Messages in order; ends when the other side closes. */
  readonly messages: AsyncIterable<Buffer>
  close(): void
}

const mostBytes = 16 * 1024 * 1024
const handshakeMs = 30_000
/** More messages than `high` wait unread: the connection pauses until no more than `low` do. */
const waiting = { highWaterMark: 16, lowWaterMark: 4 }

/** Throws as KubernetesClient does. */
export async function openWebSocket(access: ClusterAccess, path: string, protocol: string): Promise<WebSocketStream> {
  const base = new URL(access.server)
  const credential = await credentialSource(access).get()
  const asked = { method: 'GET', path }
  const socket = new WebSocket(base.origin.replace(/^http/, 'ws') + base.pathname.replace(/\/+$/, '') + path, protocol, {
    ...(base.protocol === 'https:' ? tlsOptions(access.cluster, credential) : {}), headers: { 'user-agent': 'kith', ...credential.headers as Record<string, string | string[]> },
    ...agentOf(access, base.protocol === 'https:' ? tlsOptions(access.cluster, credential) : undefined), handshakeTimeout: handshakeMs, maxPayload: mostBytes, perMessageDeflate: false, followRedirects: false,
  })
  // Taken up before the first message can come: nothing is lost between opening and reading.
  const messages = on(socket, 'message', { close: ['close'], ...waiting })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('unexpected-response', (_request, response: IncomingMessage) => void bodyText(response, asked).then((text) => reject(refusal(asked, response.statusCode ?? 0, text)), reject))
    socket.once('error', (cause) => reject(unreachable(asked, base, cause)))
  })
  return {
    send: (message) => new Promise((resolve, reject) => socket.send(message, (error) => (error ? reject(error) : resolve()))),
    messages: payloads(messages),
    close: () => socket.close(1000),
  }
}

/** Only where a proxy stands in between: else the socket is the WebSocket's own. */
function agentOf({ cluster }: ClusterAccess, tls: ReturnType<typeof tlsOptions> | undefined): { readonly agent?: HttpAgent } {
  const proxy = proxyOptions(cluster)
  if (proxy.proxyEnv === undefined) return {}
  return { agent: tls === undefined ? new HttpAgent(proxy) : new HttpsAgent({ ...proxy, ...tls }) }
}

async function* payloads(messages: AsyncIterable<unknown[]>): AsyncIterable<Buffer> {
  for await (const [message] of messages) yield message as Buffer
}
