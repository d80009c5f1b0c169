// gRPC between our own sidecar and a stock Envoy, each on either side, with what Kith generated for both: neither may notice whom it talks to.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { BytesClient, grpcApp, status, type GrpcApp } from '../data-plane/grpc.ts'
import { testAuthority, type TestAuthority } from './fixtures/certificates.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'
import { startMixedPair } from './fixtures/mixed-pair.ts'

const services = { grpc: 8001, misc: 7000 } as const

const ends: (() => void | Promise<void>)[] = []
let authority: TestAuthority
let app: GrpcApp

before(async () => {
  if (!('path' in findEnvoy())) return
  authority = await testAuthority()
  app = await grpcApp()
})
after(async () => {
  for (const end of ends.toReversed()) await end()
  app?.close()
  if (authority !== undefined) rmSync(authority.folder, { recursive: true, force: true })
})

for (const [client, server] of [['kith', 'envoy'], ['envoy', 'kith'], ['kith', 'kith']] as const) {
  test(`${client} to ${server}: calls, streams, errors and cancelling over mutual TLS`, { timeout: 60_000 }, async (t) => {
    const binary = needsEnvoy(t)
    if (binary === undefined) return
    const pair = await startMixedPair({ client, server, binary, authority, services, application: app.port })
    ends.push(() => pair.stop())
    for (const name of Object.keys(services) as (keyof typeof services)[]) {
      const grpc = new BytesClient(pair.ports[name], { 'grpc.default_authority': `server.foo:${services[name]}` })
      ends.push(() => grpc.close())
      const { body, trailers } = await grpc.unary('Echo', 'hello')
      assert.deepEqual([body.toString(), trailers.get('x-trailer')], ['hello', ['behind']], name)
      assert.match(String(app.seen.metadata.get('x-forwarded-client-cert')[0]), /^By=spiffe:\/\/cluster.local\/ns\/foo\/sa\/server;.*;URI=spiffe:\/\/cluster.local\/ns\/bar\/sa\/client$/)
      const chat = grpc.chat()
      for (const word of ['one', 'two']) {
        chat.write(Buffer.from(word))
        assert.equal(String((await once(chat, 'data'))[0]), word)
      }
      chat.end()
      assert.equal((await once(chat, 'status'))[0].code, status.OK)
      let got = 0
      const many = grpc.many(100, 50_000)
      many.on('data', (part: Buffer) => (got += part.length))
      assert.equal((await once(many, 'status'))[0].code, status.OK)
      assert.equal(got, 5_000_000)
      assert.equal(await grpc.count(Array.from({ length: 20 }, () => Buffer.alloc(100_000))), '2000000')
      assert.deepEqual(await grpc.unary('Fail', '5').catch((e) => [e.code, e.details, e.metadata.get('x-why')]), [5, 'as you wished: 100 %', ['asked']])
      const before = app.hanging.cancelled
      assert.equal(await grpc.unary('Hang', '', { deadlineMs: 200 }).catch((e) => e.code), status.DEADLINE_EXCEEDED)
      for (let i = 0; i < 300 && app.hanging.cancelled === before; i++) await new Promise((resolve) => setTimeout(resolve, 10))
      assert.equal(app.hanging.cancelled, before + 1)
      const calls = Array.from({ length: 100 }, (_, i) => grpc.unary('Echo', String(i)))
      assert.deepEqual((await Promise.all(calls)).map((a) => a.body.toString()), calls.map((_, i) => String(i)))
    }
  })
}
