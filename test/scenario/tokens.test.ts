// RequestAuthentication end to end: a token signed by somebody else's library, two sidecars, policies that read claims, keys fetched by the control plane. Real sockets.
import assert from 'node:assert/strict'
import { exportJWK, generateKeyPair, SignJWT, type JWK, type JWTPayload } from 'jose'
import { createServer, request } from 'node:http'
import { test, type TestContext } from 'node:test'
import { freePort } from '../fixtures/ports.ts'
import { eventually, TrustMesh } from './fixtures/trust-mesh.ts'

const issuer = 'https://issuer.example.com'

interface Signer {
  readonly jwks: string
  sign(claims?: JWTPayload, expires?: string): Promise<string>
}

async function signer(kid: string, alg = 'ES256'): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid, alg }
  return {
    jwks: JSON.stringify({ keys: [jwk] }),
    sign: (claims = {}, expires = '1h') => new SignJWT({ iss: issuer, sub: 'ann', ...claims }).setProtectedHeader({ alg, kid }).setExpirationTime(expires).sign(privateKey),
  }
}

type Answer = { readonly status: number; readonly body: string; readonly challenge: string }

async function meshOf(t: TestContext, documents: string): Promise<{ mesh: TrustMesh; call: (path: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>; metrics: () => Promise<string> }> {
  const mesh = await TrustMesh.create(600_000)
  t.after(() => mesh.close())
  mesh.write('tokens.yaml', documents)
  await mesh.startPlane()
  const application = await startApplication(t)
  const [inbound, outbound] = [await freePort(), await freePort()]
  const server = await mesh.startSidecar('httpbin', '10.244.0.5', { dial: {}, inbound: [{ listen: `127.0.0.1:${inbound}`, originalDestination: '10.244.0.5:80', app: `127.0.0.1:${application}` }], hosts: {} })
  const client = await mesh.startSidecar('sleep', '10.244.0.4', { dial: { '10.244.0.5:80': `127.0.0.1:${inbound}` }, inbound: [], httpProxy: `127.0.0.1:${outbound}`, hosts: { 'httpbin.foo': '10.96.0.7' } })
  await eventually('both ready', () => server.ready() && client.ready(), (ready) => ready)
  return { mesh, call: (path, headers = {}) => ask(outbound, path, headers), metrics: async () => (await fetch(`http://127.0.0.1:${mesh.metricsPorts.get('httpbin')}/stats/prometheus`)).text() }
}

/** It answers with the path and the headers that it was sent. */
async function startApplication(t: TestContext): Promise<number> {
  const server = createServer((asked, answer) => answer.end(JSON.stringify({ path: asked.url, ...asked.headers })))
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return port
}

function ask(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: `http://httpbin.foo:8000${path}`, headers: { host: 'httpbin.foo:8000', ...headers }, agent: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (d: string) => (body += d)).on('end', () => resolve({ status: answer.statusCode ?? 0, body, challenge: answer.headers['www-authenticate'] ?? '' })).on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
  })
}

const authentication = (rules: string): string => `apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens, namespace: foo}\nspec:\n  selector: {matchLabels: {app: httpbin}}\n  jwtRules: [${rules}]\n---\n`
const only = (rule: string): string => `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: only, namespace: foo}\nspec: {selector: {matchLabels: {app: httpbin}}, rules: [${rule}]}\n---\n`
const audited = 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: audited, namespace: foo}\nspec: {action: AUDIT, selector: {matchLabels: {app: httpbin}}, rules: [{to: [{operation: {methods: [GET]}}]}]}\n---\n'
const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` })

test('a token that is there must hold: time, issuer, audience, key; none at all is for the policies', async (t) => {
  const [own, other] = [await signer('a'), await signer('a')]
  const { mesh, call } = await meshOf(t, authentication(`{issuer: ${issuer}, jwks: '${own.jwks}', audiences: [https://api.example.com/]}`))
  assert.equal((await call('/')).status, 200, 'no token, no policy')
  const good = await own.sign({ aud: 'api.example.com' })
  const passed = await call('/x?a=1', bearer(good))
  assert.equal(passed.status, 200)
  assert.equal((JSON.parse(passed.body) as Record<string, string>)['authorization'], undefined, 'the token stays here')
  const rows: readonly (readonly [string, number, string])[] = [
    [await own.sign({ aud: 'api.example.com' }, '2 minutes ago'), 401, 'Jwt is expired'],
    [await own.sign({ aud: 'api.example.com', nbf: Math.floor(Date.now() / 1000) + 600 }), 401, 'Jwt not yet valid'],
    [await own.sign({ aud: 'api.example.com', iss: 'https://elsewhere' }), 401, 'Jwt issuer is not configured'],
    [await own.sign({ aud: ['b', 'c'] }), 403, 'Audiences in Jwt are not allowed'],
    [await other.sign({ aud: 'api.example.com' }), 401, 'Jwt verification fails'],
    [`${good.slice(0, -6)}AAAAAA`, 401, 'Jwt verification fails'],
    [`${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.AA`, 401, 'Jwt header [alg] is not supported'],
    ['abc', 401, 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections'],
  ]
  for (const [token, status, message] of rows) assert.deepEqual(await call('/y', bearer(token)), { status, body: message, challenge: 'Bearer realm="http://httpbin.foo:8000/y", error="invalid_token"'.replace('http:', 'https:') }, message)
  assert.equal((await call('/', bearer(await own.sign({ aud: 'api.example.com' }, '30 seconds ago')))).status, 200, 'clocks may differ by a minute')
  assert.equal((await call('/', { authorization: 'Basic abc' })).status, 200, 'no token')
  assert.ok(!mesh.lines.some((l) => JSON.stringify(l).includes(good)), 'no token in a log')
})

test('places, what the application is told, and what only the filter may say', async (t) => {
  const own = await signer('a', 'RS256')
  const { call } = await meshOf(t, authentication(`{issuer: ${issuer}, jwks: '${own.jwks}', fromHeaders: [{name: X-Token, prefix: 'Token '}], fromParams: [tok], fromCookies: [session], outputPayloadToHeader: x-payload, outputClaimToHeaders: [{header: x-sub, claim: sub}, {header: x-team, claim: org.team}, {header: x-roles, claim: roles}]}`))
  const token = await own.sign({ org: { team: 'core' }, roles: ['a', 'b'] })
  const seen = async (path: string, headers: Readonly<Record<string, string>>): Promise<Record<string, string>> => {
    const answer = await call(path, { 'x-sub': 'forged', 'x-payload': 'forged', ...headers })
    assert.equal(answer.status, 200, answer.body)
    return JSON.parse(answer.body) as Record<string, string>
  }
  for (const [path, headers, left] of [['/', { 'x-token': `Token ${token}` }, '/'], [`/?b=1&tok=${token}&c=2`, {}, '/?b=1&c=2'], ['/', { cookie: `a=b; session=${token}` }, '/']] as const) {
    const got = await seen(path, headers)
    assert.deepEqual([got['x-sub'], got['x-team'], got['x-roles'], got['path'], got['x-token']], ['ann', 'core', Buffer.from('["a","b"]').toString('base64'), left, undefined])
    assert.equal((JSON.parse(Buffer.from(got['x-payload'] ?? '', 'base64url').toString()) as JWTPayload).sub, 'ann')
  }
  const none = await seen('/', bearer(token))
  assert.deepEqual([none['x-sub'], none['x-payload'], none['authorization']], [undefined, undefined, `Bearer ${token}`], 'another place: no token, nothing forged')
})

test('policies read who the token names and what it says; the server’s own errors stand apart', async (t) => {
  const own = await signer('a')
  const { mesh, call, metrics } = await meshOf(t, authentication(`{issuer: ${issuer}, jwks: '${own.jwks}', forwardOriginalToken: true}`) + audited + only(`{from: [{source: {requestPrincipals: ['${issuer}/*']}}], when: [{key: 'request.auth.claims[groups]', values: [admins, 'team-*']}, {key: 'request.auth.claims[realm][name]', notValues: [guest]}]}`))
  const refused = await call('/')
  assert.deepEqual([refused.status, refused.body], [403, 'RBAC: access denied'])
  const status = async (claims: JWTPayload): Promise<number> => (await call('/', bearer(await own.sign(claims)))).status
  assert.equal(await status({ groups: ['x', 'admins'] }), 200)
  assert.match(await metrics(), /kith_rbac_audited_total\{policy="ns\[foo\]-policy\[audited\]-rule\[0\]"[^}]*\} 2\n/, 'marked, whether it was let in or not')
  assert.match(await metrics(), /kith_rbac_denied_total/)
  assert.equal(await status({ groups: 'team-a' }), 200)
  assert.equal(await status({ groups: ['x'] }), 403)
  assert.equal(await status({ groups: ['admins'], realm: { name: 'guest' } }), 403)
  assert.equal(await status({ groups: ['admins'], sub: undefined as never }), 403, 'a principal needs both parts')
  // Text that lists: scope.
  mesh.write('tokens.yaml', authentication(`{issuer: ${issuer}, jwks: '${own.jwks}'}`) + only(`{when: [{key: 'request.auth.claims[scope]', values: [write]}]}`))
  await eventually('scope', () => status({ scope: 'read write' }), (s) => s === 200)
  assert.equal(await status({ scope: 'readwrite' }), 403)
})

test('two issuers at one place: a token of either; keys by URL are fetched, renewed, and nobody passes before they are there', async (t) => {
  const [own, young, second] = [await signer('a'), await signer('b'), await signer('c')]
  let served = ''
  let asked = 0
  const idp = createServer((_, answer) => {
    asked++
    answer.statusCode = served === '' ? 503 : 200
    answer.end(served)
  })
  const port = await freePort()
  await new Promise<void>((resolve) => idp.listen(port, '127.0.0.1', resolve))
  t.after(() => idp.close())
  const { mesh, call } = await meshOf(t, authentication(`{issuer: ${issuer}, jwksUri: 'http://127.0.0.1:${port}/keys'}, {issuer: second, jwks: '${second.jwks}'}`))
  const status = async (by: Signer, claims: JWTPayload = {}): Promise<number> => (await call('/', bearer(await by.sign(claims)))).status
  await eventually('asked for', () => asked, (n) => n > 0)
  assert.equal(await status(own), 401, 'no keys, nobody')
  assert.equal(await status(second, { iss: 'second' }), 200, 'the other issuer all the same')
  served = own.jwks
  await eventually('fetched', () => status(own), (s) => s === 200)
  assert.equal(await status(young), 401)
  served = young.jwks
  await eventually('renewed', () => status(young), (s) => s === 200)
  assert.equal(await status(own), 401, 'what is no longer served does not hold')
  served = ''
  await eventually('asked in vain', () => mesh.lines.filter((l) => l.message === 'keys of an issuer could not be fetched').length, (n) => n > 1)
  assert.equal(await status(young), 200, 'the last good ones stay')
})
