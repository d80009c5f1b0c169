// Explicit mode's stand-in for DNS and kube-proxy: the HTTP proxy of a pod that has no sidecar. Passes on what it gets, as it is.
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'

export interface PlainProxy {
  close(): void
}

export type WhereTo = (host: string, port: number) => { readonly host: string; readonly port: number } | undefined

export function servePlainProxy(port: number, whereTo: WhereTo): PlainProxy {
  const server = createServer((incoming, answer) => forward(incoming, answer, whereTo))
  server.on('connect', (incoming: IncomingMessage, socket: Socket, head: Buffer) => tunnel(incoming, socket, head, whereTo))
  server.on('error', () => undefined)
  server.listen(port, '127.0.0.1')
  return {
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function forward(incoming: IncomingMessage, answer: ServerResponse, whereTo: WhereTo): void {
  const url = URL.parse(incoming.url ?? '')
  const target = url === null ? undefined : whereTo(url.hostname, Number(url.port === '' ? 80 : url.port))
  if (url === null || target === undefined) return void answer.writeHead(502, { 'content-type': 'text/plain' }).end(`no such host: ${incoming.url}\n`)
  const headers = Object.fromEntries(Object.entries(incoming.headersDistinct).filter(([name]) => name !== 'proxy-connection'))
  const sent = request({ ...target, method: incoming.method ?? 'GET', path: url.pathname + url.search, headers: { ...headers, host: url.host } as Record<string, string | string[]>, agent: false }, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.rawHeaders)
    response.pipe(answer)
    response.on('error', () => answer.destroy())
  })
  // What the server did to the connection happens to the client's too.
  sent.on('error', () => incoming.socket.destroy())
  incoming.on('error', () => sent.destroy())
  incoming.pipe(sent)
}

function tunnel(incoming: IncomingMessage, socket: Socket, head: Buffer, whereTo: WhereTo): void {
  const cut = (incoming.url ?? '').lastIndexOf(':')
  const target = whereTo((incoming.url ?? '').slice(0, cut), Number((incoming.url ?? '').slice(cut + 1)))
  socket.on('error', () => undefined)
  if (target === undefined) return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  const upstream = connect({ ...target, allowHalfOpen: true }, () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    upstream.write(head)
    socket.pipe(upstream)
    upstream.pipe(socket)
  })
  upstream.on('error', () => socket.destroy())
  socket.on('close', () => upstream.destroy())
}
