import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFlags } from './flags.ts'
import { applicationMetrics, mergeMetrics } from './merged-metrics.ts'
import { hostName, parseDownwardMap, parseDuration } from './pod-info.ts'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

test('the downward API’s maps, with what Go escapes', () => {
  assert.deepEqual(parseDownwardMap('app="httpbin"\nnote="a \\"b\\"\\n\\x01 c\\\\d ü \\U0001f600"\n\nbroken\nodd=x\nempty=""\n'), { app: 'httpbin', note: 'a "b"\n\u0001 c\\d ü 😀', empty: '' })
})

test('durations and hosts', () => {
  for (const [text, want] of [['24h0m0s', 86_400_000], ['1.5s', 1500], ['250ms', 250], ['5', undefined], ['', undefined], ['5 s', undefined]] as const) assert.equal(parseDuration(text), want, text)
  for (const [address, want] of [['istiod.istio-system.svc:15012', 'istiod.istio-system.svc'], ['10.0.0.1:15012', undefined], ['[fd00::1]:15012', undefined]] as const) assert.equal(hostName(address), want, address)
})

test('pilot-agent’s flags', () => {
  assert.deepEqual(readFlags(['sidecar', '--domain', 'foo.svc.cluster.local', '--proxyLogLevel=warning', '--proxyComponentLogLevel=misc:error', '--log_output_level=default:debug,ads:info']), { agentLevel: 'debug', proxyLevel: 'warn', domain: 'foo.svc.cluster.local' })
  assert.deepEqual(readFlags(['sidecar', '--log_output_level', 'error']), { agentLevel: 'error', proxyLevel: 'info' })
})

test('the application’s metrics come with the sidecar’s, or are counted as failed', async (t) => {
  const web = createServer((request, response) => (request.url === '/m' ? response.end('app_total 3\n# EOF\n') : response.writeHead(404).end()))
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    web.closeAllConnections()
    web.close()
  })
  const port = (web.address() as AddressInfo).port
  let failed = 0
  const merged = (said: object): Promise<string> => mergeMetrics('own 1\n', applicationMetrics(JSON.stringify(said), 15020), () => failed++)
  assert.equal(await merged({ scrape: 'true', path: 'm', port: String(port) }), 'own 1\napp_total 3\n')
  assert.equal(await merged({ path: '/none', port: String(port) }), 'own 1\n')
  assert.equal(failed, 1)
  for (const said of [{ scrape: 'false', port: String(port) }, { port: '15020' }, { port: 'x' }]) assert.deepEqual(applicationMetrics(JSON.stringify(said), 15020), [])
  assert.deepEqual(applicationMetrics('', 15020), [])
  assert.deepEqual(applicationMetrics('{"scrape":"true","path":"","port":""}', 15020), [{ port: 80, path: '/metrics' }])
  assert.equal(await merged({ targets: [{ port: String(port), path: 'm' }, { port: String(port), path: '/m' }] }), 'own 1\napp_total 3\napp_total 3\n')
  assert.throws(() => applicationMetrics('{', 15020), { code: 'ENV_INVALID' })
})
