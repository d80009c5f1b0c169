// gRPC through two sidecars over mutual TLS: every kind of call, its status, its trailers, its end; and what logs and metrics say of it.
import assert from 'node:assert/strict'
import { once, type EventEmitter } from 'node:events'
import { connect, createServer, type ServerHttp2Stream } from 'node:http2'
import type { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { Metadata, type ServiceError, type StatusObject } from '@grpc/grpc-js'
import { grpcApp, grpcPair, status, type GrpcApp } from './grpc.ts'
import { freePort } from '../fixtures/ports.ts'
import { clientId, host, serverId } from './pair.ts'
import { downstreamTls, hcm, inboundResources, istioH2Alpn, resource } from './resources.ts'
import { until } from './talk.ts'

let app: GrpcApp
let pair: Awaited<ReturnType<typeof grpcPair>>
before(async () => {
  app = await grpcApp()
  pair = await grpcPair(app.port)
})
after(async () => {
  await pair.stop()
  app.close()
})

test('a unary call: answer, trailers, identity, log and metric on both sides', async () => {
  const metadata = new Metadata()
  metadata.add('x-twice', 'a')
  metadata.add('x-twice', 'b')
  metadata.set('x-forwarded-client-cert', 'URI=spiffe://forged')
  const { body, trailers } = await pair.newClient().unary('Echo', 'hello', { metadata })
  assert.equal(body.toString(), 'hello')
  assert.deepEqual(trailers.get('x-trailer'), ['behind'])
  assert.deepEqual(app.seen.metadata.get('x-twice').join(), 'a, b')
  assert.match(String(app.seen.metadata.get('x-forwarded-client-cert')[0]), new RegExp(`^By=${serverId};Hash=[0-9a-f]{64};Subject="";URI=${clientId}$`))
  await until(() => pair.serverLog.some((l) => l.includes('POST /test.Bytes/Echo HTTP/2" 200 ')), 'the server’s log line')
  await until(() => pair.clientLog.some((l) => l.includes('POST /test.Bytes/Echo HTTP/2" 200 ')), 'the client’s log line')
  for (const side of [pair.client, pair.server]) assert.match(side.metrics(), /istio_requests_total\{[^}]*request_protocol="grpc",response_code="200",grpc_response_status="0"/)
})

test('a bidirectional call answers while it is asked', async () => {
  const call = pair.newClient().chat()
  for (const word of ['one', 'two', 'three']) {
    call.write(Buffer.from(word))
    const [answer] = await once(call, 'data')
    assert.equal(String(answer), word)
  }
  call.end()
  const [end] = await once(call, 'status')
  assert.equal(end.code, status.OK)
})

test('an error keeps its code, message and metadata', async () => {
  const error = await pair.newClient().unary('Fail', String(status.FAILED_PRECONDITION)).then(() => undefined, (e: ServiceError) => e)
  assert.equal(error?.code, status.FAILED_PRECONDITION)
  assert.equal(error?.details, 'as you wished: 100 %')
  assert.deepEqual(error?.metadata.get('x-why'), ['asked'])
  assert.match(pair.client.metrics(), /response_code="200",grpc_response_status="9"/)
})

test('large messages and long streams pass whole, both ways', async () => {
  const client = pair.newClient()
  const big = Buffer.alloc(3_000_000, 'b')
  assert.ok((await client.unary('Echo', big)).body.equals(big))
  assert.equal(await client.count(Array.from({ length: 64 }, () => Buffer.alloc(100_000))), '6400000')
  let got = 0
  const call = client.many(200, 50_000)
  call.on('data', (part: Buffer) => (got += part.length))
  const [end] = await once(call, 'status')
  assert.deepEqual([end.code, got], [status.OK, 10_000_000])
})

test('a thousand calls at a time share one connection', async () => {
  const client = pair.newClient()
  const before = pair.connections()
  const upstream = pair.client.connections().upstream
  const calls = Array.from({ length: 1000 }, () => client.chat())
  for (const [i, call] of calls.entries()) call.write(Buffer.from(String(i)))
  const answers = await Promise.all(calls.map(async (call) => String((await once(call, 'data'))[0])))
  assert.deepEqual(answers, calls.map((_, i) => String(i)))
  assert.equal(pair.connections() - before, 1)
  assert.ok(pair.client.connections().upstream <= Math.max(1, upstream), `${pair.client.connections().upstream} upstream connections`)
  for (const call of calls) call.end()
  await Promise.all(calls.map((call) => once(call, 'status')))
})

test('who waits no longer is not worked for: cancelling and deadlines reach the server', async () => {
  const client = pair.newClient()
  const { hanging } = app
  let cancel = (): void => {}
  const cancelled = client.unary('Hang', '', { onCall: (c) => (cancel = c) }).catch((e: ServiceError) => e.code)
  await until(() => hanging.begun === 1, 'the call’s arrival')
  cancel()
  assert.equal(await cancelled, status.CANCELLED)
  await until(() => hanging.cancelled === 1, 'the cancelling')
  await until(() => pair.clientLog.some((l) => l.includes('/test.Bytes/Hang') && l.includes(' DR ')), 'the log line')
  const late = await client.unary('Hang', '', { deadlineMs: 150 }).catch((e: ServiceError) => e.code)
  assert.equal(late, status.DEADLINE_EXCEEDED)
  await until(() => hanging.cancelled === 2, 'the deadline’s arrival')
})

test('a slow reader holds its own stream alone, and a bounded part of it', async () => {
  let written = 0
  const streaming = createServer()
  streaming.on('stream', (stream: ServerHttp2Stream, asked) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
    if (asked[':path'] === '/quick') return void stream.end('meanwhile')
    const part = Buffer.alloc(100_000, 'm')
    const more = (): void => {
      while (written < 40_000_000) {
        written += part.length
        if (!stream.write(part)) return void stream.once('drain', more)
      }
      stream.end()
    }
    more()
  })
  const port = await freePort()
  streaming.listen(port, '127.0.0.1')
  await once(streaming, 'listening')
  const slowPair = await grpcPair(port)
  const session = connect(`http://127.0.0.1:${slowPair.port}`)
  try {
    const headers = { ':authority': 'httpbin.bar:8000', ':path': '/slow' }
    const slow = session.request(headers)
    await once(slow, 'response')
    // Nobody reads: what is written settles at what the windows on the way take in.
    let before = -1
    while (written !== before) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    let meanwhile = ''
    for await (const part of session.request({ ...headers, ':path': '/quick' })) meanwhile += String(part)
    assert.equal(meanwhile, 'meanwhile')
    assert.ok(written < 4_000_000, `${written} of 40,000,000 bytes have left the server`)
    let got = 0
    for await (const part of slow) got += (part as Buffer).length
    assert.equal(got, 40_000_000)
  } finally {
    session.destroy()
    await slowPair.stop()
    streaming.close()
  }
})

/** An error is a status too. */
function ended(call: EventEmitter): Promise<StatusObject> {
  call.on('error', () => {})
  return new Promise((resolve) => call.once('status', resolve))
}

test('answers that end before the question has: whole, with their status', async () => {
  const client = pair.newClient()
  const one = async (): Promise<void> => {
    const call = client.chat('Quit')
    call.on('error', () => {})
    const messages: string[] = []
    call.on('data', (part: Buffer) => messages.push(String(part)))
    call.write(Buffer.alloc(200_000))
    const end = await ended(call)
    assert.deepEqual([end.code, end.details, messages], [status.RESOURCE_EXHAUSTED, 'enough', ['so far']])
  }
  for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 10 }, one))
})

const faultType = 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault'
const rbacType = 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3'

test('what the proxy answers itself, a gRPC client reads as a status: HTTP 200, trailers alone', async () => {
  const cluster = `outbound|8000||${host}`
  const route = (path: string, more: JsonObject, typed: JsonObject = {}): JsonObject => ({ match: { path: `/test.Bytes/${path}` }, typedPerFilterConfig: { ...istioH2Alpn, ...typed }, ...more })
  const abort = (of: object): JsonObject => ({ 'envoy.filters.http.fault': { '@type': faultType, abort: { ...of, percentage: { numerator: 100 } } } })
  const routes: JsonObject[] = [
    route('Echo', { route: { cluster, timeout: '0s' } }, abort({ httpStatus: 429 })),
    route('Fail', { route: { cluster, timeout: '0s' } }, abort({ grpcStatus: 9 })),
    route('Hang', { route: { cluster, timeout: '0.1s' } }),
    route('Chat', { directResponse: { status: 403, body: { inlineString: 'not for you, 100 %' } } }),
    route('Many', { route: { cluster: 'missing' } }),
  ]
  const told = await grpcPair(app.port, {}, { routes })
  try {
    const client = told.newClient()
    const read = async (call: Readable) => {
      const end = ended(call.resume())
      return end.then((e) => [e.code, e.details])
    }
    const answer = (call: Promise<unknown>) => call.then(() => 'answered', (e: ServiceError) => [e.code, e.details])
    assert.deepEqual(await answer(client.unary('Echo', '')), [status.UNAVAILABLE, 'fault filter abort'])
    assert.deepEqual(await answer(client.unary('Fail', '0')), [status.FAILED_PRECONDITION, 'fault filter abort'])
    assert.deepEqual(await answer(client.unary('Hang', '')), [status.UNAVAILABLE, 'upstream request timeout'])
    assert.deepEqual(await read(client.chat()), [status.PERMISSION_DENIED, 'not for you, 100 %'])
    assert.deepEqual(await read(client.many(1, 1)), [status.UNAVAILABLE, ''])
    // No route at all.
    assert.deepEqual(await answer(client.count([Buffer.from('x')])), [status.UNIMPLEMENTED, ''])
    await until(() => told.clientLog.some((l) => l.includes('/test.Bytes/Hang HTTP/2" 200 UT response_timeout')), 'the log line')
    assert.match(told.client.metrics(), /response_code="200",grpc_response_status="14",response_flags="UT"/)
  } finally {
    await told.stop()
  }
})

test('AuthorizationPolicy over HTTP/2: methods are paths, and a denial is PERMISSION_DENIED', async () => {
  const deny: JsonObject = {
    name: 'envoy.filters.http.rbac',
    typedConfig: { '@type': `${rbacType}.RBAC`, rules: { action: 'DENY', policies: { 'ns[bar]-policy[no-fail]-rule[0]': { permissions: [{ urlPath: { path: { exact: '/test.Bytes/Fail' } } }], principals: [{ authenticated: { principalName: { exact: clientId } } }] } } } },
  }
  const router: JsonObject = { name: 'envoy.filters.http.router', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }
  const guarded = await grpcPair(app.port)
  try {
    const base = inboundResources([{ port: 80, kind: 'http', mode: 'STRICT', http: 'http2' }], 'STRICT')
    const listener = resource('listener', {
      name: 'virtualInbound', address: { socketAddress: { address: '0.0.0.0', portValue: 15006 } }, trafficDirection: 'INBOUND',
      listenerFilters: [{ name: 'tls', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector' } }],
      filterChains: [{ filterChainMatch: { transportProtocol: 'tls' }, filters: [hcm({ httpFilters: [deny, router], routeConfig: { virtualHosts: [{ name: 'in', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'inbound|80||' } }] }] } }, true)], transportSocket: downstreamTls(['h2', 'http/1.1']) }],
    })
    assert.deepEqual(guarded.server.update([...base.filter((r) => r.name !== 'virtualInbound'), listener]).errors, [])
    const client = guarded.newClient()
    assert.equal((await client.unary('Echo', 'in')).body.toString(), 'in')
    const denied = await client.unary('Fail', '0').then(() => undefined, (e: ServiceError) => e)
    assert.deepEqual([denied?.code, denied?.details], [status.PERMISSION_DENIED, 'RBAC: access denied'])
    await until(() => guarded.serverLog.some((l) => l.includes('200 RBAC rbac_access_denied_matched_policy[ns[bar]-policy[no-fail]-rule[0]]')), 'the policy in the log')
  } finally {
    await guarded.stop()
  }
})
