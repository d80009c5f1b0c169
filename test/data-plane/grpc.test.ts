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
