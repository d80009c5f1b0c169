// Every duration of a VirtualService and a DestinationRule, by the clock of a stock Envoy with what Kith generated. The margins
// are seconds: what is tested is which of two fields Envoy obeys, not how precisely.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import { connect, createServer as createTcp, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { canonicalJson } from '#lib/canonical.ts'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { freePort } from '../fixtures/ports.ts'
import { configOf } from '../golden/golden-case.ts'
import { testAuthority } from './fixtures/certificates.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'
import { loopbackOutbound } from './fixtures/loopback.ts'
import { startEnvoy, until } from './fixtures/running-envoy.ts'
import { staticBootstrap } from './fixtures/static-bootstrap.ts'

/** Ports of services: HTTP/1.1, gRPC, and TCP. */
const [http, grpc, tcp] = [80, 81, 9000] as const
const network = (kind: string, name: string, spec: object): object => ({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace: 'bar' }, spec })

interface Service {
  readonly port: number
  readonly protocol: string
  readonly target: number
  /** Of the VirtualService's one http rule, besides its destination. */
  readonly rule?: object
  readonly policy?: object
}

function serviceObjects(name: string, { port, protocol, target, rule, policy }: Service): object[] {
  const host = `${name}.example.com`
  const entry = { hosts: [host], location: 'MESH_EXTERNAL', resolution: 'STATIC', ports: [{ number: port, name: 'p', protocol, targetPort: target }], endpoints: [{ address: '127.0.0.1' }] }
  return [
    network('ServiceEntry', name, port === tcp ? { ...entry, addresses: ['240.0.0.9'] } : entry),
    ...(rule === undefined ? [] : [network('VirtualService', name, { hosts: [host], http: [{ ...rule, route: [{ destination: { host } }] }] })]),
    ...(policy === undefined ? [] : [network('DestinationRule', name, { host, trafficPolicy: policy })]),
  ]
}

const ends: (() => unknown)[] = []
const listens = new Map<number, number>()
/** By the host that was asked for: how often. */
const asked = new Map<string, number>()
const askedFor = (name: string): number => asked.get(`${name}.example.com`) ?? 0
/** By the host that was asked for: when its connections ended. */
const closed = new Map<string, number>()
let pings = 0

before(async () => {
  const envoy = findEnvoy()
  if (!('path' in envoy)) return
  for (const port of [http, grpc, tcp]) listens.set(port, await freePort())
  const [web, rpc, echo, deaf] = [await slowHttp(), await slowGrpc(), await quietTcp(), await deafPort()]
  const services: Readonly<Record<string, Service>> = {
    timeout: { port: http, protocol: 'HTTP', target: web, rule: { timeout: '0.3s' } },
    untimed: { port: http, protocol: 'HTTP', target: web, rule: { headers: { response: { set: { 'x-rule': 'yes' } } } } },
    try: { port: http, protocol: 'HTTP', target: web, rule: { retries: { attempts: 2, perTryTimeout: '0.3s', retryOn: 'reset,connect-failure' } } },
    backoff: { port: http, protocol: 'HTTP', target: web, rule: { retries: { attempts: 1, backoff: '4s', retryOn: '5xx' } } },
    delay: { port: http, protocol: 'HTTP', target: web, rule: { fault: { delay: { fixedDelay: '2s', percentage: { value: 100 } } } } },
    cors: { port: http, protocol: 'HTTP', target: web, rule: { corsPolicy: { allowOrigins: [{ exact: 'https://a.example' }], allowMethods: ['GET'], maxAge: '25h' } } },
    connect: { port: http, protocol: 'HTTP', target: deaf, policy: { connectionPool: { tcp: { connectTimeout: '0.5s' } } } },
    cookie: { port: http, protocol: 'HTTP', target: web, policy: { loadBalancer: { consistentHash: { httpCookie: { name: 'where', path: '/', ttl: '600s' } } } } },
    rpc: { port: grpc, protocol: 'GRPC', target: rpc, rule: { timeout: '0.3s' } },
    free: { port: grpc, protocol: 'GRPC', target: rpc, rule: { headers: { response: { set: { 'x-rule': 'yes' } } } } },
    kept: { port: http, protocol: 'HTTP', target: web, policy: { connectionPool: { http: { idleTimeout: '1s' } } } },
    aged: { port: http, protocol: 'HTTP', target: web, policy: { connectionPool: { tcp: { maxConnectionDuration: '1s' } } } },
    ejected: { port: http, protocol: 'HTTP', target: web, policy: { outlierDetection: { consecutive5xxErrors: 1, interval: '0.2s', baseEjectionTime: '1.5s', maxEjectionPercent: 100 } } },
    pinged: { port: grpc, protocol: 'GRPC', target: rpc, policy: { connectionPool: { http: { http2KeepAlive: { interval: '1s', timeout: '5s' } } } } },
    idle: { port: tcp, protocol: 'TCP', target: echo, policy: { connectionPool: { tcp: { idleTimeout: '1s' } } } },
  }
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bar', labels: { 'istio-injection': 'enabled' } } }
  const client = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'client', namespace: 'bar', labels: { app: 'client' } }, spec: { containers: [{ name: 'app', image: 'app' }] } }
  const objects = [namespace, client, ...Object.entries(services).flatMap(([name, service]) => serviceObjects(name, service))]
  const decoded = decodeObjects(parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents)
  assert.deepEqual(decoded.problems.filter((p) => p.severity === 'error'), [])
  const authority = await testAuthority()
  ends.push(() => rmSync(authority.folder, { recursive: true, force: true }))
  const { resources, plan } = configOf(buildMesh(decoded.objects, {}), 'client.bar')
  const certificates = await authority.issue('client', [{ type: 'url', value: plan.proxy.identity }])
  const bootstrap = loopbackOutbound(staticBootstrap(resources, certificates), listens, [])
  const running = await startEnvoy({ binary: envoy.path, folder: authority.folder, name: 'envoy', bootstrap })
  ends.push(() => running.stop())
})
after(async () => {
  for (const end of ends.reverse()) await end()
})

async function listening(server: { listen(port: number, host: string): unknown; close(): unknown }): Promise<number> {
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server as never, 'listening')
  ends.push(() => server.close())
  return port
}

/** `/wait/2000`: an answer after so long. `/fail`: 503 at once. */
function slowHttp(): Promise<number> {
  const server = createServer((req, res) => {
    const host = String(req.headers.host)
    asked.set(host, (asked.get(host) ?? 0) + 1)
    req.socket.once('close', () => closed.set(host, performance.now()))
    if (req.url === '/fail') return void res.writeHead(503).end()
    setTimeout(() => res.end('late'), Number(/^\/wait\/(\d+)$/.exec(req.url ?? '')?.[1] ?? 0))
  })
  ends.push(() => server.closeAllConnections())
  return listening(server)
}

/** Answers gRPC calls with status 0 after three seconds. */
function slowGrpc(): Promise<number> {
  const server = createHttp2((_req, res) => {
    setTimeout(() => res.stream.destroyed || res.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '0' }).end(), 3000)
  })
  server.on('session', (session) => session.on('ping', () => pings++))
  return listening(server)
}

function quietTcp(): Promise<number> {
  return listening(createTcp((socket) => socket.on('error', () => undefined).resume()))
}

/** A port whose queue of connections is full, so that the kernel answers no more of them. */
async function deafPort(): Promise<number> {
  const port = await freePort()
  const program = `require('node:net').createServer().listen({port:${port},host:'127.0.0.1',backlog:1},()=>{console.log('up');process.kill(process.pid,'SIGSTOP')})`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  ends.push(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const held = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
  ends.push(() => held.forEach((socket) => socket.destroy()))
  await once(held[0] as Socket, 'connect')
  return port
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly seconds: number
}

function get(name: string, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const fromMs = performance.now()
  return new Promise((resolve, reject) => {
    const host = `${name}.example.com`
    request({ host: '127.0.0.1', port: listens.get(http), path, method, headers: { host, ...headers }, agent: false }, (res) => {
      res.resume().on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, seconds: (performance.now() - fromMs) / 1000 }))
    }).on('error', reject).end()
  })
}

/** The gRPC status of a call, and after how long it came. */
function call(name: string, headers: Record<string, string> = {}): Promise<{ readonly status: string; readonly seconds: number }> {
  const fromMs = performance.now()
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${listens.get(grpc)}`).on('error', reject)
    const stream = session.request({ ':method': 'POST', ':path': '/a.B/C', ':authority': `${name}.example.com`, 'content-type': 'application/grpc', te: 'trailers', ...headers })
    let status = ''
    for (const event of ['response', 'trailers'] as const) stream.on(event, (h) => (status ||= String(h['grpc-status'] ?? '')))
    stream.on('error', reject).resume().on('end', () => {
      session.close()
      resolve({ status, seconds: (performance.now() - fromMs) / 1000 })
    })
    stream.end()
  })
}

/** They wait, and hardly compute: all at once. */
const lanes: { readonly what: string; readonly run: () => Promise<void> }[] = []
const lane = (what: string, run: () => Promise<void>): void => void lanes.push({ what, run })

lane('VirtualService timeout: 0.3s ends a call that would take four seconds; without one it is waited for', async () => {
  const cut = await get('timeout', '/wait/4000')
  assert.equal(cut.status, 504)
  assert.ok(cut.seconds < 2.5, `${cut.seconds} s`)
  const waited = await get('untimed', '/wait/2000')
  assert.deepEqual([waited.status, waited.headers['x-rule']], [200, 'yes'])
})

lane('retries.perTryTimeout: each of three tries ends after 0.3 s', async () => {
  const { status, seconds } = await get('try', '/wait/4000')
  assert.equal(status, 504)
  assert.equal(askedFor('try'), 3)
  assert.ok(seconds < 3, `${seconds} s`)
})

lane('retries.backoff: the second try comes later than Envoy’s own 25 ms', async () => {
  // Envoy waits a random part of the interval: of several calls some wait for more than half a second.
  const answers = await Promise.all(Array.from({ length: 8 }, () => get('backoff', '/fail')))
  assert.ok(answers.every((a) => a.status === 503))
  assert.ok(Math.max(...answers.map((a) => a.seconds)) > 0.5, answers.map((a) => a.seconds).join(' '))
})

lane('fault.delay.fixedDelay: two seconds before an answer that takes none', async () => {
  const { status, seconds } = await get('delay', '/')
  assert.equal(status, 200)
  assert.ok(seconds > 1.9 && seconds < 5, `${seconds} s`)
})

lane('corsPolicy.maxAge in seconds', async () => {
  const { headers } = await get('cors', '/', { origin: 'https://a.example', 'access-control-request-method': 'GET' }, 'OPTIONS')
  assert.equal(headers['access-control-max-age'], '90000')
})

lane('connectTimeout: 0.5s, where the kernel answers no connection', async () => {
  const { status, seconds } = await get('connect', '/')
  assert.equal(status, 503)
  assert.ok(seconds < 5, `${seconds} s`)
})

lane('consistentHash.httpCookie.ttl in seconds', async () => {
  const { headers } = await get('cookie', '/')
  assert.match(headers['set-cookie']?.[0] ?? '', /^where="[^"]+"; Max-Age=600; Path=\//)
})

lane('a gRPC call: timeout limits it with and without a grpc-timeout header; without timeout the header does', async () => {
  for (const headers of [{}, { 'grpc-timeout': '10S' }]) {
    const { status, seconds } = await call('rpc', headers)
    assert.notEqual(status, '0')
    assert.ok(seconds < 2.5, `${seconds} s with ${JSON.stringify(headers)}`)
  }
  const cut = await call('free', { 'grpc-timeout': '300m' })
  assert.notEqual(cut.status, '0')
  assert.ok(cut.seconds < 2.5, `${cut.seconds} s`)
  assert.equal((await call('free')).status, '0')
})

for (const [name, field] of [['kept', 'http.idleTimeout'], ['aged', 'tcp.maxConnectionDuration']] as const) {
  lane(`${field}: a connection to the application ends a second after its only request`, async () => {
    const fromMs = performance.now()
    assert.equal((await get(name, '/')).status, 200)
    const host = `${name}.example.com`
    await until(() => closed.has(host), `the connection of ${host} to end`)
    const seconds = ((closed.get(host) ?? 0) - fromMs) / 1000
    assert.ok(seconds > 0.9 && seconds < 5, `${seconds} s`)
  })
}

lane('outlierDetection.baseEjectionTime: the endpoint is away for a second and a half, then it is back', async () => {
  const fromMs = performance.now()
  assert.equal((await get('ejected', '/fail')).status, 503)
  assert.equal((await get('ejected', '/')).status, 503)
  await until(async () => (await get('ejected', '/')).status === 200, 'the endpoint to be back')
  const seconds = (performance.now() - fromMs) / 1000
  assert.ok(seconds > 1.4 && seconds < 6, `${seconds} s`)
  assert.ok(askedFor('ejected') >= 2)
})

lane('http2KeepAlive.interval: a PING while the application says nothing', async () => {
  const before = pings
  await call('pinged')
  assert.ok(pings > before)
})

lane('tcp.idleTimeout: 1s ends a connection on which nothing is said', async () => {
  const fromMs = performance.now()
  const socket = connect(listens.get(tcp) as number, '127.0.0.1')
  socket.resume()
  await once(socket, 'close')
  const seconds = (performance.now() - fromMs) / 1000
  assert.ok(seconds > 0.9 && seconds < 5, `${seconds} s`)
})

test('durations by the clock of a stock Envoy', { concurrency: true }, async (t) => {
  if (needsEnvoy(t) === undefined) return
  await Promise.all(lanes.map(({ what, run }) => t.test(what, run)))
})
