import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { typeUrls, type Resource } from './resource.ts'
import { SotwServerState, type SotwRequest, type SotwResponse } from './sotw-server.ts'

const resource = (type: string, name: string, version: string): Resource => ({ type, name, version, any: { $typeName: 'google.protobuf.Any', typeUrl: type, value: new Uint8Array() } as Resource['any'] })
const mapOf = (...rs: Resource[]): Map<string, Resource> => new Map(rs.map((r) => [r.name, r]))
const wildcard = new Set<string>([typeUrls.cluster])
const ask = (typeUrl: string, names: string[] = [], more: Partial<SotwRequest> = {}): SotwRequest => ({ typeUrl, names, nonce: '', ...more })

test('each response is all there is; a stale nonce is ignored; what was refused is not sent again', () => {
  const server = new SotwServerState(wildcard)
  server.request(ask(typeUrls.cluster))
  const first = server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '1'), resource(typeUrls.cluster, 'b', '1')))
  assert.equal(first?.resources.length, 2)
  assert.equal(server.push(typeUrls.cluster, mapOf()), undefined)
  assert.equal(server.request(ask(typeUrls.cluster, [], { nonce: 'old' })), undefined)
  assert.equal(server.settled(), false)
  assert.equal(server.request(ask(typeUrls.cluster, [], { nonce: first?.nonce ?? '', error: 'no' }))?.kind, 'nack')
  assert.equal(server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '1'), resource(typeUrls.cluster, 'b', '1'))), undefined)
  assert.deepEqual(server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '1')))?.resources.map((r) => r.name), ['a'])
})

test('further names bring a further response, names that do not exist bring none', () => {
  const server = new SotwServerState(wildcard)
  const there = mapOf(resource(typeUrls.endpoint, 'a', '1'), resource(typeUrls.endpoint, 'b', '1'))
  server.request(ask(typeUrls.endpoint, ['x']))
  assert.equal(server.push(typeUrls.endpoint, there), undefined)
  server.request(ask(typeUrls.endpoint, ['x', 'a']))
  const first = server.push(typeUrls.endpoint, there)
  assert.deepEqual(first?.resources.map((r) => r.name), ['a'])
  assert.equal(server.request(ask(typeUrls.endpoint, ['x', 'a'], { nonce: first?.nonce ?? '' }))?.kind, 'ack')
  // The same nonce once more, with another name: a subscription, no second answer.
  assert.equal(server.request(ask(typeUrls.endpoint, ['a', 'b'], { nonce: first?.nonce ?? '' })), undefined)
  assert.deepEqual(server.push(typeUrls.endpoint, there)?.resources.map((r) => r.name), ['a', 'b'])
})

test('state of the world reaches the server’s state under any interleaving of delay, drop, ACK and NACK', () => {
  const world = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2', '3'))
  const step = fc.oneof(fc.record({ do: fc.constant('change' as const), to: world }), fc.record({ do: fc.constantFrom('push' as const, 'toClient' as const, 'toServer' as const, 'refuse' as const, 'drop' as const) }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const type = typeUrls.cluster
      let state = mapOf()
      let held: string[] = []
      let server = new SotwServerState(wildcard)
      let up: SotwRequest[] = []
      let down: SotwResponse[] = []
      const connect = (): void => {
        server = new SotwServerState(wildcard)
        up = [ask(type)]
        down = []
      }
      const push = (): void => {
        const response = server.push(type, state)
        if (response !== undefined) down.push(response)
      }
      const toServer = (): void => {
        const request = up.shift()
        if (request !== undefined) {
          server.request(request)
          push()
        }
      }
      const toClient = (refuse: boolean): void => {
        const response = down.shift()
        if (response === undefined) return
        if (!refuse) held = response.resources.map((r) => `${r.name}${r.version}`).sort()
        up.push(ask(type, [], { nonce: response.nonce, ...(refuse ? { error: 'no' } : {}) }))
      }
      connect()
      for (const s of steps) {
        if (s.do === 'change') state = mapOf(...Object.entries(s.to).map(([n, v]) => resource(type, n, v)))
        else if (s.do === 'push') push()
        else if (s.do === 'toServer') toServer()
        else if (s.do === 'drop') connect()
        else toClient(s.do === 'refuse')
      }
      if (steps.some((s) => s.do === 'refuse')) connect()
      push()
      while (up.length > 0 || down.length > 0) {
        toClient(false)
        toServer()
      }
      assert.deepEqual(held, [...state.values()].map((r) => `${r.name}${r.version}`).sort())
    }),
    { numRuns: 500 },
  )
})
