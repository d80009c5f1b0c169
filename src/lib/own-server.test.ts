import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clusterNames, refusal } from './own-server.ts'

const options = { isOwnName: (name: string) => name === 'istiod.istio-system.svc', anyName: (path: string) => path.startsWith('/app-health/') }
const ask = (headers: Record<string, string>, path = '/x', reachedAt = '::ffff:10.0.0.7') => refusal(headers, reachedAt, path, options)

const answered: readonly (readonly [string, Record<string, string>, string?, string?])[] = [
  ['localhost', { host: 'localhost:15000' }],
  ['LOCALHOST', { host: 'LOCALHOST' }],
  ['loopback’s addresses', { host: '127.0.0.1:15000' }],
  ['IPv6’s loopback', { host: '[::1]:15000' }],
  ['the address it was reached at', { host: '10.0.0.7:15020' }],
  ['IPv6 as well', { host: '[fd00::7]:15020' }, '/x', 'fd00::7'],
  ['its own name', { host: 'istiod.istio-system.svc:15014' }],
  ['a probe by any name', { host: 'shop.example' }, '/app-health/web/livez'],
  ['no Host', {}],
  ['its own page', { host: 'localhost:15000', origin: 'http://localhost:15000', 'sec-fetch-site': 'same-origin' }],
  ['typed into a browser', { host: 'localhost:15000', 'sec-fetch-site': 'none' }],
]
for (const [what, headers, path, reachedAt] of answered) test(`answered: ${what}`, () => assert.equal(ask(headers, path, reachedAt), undefined))

const refused: readonly (readonly [string, Record<string, string>, RegExp, string?])[] = [
  ['a foreign origin', { host: 'localhost:15000', origin: 'http://evil.example' }, /another origin/],
  ['no origin to name', { host: 'localhost:15000', origin: 'null' }, /another origin/],
  ['another port’s page', { host: 'localhost:15000', origin: 'http://localhost:8080' }, /another origin/],
  ['a cross-site fetch', { host: 'localhost:15000', 'sec-fetch-site': 'cross-site' }, /another site/],
  ['a same-site fetch', { host: 'localhost:15000', 'sec-fetch-site': 'same-site' }, /another site/],
  ['a name that leads here', { host: 'evil.example:15000' }, /names of the loopback/],
  ['a name that begins as ours', { host: 'localhost.evil.example' }, /names of the loopback/],
  ['a name that begins as an address', { host: '127.0.0.1.evil.example' }, /names of the loopback/],
  ['another’s address', { host: '10.0.0.8:15020' }, /names of the loopback/],
  ['no name', { host: '' }, /names of the loopback/],
  ['userinfo', { host: 'localhost@evil.example' }, /names of the loopback/],
  ['a probe from a page', { host: 'shop.example', origin: 'http://shop.example.evil' }, /another origin/, '/app-health/web/livez'],
]
for (const [what, headers, why, path] of refused) test(`refused: ${what}`, () => assert.match(ask(headers, path) ?? 'answered', why))

test('names of a pod and of its Services in cluster DNS', () => {
  const isOwn = clusterNames(['web', ''], 'foo', 'cluster.local')
  for (const name of ['web', 'web.foo', 'shop.foo.svc', 'shop.foo.svc.cluster.local', 'web-0.web.foo.svc.cluster.local']) assert.ok(isOwn(name), name)
  for (const name of ['', 'shop', 'shop.foo', 'web.bar', 'web.bar.svc', 'web.foo.svc.evil.example', 'evilfoo.svc']) assert.ok(!isOwn(name), name)
})
