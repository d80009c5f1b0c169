// Circuit breakers, ejection and keep-alive of upstreams: what waits, what overflows, who is left out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { startPair, type Pair } from './pair.ts'
import { exchange, httpApp, intercepted, until, whole } from './talk.ts'

const get = 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'
const plainEndpoints = (...ports: number[]) => ports.map((port) => ({ ip: '127.0.0.1', port, mtls: false }))
const ask = async (pair: Pair, bytes = get) => exchange(await intercepted(pair.proxyPort), bytes, whole)

test('one connection: the others wait; more than may wait: overflow', async () => {
  let open = 0
  let most = 0
  const held: (() => void)[] = []
  const app = await httpApp((_req, res) => {
    most = Math.max(most, ++open)
    held.push(() => {
      open--
      res.end('ok')
    })
  })
  const limits: JsonObject = { circuitBreakers: { thresholds: [{ maxConnections: 1, maxPendingRequests: 2, maxRequests: 100 }] } }
  const pair = await startPair({ appPort: app.port, outbound: (base) => [{ ...base, endpoints: plainEndpoints(app.port), cluster: limits }] })
  try {
    const first = ask(pair)
    await until(() => held.length === 1, 'the first request')
    const answers = [first, ask(pair), ask(pair)]
    await until(() => pair.client.connections().downstream === 3, 'three connections')
    assert.match(await ask(pair), /^HTTP\/1.1 503 [\s\S]*overflow$/)
    for (let i = 0; i < 3; i++) {
      await until(() => held.length > i, `request ${i}`)
      held[i]?.()
    }
    for (const answer of await Promise.all(answers)) assert.match(answer, /ok/)
    assert.equal(most, 1)
    await until(() => pair.clientLog.some((l) => / 503 UO /.test(l)), 'UO in the log')
  } finally {
    await pair.stop()
    app.close()
  }
})

test('an endpoint that keeps failing is left out', async () => {
  const bad = await httpApp((_req, res) => void res.writeHead(500).end('bad'))
  const good = await httpApp((_req, res) => res.end('good'))
  const outlier: JsonObject = { lbPolicy: 'ROUND_ROBIN', outlierDetection: { consecutive5xx: 2, baseEjectionTime: '60s', maxEjectionPercent: 50 }, commonLbConfig: { healthyPanicThreshold: { value: 0 } } }
  const pair = await startPair({ appPort: 1, outbound: (base) => [{ ...base, endpoints: plainEndpoints(bad.port, good.port), cluster: outlier }] })
  try {
    const statuses: string[] = []
    for (let i = 0; i < 14; i++) statuses.push((await ask(pair)).slice(9, 12))
    assert.equal(statuses.filter((s) => s === '500').length, 2, statuses.join())
    assert.deepEqual(new Set(statuses.slice(5)), new Set(['200']))
  } finally {
    await pair.stop()
    bad.close()
    good.close()
  }
})

test('a connect failure is tried elsewhere where the route says so', async () => {
  const good = await httpApp((_req, res) => res.end('good'))
  const routes: JsonObject[] = [{ match: { prefix: '/' }, route: { cluster: 'outbound|8000||httpbin.bar.svc.cluster.local', timeout: '0s', retryPolicy: { retryOn: 'connect-failure', numRetries: 2, retryBackOff: { baseInterval: '0.001s' }, retryHostPredicate: [{ name: 'envoy.retry_host_predicates.previous_hosts', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate' } }] } } }]
  const pair = await startPair({ appPort: 1, outbound: (base) => [{ ...base, endpoints: plainEndpoints(1, good.port), cluster: { lbPolicy: 'ROUND_ROBIN' }, routes }] })
  try {
    for (let i = 0; i < 6; i++) assert.match(await ask(pair, `POST / HTTP/1.1\r\nhost: httpbin.bar\r\ncontent-length: 3\r\n\r\nabc`), /good$|good\r\n/)
  } finally {
    await pair.stop()
    good.close()
  }
})

test('a mirror gets a copy, its answer goes nowhere, and a dead one hurts nobody', async () => {
  const copies: string[] = []
  const echo = (to?: string[]) =>
    httpApp((req, res) => {
      let body = ''
      req.on('data', (c: Buffer) => (body += c.toString()))
      req.on('end', () => {
        to?.push(`${req.method} ${req.url} ${req.headers.host} ${body}`)
        res.end(to === undefined ? 'real' : 'copy')
      })
    })
  const real = await echo()
  const shadow = await echo(copies)
  const main = 'outbound|8000||httpbin.bar.svc.cluster.local'
  const other = { host: 'shadow.bar.svc.cluster.local', vip: '10.96.0.9' }
  const routes: JsonObject[] = [{ match: { prefix: '/' }, route: { cluster: main, timeout: '0s', requestMirrorPolicies: [{ cluster: `outbound|8000||${other.host}` }, { cluster: 'missing' }] } }]
  const pair = await startPair({ appPort: 1, outbound: (base) => [{ ...base, endpoints: plainEndpoints(real.port), routes }, { ...base, ...other, endpoints: plainEndpoints(shadow.port) }] })
  try {
    const post = 'POST /a HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: 3\r\n\r\nabc'
    assert.match(await ask(pair, post), /real$|real\r\n/)
    await until(() => copies.length === 1, 'the copy')
    assert.deepEqual(copies, ['POST /a httpbin.bar-shadow:8000 abc'])
    shadow.close()
    assert.match(await ask(pair, post), /real$|real\r\n/)
  } finally {
    await pair.stop()
    real.close()
    shadow.close()
  }
})

test('answers that their caller does not read hold back its next requests', { timeout: 30_000 }, async () => {
  const total = 2000
  const body = 'b'.repeat(10_000)
  let asked = 0
  const app = await httpApp((_req, res) => {
    asked++
    res.writeHead(200, { 'content-length': body.length }).end(body)
  })
  const pair = await startPair({ appPort: 1, outbound: (base) => [{ ...base, endpoints: plainEndpoints(app.port) }] })
  try {
    const caller = await intercepted(pair.proxyPort)
    caller.pause()
    caller.write(get.repeat(total))
    let before = -1
    let same = 0
    await until(() => (same = asked > 0 && before === (before = asked) ? same + 1 : 0) === 30, 'a standstill')
    assert.ok(asked < total / 2, `${asked} of ${total} requests have reached the application`)
    let bytes = 0
    caller.on('data', (chunk: Buffer) => (bytes += chunk.length))
    caller.resume()
    await until(() => asked === total && bytes > total * body.length, 'all answers')
    caller.destroy()
  } finally {
    await pair.stop()
    app.close()
  }
})
