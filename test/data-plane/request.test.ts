// The thin pair: an application's request → client sidecar → mTLS → server sidecar → application, and what each side has seen.
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { test } from 'node:test'
import { clientId, host, listenOn, serverId, startPair } from './pair.ts'

test('a request travels over mTLS, and the application sees both identities', async () => {
  const app = createServer((req, res) => {
    res.end(JSON.stringify({ url: req.url, headers: req.headers }))
  })
  const appPort = await listenOn(app)
  const pair = await startPair({ appPort })
  try {
    for (let i = 0; i < 3; i++) {
      const answer = await get(pair.proxyPort, `http://httpbin.bar:8000/get?i=${i}`)
      assert.equal(answer.status, 200, answer.body)
      const seen = JSON.parse(answer.body) as { url: string; headers: Record<string, string> }
      assert.equal(seen.url, `/get?i=${i}`)
      assert.match(seen.headers['x-forwarded-client-cert'] ?? '', new RegExp(`^By=${serverId};Hash=[0-9a-f]{64};Subject="";URI=${clientId}$`))
      assert.equal(seen.headers['x-envoy-peer-metadata'], undefined)
      assert.equal(seen.headers['x-forwarded-proto'], 'http')
      assert.match(seen.headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/)
      assert.equal(seen.headers.host, 'httpbin.bar:8000')
    }
    const metrics = pair.server.metrics()
    assert.match(metrics, /istio_requests_total\{reporter="destination",source_workload="sleep",source_workload_namespace="foo",source_principal="spiffe:\/\/cluster.local\/ns\/foo\/sa\/sleep".*connection_security_policy="mutual_tls"\} 3/)
    assert.match(pair.client.metrics(), new RegExp(`reporter="source".*destination_service="${host}".*response_code="200"`))
  } finally {
    await pair.stop()
    app.close()
    app.closeAllConnections()
  }
})

function get(port: number, url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path: url, headers: { host: new URL(url).host } }, (res) => {
      let body = ''
      res.setEncoding('utf8')
      res.on('data', (c: string) => (body += c))
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body }))
    })
    req.on('error', reject)
    req.end()
  })
}
