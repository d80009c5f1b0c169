// A user's regular expression has a bounded cost in the sidecar: a value that is too long for it is refused, never let past.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { startPair } from './pair.ts'
import { istioHttpAlpn, outboundResources } from './resources.ts'
import { exchange, httpApp, intercepted, until, whole } from './talk.ts'

const cluster = 'outbound|8000||httpbin.bar.svc.cluster.local'
const to = (match: JsonObject, more: JsonObject = {}): JsonObject => ({ match, route: { cluster, timeout: '0s', ...more }, typedPerFilterConfig: istioHttpAlpn })
const costly = '.*a'.repeat(300)

test('a value that is too long for an expression: 400, in matches of paths and headers and in rewrites', async (t) => {
  const app = await httpApp((req, res) => res.end(req.url))
  const routes = [
    to({ prefix: '/path', headers: [{ name: 'x-long', stringMatch: { safeRegex: { regex: costly } } }] }),
    to({ prefix: '/rewrite' }, { regexRewrite: { pattern: { regex: costly }, substitution: '/short' } }),
    to({ safeRegex: { regex: costly } }),
    to({ prefix: '/' }),
  ]
  const pair = await startPair({ appPort: app.port, outbound: (base) => [{ ...base, routes }] })
  t.after(async () => {
    await pair.stop()
    app.close()
  })
  const status = async (path: string, extra = ''): Promise<number> => {
    const answer = await exchange(await intercepted(pair.proxyPort), `GET ${path} HTTP/1.1\r\nhost: httpbin.bar:8000\r\n${extra}\r\n`, whole)
    return Number(answer.split(' ')[1])
  }
  const long = 'b'.repeat(4000)
  assert.equal(await status('/short'), 200)
  assert.equal(await status(`/${long}`), 400)
  assert.equal(await status('/path', `x-long: ${long}\r\n`), 400)
  assert.equal(await status(`/rewrite/${long}`), 400)
  await until(() => pair.clientLog.some((l) => / 400 - regular_expression_too_costly /.test(l)), 'the reason in the access log')
  assert.ok(pair.log.lines.some((l) => l.level === 'warn' && l.fields['expression'] === costly && l.fields['length'] === 4001))
  assert.equal(await status('/short'), 200)
})

test('an expression that compiles to too much is no configuration: the last good one stays', async (t) => {
  const app = await httpApp((_req, res) => res.end('ok'))
  let held: Parameters<typeof outboundResources>[0] = []
  const pair = await startPair({ appPort: app.port, outbound: (base) => (held = [base]) })
  t.after(async () => {
    await pair.stop()
    app.close()
  })
  const [base] = held
  assert.ok(base)
  const { errors } = pair.client.update(outboundResources([{ ...base, routes: [to({ safeRegex: { regex: '.*a'.repeat(1365) } })] }]))
  assert.match(errors.map((e) => e.message).join(), /it compiles to 4097 instructions, and 2000 are the most/)
  const answer = await exchange(await intercepted(pair.proxyPort), 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n', whole)
  assert.match(answer, /^HTTP\/1.1 200 /)
})
