// Outlier detection and retries as their rules say: an ejection ends with the rule that made it and can be seen; a body up to 1 MiB is sent again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { endpointTable } from '#insight/proxy-config/tables.ts'
import { freePort } from '../fixtures/ports.ts'
import { clusterName, outboundResources, type OutboundSpec } from './resources.ts'
import { baseService, startPair, type Pair } from './pair.ts'
import { exchange, httpApp, intercepted, whole } from './talk.ts'

const get = 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'
const ask = async (pair: Pair, bytes = get): Promise<string> => exchange(await intercepted(pair.proxyPort), bytes, whole)
const outlier = (more: JsonObject = {}): JsonObject => ({
  outlierDetection: { consecutive5xx: 2, baseEjectionTime: '600s', maxEjectionPercent: 100, ...more }, commonLbConfig: { healthyPanicThreshold: { value: 0 } },
})
const gauge = 'envoy_cluster_outlier_detection_ejections_active{cluster_name="outbound|8000||httpbin.bar.svc.cluster.local"}'

for (const [name, next] of [['is deleted', {}], ['says something else', outlier({ consecutive5xx: 7 })]] as const)
  test(`an ejection ends when its rule ${name}, and not before`, { timeout: 20_000 }, async () => {
    let status = 500
    const app = await httpApp((_req, res) => void res.writeHead(status).end('from the application'))
    const service = (cluster: JsonObject, weight = 1): OutboundSpec => ({ ...baseService([{ port: 80, kind: 'http', mode: 'STRICT' }]), endpoints: [{ ip: '127.0.0.1', port: app.port, mtls: false }], cluster: { ...cluster, metadata: { filterMetadata: { kith: { rule: `v${weight}` } } } } })
    const adminPort = await freePort()
    const pair = await startPair({ appPort: 1, outbound: () => [service(outlier())], adminPort })
    /** As `kith proxy-config endpoint` shows it: status and outlier check. */
    const shown = async (): Promise<readonly string[] | undefined> => {
      const page = await (await fetch(`http://127.0.0.1:${adminPort}/clusters?format=json`)).json()
      return endpointTable(page).rows.find((row) => row[4] === clusterName(service({})))?.slice(1, 3)
    }
    try {
      assert.ok(pair.client.metrics().includes(`${gauge} 0\n`))
      for (let i = 0; i < 2; i++) assert.match(await ask(pair), /^HTTP\/1.1 500 /)
      status = 200
      assert.match(await ask(pair), /^HTTP\/1.1 503 [\s\S]*no healthy upstream$/)
      assert.ok(pair.client.metrics().includes(`${gauge} 1\n`))
      assert.deepEqual(await shown(), ['UNHEALTHY', 'FAILED'])
      // Another version of the cluster, with the same rule.
      pair.client.update(outboundResources([service(outlier(), 2)]))
      assert.match(await ask(pair), /^HTTP\/1.1 503 [\s\S]*no healthy upstream$/)
      pair.client.update(outboundResources([service(next)]))
      assert.match(await ask(pair), /^HTTP\/1.1 200 /)
      assert.ok(!pair.client.metrics().includes(`${gauge} 1\n`))
      assert.deepEqual(await shown(), ['HEALTHY', 'OK'])
    } finally {
      await pair.stop()
      app.close()
    }
  })

test('a body is sent again up to 1 MiB, and no further', { timeout: 20_000 }, async () => {
  const lengths: number[] = []
  const app = await httpApp((req, res) => {
    let length = 0
    req.on('data', (c: Buffer) => (length += c.length))
    req.on('error', () => {})
    req.on('end', () => {
      lengths.push(length)
      res.writeHead(lengths.length % 2 === 1 ? 503 : 200).end('done')
    })
  })
  const base = baseService([{ port: 80, kind: 'http', mode: 'STRICT' }])
  const routes: JsonObject[] = [{ match: { prefix: '/' }, route: { cluster: clusterName(base), timeout: '0s', retryPolicy: { retryOn: '5xx', numRetries: 2, retryBackOff: { baseInterval: '0.001s' } } } }]
  const pair = await startPair({ appPort: app.port, outbound: (b) => [{ ...b, routes }] })
  try {
    for (const [size, status] of [[200_000, 200], [1_000_000, 200], [2_000_000, 503]] as const) {
      lengths.length = 0
      const answer = await ask(pair, `POST / HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: ${size}\r\n\r\n${'b'.repeat(size)}`)
      assert.equal(Number(answer.slice(9, 12)), status, `${size} bytes`)
      assert.deepEqual(lengths, status === 200 ? [size, size] : [size])
    }
  } finally {
    await pair.stop()
    app.close()
  }
})
