import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DeltaClientState } from './delta-client.ts'
import { DeltaServerState, type DeltaRequest, type DeltaResponse } from './delta-server.ts'
import { typeUrls, type Resource } from './resource.ts'

const resource = (type: string, name: string, version: string): Resource => ({ type, name, version, any: { $typeName: 'google.protobuf.Any', typeUrl: type, value: new TextEncoder().encode(version) } as Resource['any'] })
const ask = (typeUrl: string, more: Partial<DeltaRequest> = {}): DeltaRequest => ({ typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', ...more })
const mapOf = (...rs: Resource[]): Map<string, Resource> => new Map(rs.map((r) => [r.name, r]))
const all = new Set([typeUrls.cluster, typeUrls.listener])

test('a wildcard watcher hears of additions, changes and removals, each once', () => {
  const server = new DeltaServerState(all)
  server.request(ask(typeUrls.cluster))
  const first = server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '1'), resource(typeUrls.cluster, 'b', '1')))
  assert.deepEqual(first?.resources.map((r) => r.name), ['a', 'b'])
  assert.equal(server.push(typeUrls.cluster, mapOf()), undefined)
  assert.equal(server.request(ask(typeUrls.cluster, { nonce: 'invented' })), undefined)
  assert.equal(server.request(ask(typeUrls.cluster, { nonce: first?.nonce ?? '' }))?.kind, 'ack')
  const second = server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '2')))
  assert.deepEqual([second?.resources.map((r) => r.version), second?.removed], [['2'], ['b']])
  assert.equal(server.request(ask(typeUrls.cluster, { nonce: second?.nonce ?? '', error: 'no' }))?.kind, 'nack')
  assert.equal(server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '2'))), undefined)
})

test('a name that does not exist is answered once, and sent when it comes', () => {
  const server = new DeltaServerState(all)
  server.request(ask(typeUrls.endpoint, { subscribe: ['x'] }))
  const first = server.push(typeUrls.endpoint, mapOf())
  assert.deepEqual(first?.removed, ['x'])
  server.request(ask(typeUrls.endpoint, { nonce: first?.nonce ?? '' }))
  assert.equal(server.push(typeUrls.endpoint, mapOf()), undefined)
  assert.equal(server.push(typeUrls.endpoint, mapOf(resource(typeUrls.endpoint, 'x', '1')))?.resources.length, 1)
})

test('what a client holds from before is not sent again; what it asks for again is', () => {
  const server = new DeltaServerState(all)
  server.request(ask(typeUrls.cluster, { initialVersions: { a: '1', gone: '1' } }))
  const push = server.push(typeUrls.cluster, mapOf(resource(typeUrls.cluster, 'a', '1'), resource(typeUrls.cluster, 'b', '1')))
  assert.deepEqual([push?.resources.map((r) => r.name), push?.removed], [['b'], ['gone']])
  server.request(ask(typeUrls.endpoint, { subscribe: ['e'] }))
  const sent = server.push(typeUrls.endpoint, mapOf(resource(typeUrls.endpoint, 'e', '1')))
  server.request(ask(typeUrls.endpoint, { subscribe: ['e'], nonce: sent?.nonce ?? '' }))
  assert.equal(server.push(typeUrls.endpoint, mapOf(resource(typeUrls.endpoint, 'e', '1')))?.resources.length, 1)
})

test('a refused resource keeps its last good version, the others of the response go on', () => {
  const client = new DeltaClientState([typeUrls.cluster], new Set([typeUrls.cluster]))
  const good: DeltaResponse = { typeUrl: typeUrls.cluster, nonce: '1', resources: [resource(typeUrls.cluster, 'a', '1')], removed: [] }
  assert.equal(client.response(good, () => []).reply.error, undefined)
  const bad: DeltaResponse = { typeUrl: typeUrls.cluster, nonce: '2', resources: [resource(typeUrls.cluster, 'a', '2'), resource(typeUrls.cluster, 'b', '1')], removed: [] }
  const answer = client.response(bad, () => [{ type: typeUrls.cluster, name: 'a', message: 'broken' }, { type: typeUrls.cluster, name: 'c', message: 'too' }])
  assert.match(answer.reply.error ?? '', /a: broken; c: too/)
  assert.deepEqual([...client.of(typeUrls.cluster).values()].map((r) => `${r.name}${r.version}`), ['a1', 'b1'])
})

test('what is held is whole once every name has been answered', () => {
  const client = new DeltaClientState([typeUrls.endpoint], new Set())
  assert.equal(client.complete(), true)
  client.want(typeUrls.endpoint, new Set(['a', 'b']))
  assert.equal(client.complete(), false)
  client.response({ typeUrl: typeUrls.endpoint, nonce: '1', resources: [resource(typeUrls.endpoint, 'a', '1')], removed: [] }, () => [])
  assert.equal(client.complete(), false)
  client.response({ typeUrl: typeUrls.endpoint, nonce: '2', resources: [], removed: ['b'] }, () => [])
  assert.equal(client.complete(), true)
  client.want(typeUrls.endpoint, new Set(['a', 'c']))
  assert.equal(client.complete(), false)
})

test('whatever is dropped, delayed, acknowledged or refused in between, a client reaches the server’s state', () => {
  const names = ['a', 'b', 'c', 'd']
  const world = fc.dictionary(fc.constantFrom(...names), fc.constantFrom('1', '2', '3'))
  const step = fc.oneof(
    fc.record({ do: fc.constant('change' as const), to: world }),
    fc.record({ do: fc.constantFrom('push' as const, 'toClient' as const, 'toServer' as const, 'refuse' as const, 'drop' as const) }),
    fc.record({ do: fc.constant('want' as const), names: fc.uniqueArray(fc.constantFrom(...names)) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, wildcard) => {
      const type = wildcard ? typeUrls.cluster : typeUrls.endpoint
      const client = new DeltaClientState([type], new Set([typeUrls.cluster]))
      let state = mapOf()
      let wanted = new Set<string>()
      let server = new DeltaServerState(all)
      // The two directions of a stream: each in order, both cut by a drop.
      let up: DeltaRequest[] = []
      let down: DeltaResponse[] = []
      const connect = (): void => {
        server = new DeltaServerState(all)
        up = client.connect()
        down = []
      }
      const push = (): void => {
        const response = server.push(type, state)
        if (response !== undefined) down.push(response)
      }
      const toServer = (): void => {
        const request = up.shift()
        if (request === undefined) return
        server.request(request)
        push()
      }
      const toClient = (refuse: boolean): void => {
        const response = down.shift()
        if (response !== undefined) up.push(client.response(response, () => (refuse ? response.resources.map((r) => ({ type, name: r.name, message: 'no' })) : [])).reply)
      }
      connect()
      for (const s of steps) {
        if (s.do === 'change') state = mapOf(...Object.entries(s.to).map(([n, v]) => resource(type, n, v)))
        else if (s.do === 'push') push()
        else if (s.do === 'toServer') toServer()
        else if (s.do === 'toClient') toClient(false)
        else if (s.do === 'refuse') toClient(true)
        else if (s.do === 'drop') connect()
        else if (s.do === 'want' && !wildcard) {
          wanted = new Set(s.names)
          const request = client.want(type, wanted)
          if (request !== undefined) up.push(request)
        }
      }
      // What was refused is sent again on a new stream; without refusals the stream settles by itself.
      if (steps.some((s) => s.do === 'refuse')) connect()
      push()
      while (up.length > 0 || down.length > 0) {
        toClient(false)
        toServer()
      }
      const expected = [...state.values()].filter((r) => wildcard || wanted.has(r.name)).map((r) => `${r.name}${r.version}`).sort()
      assert.deepEqual([...client.of(type).values()].map((r) => `${r.name}${r.version}`).sort(), expected)
      assert.equal(client.complete(), true)
      assert.equal(server.settled(), true)
    }),
    { numRuns: 1000 },
  )
})
