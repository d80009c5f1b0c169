// An application with a probe of each kind: HTTP on 8080, a bare TCP port on 8081, gRPC health on 8082. It tells on /seen what reached it.
import { createServer } from 'node:http'
import { createServer as createHttp2, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { createServer as createTcp } from 'node:net'

const seen = { http: 0, tcp: 0, grpc: 0, agent: '' }
createServer((request, response) => {
  if (request.url === '/healthz') {
    seen.http++
    seen.agent = request.headers['user-agent'] ?? ''
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(seen))
}).listen(8080)
createTcp((socket) => {
  seen.tcp++
  socket.on('error', () => undefined).end()
}).listen(8081)
createHttp2().on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  seen.grpc++
  if (headers[':path'] !== '/grpc.health.v1.Health/Check') return void stream.respond({ ':status': 404 }, { endStream: true })
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  // One frame, not compressed, two bytes: status = SERVING.
  stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, 1]))
}).listen(8082)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0))
