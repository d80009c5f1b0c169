import { Server, ServerCredentials } from '@grpc/grpc-js'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createNetServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { freePort } from '../fixtures/ports.ts'
import { recordingLog } from './pair.ts'
import { serveAgentPort } from '../../src/data-plane/agent/agent-port.ts'
import { parseProbers, patientProbe, probe, type Prober } from '../../src/data-plane/agent/probes.ts'
import { ReadinessGate, serveReadiness } from '../../src/data-plane/agent/readiness.ts'

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port

test('a probe sees what the kubelet would have seen', async (t) => {
  const seen: string[] = []
  const web = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers['user-agent']} ${request.headers['x-key'] ?? ''}`)
    if (request.url !== '/slow') response.writeHead(request.url === '/ok' ? 204 : 503).end()
  })
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  const closed = createNetServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const closedPort = portOf(closed)
  await new Promise((resolve) => closed.close(resolve))
  const health = new Server()
  const raw = { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false, requestSerialize: (b: Buffer) => b, requestDeserialize: (b: Buffer) => b, responseSerialize: (b: Buffer) => b, responseDeserialize: (b: Buffer) => b } as const
  // Status 1 is SERVING, 2 NOT_SERVING; the service's name is field 1 of the request.
  health.addService({ check: raw }, { check: (call: { request: Buffer }, answer: (e: null, b: Buffer) => void) => answer(null, Buffer.from([0x08, call.request.subarray(2).toString() === 'sick' ? 2 : 1])) })
  const grpcPort = await new Promise<number>((resolve, reject) => health.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (e, p) => (e === null ? resolve(p) : reject(e))))
  t.after(() => {
    web.closeAllConnections()
    web.close()
    health.forceShutdown()
  })
  const port = portOf(web)
  const cases: [string, Prober, number][] = [
    ['httpGet', { httpGet: { path: '/ok', port, httpHeaders: [{ name: 'X-Key', value: 'v' }] } }, 204],
    ['httpGet without a slash', { httpGet: { path: 'ok', port } }, 204],
    ['httpGet that fails', { httpGet: { path: '/no', port } }, 503],
    ['httpGet that takes too long', { httpGet: { path: '/slow', port }, timeoutSeconds: 1 }, 500],
    ['httpGet at a closed port', { httpGet: { port: closedPort } }, 500],
    ['tcpSocket', { tcpSocket: { port } }, 200],
    ['tcpSocket at a closed port', { tcpSocket: { port: closedPort } }, 500],
    ['grpc', { grpc: { port: grpcPort } }, 200],
    ['grpc of a service', { grpc: { port: grpcPort, service: 'well' } }, 200],
    ['grpc that is not serving', { grpc: { port: grpcPort, service: 'sick' } }, 500],
    ['grpc at a closed port', { grpc: { port: closedPort } }, 500],
    ['nothing', {}, 500],
  ]
  for (const [what, prober, want] of cases) assert.equal((await probe(prober, '127.0.0.1')).status, want, what)
  assert.equal(seen[0], '/ok kube-probe/kith v')
})

test('the health ports say ready when it is so, forward known probes alone, and quit for the pod alone', async (t) => {
  let ready = false
  let quits = 0
  let drains = 0
  const web = createServer((_, response) => response.end())
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  const ports: [number, number] = [await freePort(), await freePort()]
  const gate = new ReadinessGate(50)
  const health = await serveReadiness({ host: '0.0.0.0', port: ports[1] }, gate, recordingLog())
  gate.ask(() => ready)
  const served = await serveAgentPort({
    at: { host: '0.0.0.0', port: ports[0] }, log: recordingLog(), isOwnName: () => false, gate, metrics: async () => 'a 1\n', application: { address: '127.0.0.1', from: undefined }, onQuit: () => quits++, onDrain: async () => void drains++,
    probers: parseProbers(JSON.stringify({ '/app-health/web/readyz': { httpGet: { path: '/', port: portOf(web) } } })),
  })
  t.after(() => {
    served.close()
    health.close()
    web.closeAllConnections()
    web.close()
  })
  const ask = async (port: number, path: string, method = 'GET', host = '127.0.0.1'): Promise<number> => (await fetch(`http://${host}:${port}${path}`, { method, headers: { connection: 'close' } })).status
  for (const port of ports) assert.equal(await ask(port, '/healthz/ready'), 503)
  ready = true
  for (const port of ports) assert.equal(await ask(port, '/healthz/ready'), 200)
  assert.equal(await ask(ports[0], '/stats/prometheus'), 200)
  assert.equal(await ask(ports[0], '/app-health/web/readyz'), 200)
  assert.equal(await ask(ports[0], '/app-health/web/livez'), 404)
  assert.equal(await ask(ports[1], '/stats/prometheus'), 404)
  assert.equal(await ask(ports[0], '/quitquitquit'), 405)
  assert.equal(quits, 0)
  assert.equal(await ask(ports[0], '/quitquitquit', 'POST'), 200)
  assert.equal(quits, 1)
  assert.equal(await ask(ports[0], '/drain'), 405)
  assert.equal(await ask(ports[0], '/drain', 'POST'), 200)
  assert.equal(drains, 1)
  assert.throws(() => parseProbers('{'), { code: 'ENV_INVALID' })
  assert.throws(() => parseProbers('[]'), { code: 'ENV_INVALID' })
})

test('a question that comes a little early is answered once it is so; after the end it is never', async () => {
  const gate = new ReadinessGate(5000)
  const early = gate.ready()
  let ready = false
  gate.ask(() => ready)
  ready = true
  assert.equal(await early, true)
  gate.end()
  assert.equal(await gate.ready(), false)
})

test('an application that is just opening its port is ready when it is; one that stays closed is not', async (t) => {
  const port = await freePort()
  const web = createServer((_, response) => response.end())
  t.after(() => web.close())
  const early = patientProbe({ httpGet: { port } }, '127.0.0.1')
  setTimeout(() => web.listen(port, '127.0.0.1'), 100)
  assert.equal((await early).status, 200)
  assert.equal((await patientProbe({ tcpSocket: { port: await freePort() } }, '127.0.0.1')).status, 500)
})
