// A small httpbin: an ordinary HTTP server that knows nothing of meshes. What it answers is what it received.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

const port = Number(process.env['PORT'] ?? 80)
const longestDelaySeconds = 10
const mostBytes = 2 ** 30

function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  const body = JSON.stringify(value, null, 2) + '\n'
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
}

/** Header names as they came, several values joined by commas, as httpbin does. */
function receivedHeaders(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] as string).replace(/(^|-)[a-z]/g, (c) => c.toUpperCase())
    const value = request.rawHeaders[i + 1] as string
    headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`
  }
  return headers
}

function sendBytes(response: ServerResponse, count: number): void {
  const block = Buffer.alloc(65536, 'kith')
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': count })
  let left = count
  const more = (): void => {
    while (left > 0) {
      const part = left >= block.length ? block : block.subarray(0, left)
      left -= part.length
      if (!response.write(part)) return void response.once('drain', more)
    }
    response.end()
  }
  more()
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://httpbin')
  const [, what = '', argument = ''] = url.pathname.split('/')
  const number = Number(argument)
  const describe = () => ({ args: Object.fromEntries(url.searchParams), headers: receivedHeaders(request), method: request.method, origin: request.socket.remoteAddress, url: request.url, server: process.env['HOSTNAME'] ?? '' })
  request.resume()
  if (what === 'headers') sendJson(response, { headers: receivedHeaders(request) })
  else if (what === 'get' || what === 'anything') sendJson(response, describe())
  else if (what === 'status' && number >= 200 && number <= 599) response.writeHead(number).end()
  else if (what === 'delay' && number >= 0) setTimeout(() => sendJson(response, describe()), Math.min(number, longestDelaySeconds) * 1000)
  else if (what === 'bytes' && number >= 0 && number <= mostBytes) sendBytes(response, number)
  else sendJson(response, { error: 'not found', try: ['/headers', '/get', '/anything', '/status/N', '/delay/N', '/bytes/N'] }, 404)
})
server.listen(port)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0))
