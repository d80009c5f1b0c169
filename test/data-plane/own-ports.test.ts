// Every port on which Kith itself answers, asked as a web page would: refused, and logged. Applications' traffic is not touched.
import assert from 'node:assert/strict'
import { createServer, request, type RequestOptions } from 'node:http'
import { after, before, test } from 'node:test'
import { Registry } from 'prom-client'
import { startProxy, type Proxy } from '#proxy'
import { serveAgentPort } from '../../src/data-plane/agent/agent-port.ts'
import { parseProbers } from '../../src/data-plane/agent/probes.ts'
import { ReadinessGate, serveReadiness } from '../../src/data-plane/agent/readiness.ts'
import { serveStatus } from '../../src/control-plane/server/status-port.ts'
import { freePort } from '../fixtures/ports.ts'
import { identity, recordingLog, startPair } from './pair.ts'

interface Port {
  readonly name: string
  readonly port: number
  readonly path: string
  /** Asked by the kubelet too, whose Host a user may set. */
  readonly probed?: true
}

const log = recordingLog()
const ports: Port[] = []
const ends: (() => unknown)[] = []

before(async () => {
  const proxy: Proxy = await startProxy({
    identity: identity('web', 'foo'), interception: { mode: 'NONE', dialMap: { dial: {}, inbound: [], hosts: {} } },
    ports: { admin: await freePort(), prometheus: await freePort() }, log, accessLog: () => {},
  })
  ends.push(() => proxy.stop())
  const gate = new ReadinessGate(10)
  gate.ask(() => true)
  const [health, agent] = [await freePort(), await freePort()]
  const readiness = await serveReadiness({ host: '127.0.0.1', port: health }, gate, log)
  const served = await serveAgentPort({
    at: { host: '127.0.0.1', port: agent }, gate, log, isOwnName: (name) => name === 'web.foo', metrics: async () => 'a 1\n', probers: parseProbers(''),
    application: { address: '127.0.0.1', from: undefined }, onQuit: () => assert.fail('it must not quit'), onDrain: async () => undefined,
  })
  ends.push(() => readiness.close(), () => served.close())
  const status = await serveStatus({ host: '127.0.0.1', port: 0 }, { registry: new Registry(), snapshot: () => 1, proxies: () => [], ready: () => true, names: ['istiod.istio-system.svc'], log })
  ends.push(() => status.close())
  ports.push(
    { name: 'admin (15000)', port: proxy.ports.admin, path: '/server_info' },
    { name: 'metrics (15090)', port: proxy.ports.prometheus, path: '/stats/prometheus' },
    { name: 'health (15021)', port: health, path: '/healthz/ready', probed: true },
    { name: 'agent (15020)', port: agent, path: '/stats/prometheus' },
    { name: 'agent’s readiness', port: agent, path: '/healthz/ready', probed: true },
    { name: 'status (15014)', port: (status.address() as { port: number }).port, path: '/debug/syncz' },
  )
})
after(async () => {
  for (const end of ends) await end()
})

const ask = (port: number, path: string, options: RequestOptions = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', reject).end()
  })

const pages: readonly (readonly [string, Record<string, string>])[] = [
  ['a foreign origin', { origin: 'http://evil.example' }],
  ['an origin without a name', { origin: 'null' }],
  ['a cross-site fetch', { 'sec-fetch-site': 'cross-site' }],
  ['a name that leads here', { host: 'evil.example' }],
]

for (const [what, headers] of pages) {
  test(`a web page is refused on every port, and the log says so: ${what}`, async () => {
    for (const { name, port, path, probed } of ports) {
      const expected = probed === true && headers['host'] !== undefined ? 200 : 403
      const before = log.lines.length
      assert.equal(await ask(port, path, { headers }), expected, name)
      const said = log.lines.slice(before).filter((l) => l.level === 'warn' && l.message.includes('was refused'))
      assert.equal(said.length, expected === 403 ? 1 : 0, name)
      if (expected === 403) assert.equal(said[0]?.fields['path'], path)
    }
  })
}

test('the machine’s own names, the address and the pod’s names are answered', async () => {
  for (const { name, port, path } of ports) {
    for (const host of ['localhost', '127.0.0.1', `127.0.0.1:${port}`]) assert.equal(await ask(port, path, { headers: { host } }), 200, `${name} ${host}`)
    const own = `http://localhost:${port}`
    assert.equal(await ask(port, path, { headers: { host: `localhost:${port}`, origin: own, 'sec-fetch-site': 'same-origin' } }), 200, `${name}, its own page`)
  }
  const [, metrics, , agent] = ports as [Port, Port, Port, Port]
  for (const host of ['web.foo', 'web.foo.svc.cluster.local']) assert.equal(await ask(metrics.port, metrics.path, { headers: { host } }), 200, host)
  assert.equal(await ask(agent.port, agent.path, { headers: { host: 'web.foo' } }), 200)
})

test('a web page cannot change the level of the log, nor end the sidecar', async () => {
  const [admin, , , agent] = ports as [Port, Port, Port, Port]
  const headers = { origin: 'http://evil.example' }
  assert.equal(await ask(admin.port, '/logging?level=debug', { method: 'POST', headers }), 403)
  assert.equal(await ask(admin.port, '/quitquitquit', { method: 'POST', headers }), 403)
  assert.equal(await ask(agent.port, '/quitquitquit', { method: 'POST', headers }), 403)
})

test('what applications send each other is not looked at', async (t) => {
  const seen: string[] = []
  const app = createServer((r, response) => {
    seen.push(`${r.headers.host} ${r.headers.origin} ${r.headers['sec-fetch-site']}`)
    response.end()
  })
  const appPort = await freePort()
  await new Promise<void>((listening) => app.listen(appPort, '127.0.0.1', listening))
  const pair = await startPair({ appPort })
  t.after(async () => {
    await pair.stop()
    app.close()
  })
  const headers = { host: 'httpbin.bar:8000', origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' }
  assert.equal(await ask(pair.proxyPort, 'http://httpbin.bar:8000/', { headers }), 200)
  assert.deepEqual(seen, ['httpbin.bar:8000 http://evil.example cross-site'])
})
