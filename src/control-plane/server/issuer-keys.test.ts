// Keys by URL: where a policy may lead the control plane, and what is kept of what is found there. Real sockets on loopback.
import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { silentLogger } from '#lib/log.ts'
import { fetchDocument } from './fetch-document.ts'
import { IssuerKeys, publicKeys } from './issuer-keys.ts'

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('what is refused before it is asked, and what comes back too long, too late, or from elsewhere', async (t) => {
  let asked = 0
  const url = await serve(t, (request, answer) => {
    asked++
    if (request.url === '/elsewhere') answer.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end()
    else if (request.url === '/round') answer.writeHead(302, { location: '/round' }).end()
    else if (request.url === '/long') answer.end('x'.repeat(2 * 1024 * 1024))
    else if (request.url === '/moved') answer.writeHead(301, { location: '/here' }).end()
    else if (request.url === '/late') return
    else if (request.url?.startsWith('/gone') === true) answer.writeHead(404).end()
    else answer.end('found')
  })
  const here = { timeoutMs: 300, loopback: true }
  assert.equal(await fetchDocument(`${url}/moved`, here), 'found')
  for (const [to, code] of [[`${url}/elsewhere`, 'FETCH_REFUSED'], [`${url}/round`, 'FETCH_FAILED'], [`${url}/long`, 'FETCH_FAILED'], [`${url}/late`, 'FETCH_FAILED'], [`${url}/gone?token=x`, 'FETCH_FAILED'], ['file:///etc/passwd', 'FETCH_REFUSED'], ['http://user:pass@example.com/', 'FETCH_REFUSED'], ['nothing', 'FETCH_REFUSED']] as const) {
    await assert.rejects(fetchDocument(to, here), (error: { code?: string; message?: string }) => error.code === code && !/token=x|pass@/.test(error.message ?? ''), to)
  }
  const before = asked
  for (const to of [`${url}/here`, url.replace('127.0.0.1', 'localhost'), url.replace('127.0.0.1', '2130706433'), url.replace('127.0.0.1', '0x7f.1')]) await assert.rejects(fetchDocument(to, { timeoutMs: 1000, loopback: false }), { code: 'FETCH_REFUSED' }, to)
  assert.equal(asked, before, 'nobody was asked')
})

test('of keys the public part, and nothing where there is none', () => {
  assert.equal(publicKeys('{"keys": [{"kty": "EC", "d": "secret", "x": "1", "y": "2", "crv": "P-256", "x5c": []}, {"kty": "oct", "k": "secret"}, 7]}'), '{"keys":[{"kty":"EC","crv":"P-256","x":"1","y":"2"}]}')
  for (const text of ['', '[]', '{"keys": []}', '{"keys": [{"kty": "oct", "k": "x"}]}', '<html>']) assert.throws(() => publicKeys(text), { code: 'FETCH_FAILED' }, text)
})

test('by the issuer’s own configuration; what nobody wants any more is asked for no longer', async (t) => {
  let asked = 0
  const url = await serve(t, (request, answer) => {
    asked++
    answer.end(request.url === '/.well-known/openid-configuration' ? JSON.stringify({ jwks_uri: `${url}/keys` }) : '{"keys": [{"kty": "RSA", "n": "1", "e": "AQAB"}]}')
  })
  const keys = new IssuerKeys({ log: silentLogger, loopback: true, refreshMs: 20, onChange: () => undefined })
  t.after(() => keys.close())
  const source = { url: `${url}/.well-known/openid-configuration`, discovery: true, timeoutMs: 1000 }
  await keys.want(new Map([['a', source]]))
  assert.deepEqual([...keys.held()], [['a', '{"keys":[{"kty":"RSA","n":"1","e":"AQAB"}]}']])
  assert.equal(keys.want(new Map([['a', source]])), undefined, 'known already')
  keys.want(new Map())
  assert.equal(keys.held().size, 0)
  await new Promise((resolve) => setTimeout(resolve, 30))
  const before = asked
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(asked, before)
})
