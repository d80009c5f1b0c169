import assert from 'node:assert/strict'
import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { createLogger } from '#lib/log.ts'
import { serveStatus } from './status-port.ts'

function ask(host: string, port: number, path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host, port, path, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', reject).end()
  })
}

test('readiness and metrics are for all; what shows configuration is for loopback under its own name, and for tokens that may', async (t) => {
  const server = await serveStatus({ host: '0.0.0.0', port: 0 }, { log: createLogger('test', 'silent'), names: ['istiod.istio-system.svc'], registry: new Registry(), snapshot: () => 1, proxies: () => [], ready: () => true, kinds: () => [], mayDebug: async (token) => token === 'good' })
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  for (const path of ['/debug/syncz', '/debug/kindz', '/debug/clusterz']) {
    assert.equal(await ask('127.0.0.1', port, path), 200, path)
    assert.equal(await ask('127.0.0.1', port, path, { host: 'evil.example' }), 403, `${path} by a name that a web page gave this machine`)
    assert.equal(await ask('127.0.0.1', port, path, { host: 'evil.example', authorization: 'Bearer good' }), 403, path)
    assert.equal(await ask('127.0.0.1', port, path, { host: 'istiod.istio-system.svc', authorization: 'Bearer good' }), 200, path)
    assert.equal(await ask('127.0.0.1', port, path, { host: 'istiod.istio-system.svc' }), 403, path)
  }
  const other = Object.values(networkInterfaces()).flat().find((i) => i?.family === 'IPv4' && !i.internal)?.address
  if (other === undefined) return t.diagnostic('only loopback here')
  for (const path of ['/ready', '/metrics']) assert.equal(await ask(other, port, path), 200, path)
  assert.equal(await ask(other, port, '/debug/syncz'), 403)
  assert.equal(await ask(other, port, '/debug/syncz', { host: 'localhost' }), 403)
  assert.equal(await ask(other, port, '/debug/syncz', { authorization: 'Bearer bad' }), 403)
  assert.equal(await ask(other, port, '/debug/syncz', { authorization: 'Bearer good' }), 200)
})

test('where nobody can say whether a token may, it may not', async (t) => {
  const server = await serveStatus({ host: '127.0.0.1', port: 0 }, { log: createLogger('test', 'silent'), registry: new Registry(), snapshot: () => 1, proxies: () => [], ready: () => false, mayDebug: async () => { throw new Error('lost') } })
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  assert.equal(await ask('127.0.0.1', port, '/ready'), 503)
  assert.equal(await ask('127.0.0.1', port, '/debug/syncz', { host: 'evil.example', authorization: 'Bearer good' }), 403, 'on loopback alone everything is for this machine’s own names')
})
