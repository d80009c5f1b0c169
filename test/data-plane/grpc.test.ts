// gRPC through two sidecars over mutual TLS: every kind of call, its status, its trailers, its end; and what logs and metrics say of it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { Metadata, type ServiceError } from '@grpc/grpc-js'
import { grpcApp, grpcPair, status, type GrpcApp } from './grpc.ts'
import { clientId, serverId } from './pair.ts'
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
  await until(() => pair.clientLog.some((l) => l.includes('/test.Bytes/Hang') && l.includes(' DC ')), 'the log line')
  const late = await client.unary('Hang', '', { deadlineMs: 150 }).catch((e: ServiceError) => e.code)
  assert.equal(late, status.DEADLINE_EXCEEDED)
  await until(() => hanging.cancelled === 2, 'the deadline’s arrival')
})

test('a slow reader holds its own stream alone, and a bounded part of it', async () => {
  const client = pair.newClient({ 'grpc-node.flow_control_window': 65_535 })
  const slow = client.many(400, 100_000)
  slow.pause()
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal((await client.unary('Echo', 'meanwhile')).body.toString(), 'meanwhile')
  const held = process.memoryUsage().arrayBuffers
  assert.ok(held < 30_000_000, `${held} bytes are held of 40,000,000`)
  let got = 0
  slow.on('data', (part: Buffer) => (got += part.length))
  slow.resume()
  await once(slow, 'status')
  assert.equal(got, 40_000_000)
})
