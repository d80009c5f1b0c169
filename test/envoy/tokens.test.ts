// Tokens before stock Envoy and before our engine: the same filters, as generated; the same answer, and the same request for the application.
import assert from 'node:assert/strict'
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { canonicalJson } from '#lib/canonical.ts'
import { compile, decideJwt, decideRbac, type HttpConnection, type RouteRequest } from '#engine'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { typeUrls } from '#xds'
import { configOf } from '../golden/golden-case.ts'
import { resourceJson } from '../golden/render.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { freePort } from '../fixtures/ports.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'

type Headers = Readonly<Record<string, string>>
interface Call {
  readonly what: string
  readonly path: string
  readonly headers: Headers
  readonly method?: string
}
/** What the caller gets; where the application was reached: what it was asked. */
interface Outcome {
  readonly status: number
  readonly body: string
  readonly asked?: { readonly path: string; readonly headers: Headers }
}

const looked = ['authorization', 'x-token', 'x-sub', 'x-team', 'x-list', 'x-number', 'x-payload', 'x-absent', 'cookie']
const issuers = { main: 'https://main.example.com', other: 'other', tokens: 'tokens' }

async function signer(alg: string, kid: string): Promise<{ jwk: object; sign: (claims: JWTPayload, header?: object) => Promise<string> }> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  return {
    jwk: { ...(await exportJWK(publicKey)), kid, alg },
    sign: (claims, header = {}) => new SignJWT({ sub: 'ann', ...claims }).setProtectedHeader({ alg, kid, ...header }).sign(privateKey),
  }
}

test('what a token comes to, by stock Envoy and by our engine', async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'kith-tokens-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const keys = { ES256: await signer('ES256', 'es'), RS256: await signer('RS256', 'rs'), PS384: await signer('PS384', 'ps'), ES384: await signer('ES384', 'es3'), EdDSA: await signer('EdDSA', 'ed'), foreign: await signer('ES256', 'es') }
  const jwks = (...of: readonly (keyof typeof keys)[]): string => JSON.stringify({ keys: of.map((k) => keys[k].jwk) })
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'app', namespace: 'foo' }, spec: { template: { metadata: { labels: { app: 'app' } }, spec: { containers: [{ name: 'app', image: 'app' }] } } } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'app', namespace: 'foo' }, spec: { selector: { app: 'app' }, ports: [{ name: 'http', port: 80 }] } },
    { apiVersion: 'security.istio.io/v1', kind: 'RequestAuthentication', metadata: { name: 'tokens', namespace: 'foo' }, spec: { jwtRules: [
      { issuer: issuers.main, jwks: jwks('ES256', 'RS256', 'PS384', 'ES384', 'EdDSA'), audiences: ['https://api.example.com/', 'second'], outputPayloadToHeader: 'x-payload',
        outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }, { header: 'x-team', claim: 'org.team' }, { header: 'x-list', claim: 'list' }, { header: 'x-number', claim: 'number' }, { header: 'x-absent', claim: 'nothing' }] },
      { issuer: issuers.other, jwks: jwks('RS256'), forwardOriginalToken: true },
      { issuer: issuers.tokens, jwks: jwks('ES256'), fromHeaders: [{ name: 'x-token', prefix: 'Token ' }], fromParams: ['tok'], fromCookies: ['session'] },
    ] } },
    { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'open', namespace: 'foo' }, spec: { rules: [
      { to: [{ operation: { paths: ['/open*'] } }] },
      { to: [{ operation: { paths: ['/who'] } }], from: [{ source: { requestPrincipals: [`${issuers.main}/*`, 'other/ann', '*/zoe'] } }] },
      { to: [{ operation: { paths: ['/claims'] } }], when: [{ key: 'request.auth.claims[groups]', values: ['admins', 'team-*'] }, { key: 'request.auth.claims[org][team]', notValues: ['guest'] }] },
      { to: [{ operation: { paths: ['/scope'] } }], when: [{ key: 'request.auth.claims[scope]', values: ['write'] }] },
      { to: [{ operation: { paths: ['/aud'] } }], when: [{ key: 'request.auth.audiences', values: ['second'] }] },
    ] } },
  ]
  const mesh = buildMesh(decodeObjects(parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects)
  const { resources } = configOf(mesh, 'app.foo')
  const http = chainOf(resources)

  // The application tells what it was asked.
  const applicationPort = await freePort()
  const application = createServer((asked, answer) => answer.end(JSON.stringify({ path: asked.url, headers: Object.fromEntries(looked.flatMap((n) => (asked.headers[n] === undefined ? [] : [[n, asked.headers[n]]]))) })))
  await new Promise<void>((resolve) => application.listen(applicationPort, '127.0.0.1', resolve))
  t.after(() => {
    application.closeAllConnections()
    application.close()
  })
  const port = await freePort()
  const envoy = await startEnvoy({ binary, folder, name: 'tokens', bootstrap: bootstrapOf(resources, port, applicationPort) })
  t.after(() => envoy.stop())

  const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` })
  const now = Math.floor(Date.now() / 1000)
  const good = { iss: issuers.main, aud: 'api.example.com', exp: now + 600 }
  const own = keys.ES256.sign
  const token = await own(good)
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const calls: Call[] = [
    { what: 'none', path: '/open', headers: {} }, { what: 'none, where one is asked for', path: '/who', headers: {} }, { what: 'good', path: '/open?a=1', headers: bearer(token) },
    ...(await Promise.all((['ES256', 'RS256', 'PS384', 'ES384', 'EdDSA'] as const).map(async (k): Promise<Call> => ({ what: k, path: '/who', headers: bearer(await keys[k].sign(good)) })))),
    ...(await Promise.all(([
      ['expired', { ...good, exp: now - 600 }], ['expired within the minute', { ...good, exp: now - 20 }], ['without end', { iss: issuers.main, aud: 'second' }], ['not yet', { ...good, nbf: now + 600 }], ['soon', { ...good, nbf: now + 20 }],
      ['no issuer', { ...good, iss: undefined }], ['another issuer', { ...good, iss: 'x' }], ['another audience', { ...good, aud: 'x' }], ['audiences', { ...good, aud: ['x', 'second'] }], ['audience with a scheme', { ...good, aud: 'http://api.example.com' }], ['no audience', { ...good, aud: undefined }],
      ['claims', { ...good, org: { team: 'core' }, list: ['a', 1, { b: true }], number: 7 }], ['odd claims', { ...good, org: 'core', list: {}, number: true }], ['half a number', { ...good, number: 1.5 }],
    ] as [string, JWTPayload][]).map(async ([what, claims]): Promise<Call> => ({ what, path: '/open', headers: bearer(await own(claims)) })))),
    ...(await Promise.all(([
      ['/who', { ...good, sub: undefined }], ['/who', { ...good, sub: '' }], ['/claims', { ...good, groups: 'admins' }], ['/claims', { ...good, groups: ['x', 'team-a'] }], ['/claims', { ...good, groups: ['x'] }], ['/claims', { ...good, groups: ['admins'], org: { team: 'guest' } }], ['/claims', { ...good, groups: ['admins'], org: { team: ['guest'] } }],
      ['/claims', { ...good, groups: { admins: true } }], ['/scope', { ...good, scope: 'read write' }], ['/scope', { ...good, scope: 'rewrite' }], ['/scope', { ...good, scope: ['write'] }], ['/aud', { ...good, aud: ['api.example.com', 'second'] }], ['/aud', good],
    ] as [string, JWTPayload][]).map(async ([path, claims], i): Promise<Call> => ({ what: `policy ${i}`, path, headers: bearer(await own(claims)) })))),
    { what: 'signed by a stranger', path: '/open', headers: bearer(await keys.foreign.sign(good)) }, { what: 'another kid', path: '/open', headers: bearer(await own(good, { kid: 'unknown' })) }, { what: 'no kid', path: '/open', headers: bearer(await own(good, { kid: undefined })) },
    { what: 'changed', path: '/open', headers: bearer(`${head}.${part({ ...good, sub: 'root' })}.${signature}`) }, { what: 'no signature', path: '/open', headers: bearer(`${head}.${payload}.`) }, { what: 'alg none', path: '/open', headers: bearer(`${part({ alg: 'none' })}.${payload}.AA`) },
    { what: 'alg of another key', path: '/open', headers: bearer(`${part({ alg: 'HS256', kid: 'es' })}.${payload}.${signature}`) }, { what: 'alg missing', path: '/open', headers: bearer(`${part({})}.${payload}.${signature}`) }, { what: 'header no JSON', path: '/open', headers: bearer(`AAAA.${payload}.${signature}`) },
    { what: 'payload no JSON', path: '/open', headers: bearer(`${head}.AAAA.${signature}`) }, { what: 'four parts', path: '/open', headers: bearer(`${token}.x`) }, { what: 'no token at all', path: '/open', headers: bearer('abc') }, { what: 'empty', path: '/open', headers: { authorization: 'Bearer ' } },
    { what: 'another scheme', path: '/open', headers: { authorization: `Basic ${token}` } }, { what: 'lower case', path: '/open', headers: { authorization: `bearer ${token}` } }, { what: 'words around', path: '/open', headers: { authorization: `x Bearer ${token}, y` } },
    { what: 'kid a number', path: '/open', headers: bearer(`${part({ alg: 'ES256', kid: 7 })}.${payload}.${signature}`) }, { what: 'exp as text', path: '/open', headers: bearer(`${head}.${part({ ...good, exp: 'soon' })}.${signature}`) },
    ...[{ iss: 7 }, { sub: 7 }, { sub: null }, { jti: 7 }, { jti: null }, { iat: 'x' }, { iat: -1 }, { nbf: 'x' }, { nbf: null }, { exp: -1 }, { exp: now + 0.5 }, { exp: 0 }, { exp: null }, { exp: 1e30 }, { aud: 7 }, { aud: [7] }, { aud: null }, { aud: [] }].map((odd): Call => ({ what: JSON.stringify(odd), path: '/open', headers: bearer(`${head}.${part({ ...good, ...odd })}.${signature}`) })),
    { what: 'payload a list', path: '/open', headers: bearer(`${head}.${part([1])}.${signature}`) }, { what: 'header a list', path: '/open', headers: bearer(`${part([1])}.${payload}.${signature}`) },
    { what: 'own header, words after', path: '/open', headers: { 'x-token': `Token ${await own({ iss: 'tokens' })}, y` } }, { what: 'own header, words before', path: '/open', headers: { 'x-token': `a Token ${await own({ iss: 'tokens' })}` } }, { what: 'two spaces', path: '/open', headers: { authorization: `Bearer  ${token}` } },
    { what: 'padding', path: '/open', headers: bearer(`${token}=`) }, { what: 'base64 of the other kind', path: '/open', headers: bearer(`${head}.${payload}.${signature.slice(0, -1)}+`) }, { what: 'quoted cookie', path: '/open', headers: { cookie: `session="${await own({ iss: 'tokens' })}"` } },
    { what: 'two parameters', path: `/open?tok=${await own({ iss: 'tokens' })}&tok=bad`, headers: {} }, { what: 'an empty parameter', path: '/open?tok=', headers: {} }, { what: 'a parameter without value', path: '/open?tok&a', headers: {} }, { what: 'a parameter escaped', path: `/open?to%6b=${await own({ iss: 'tokens' })}&a=1`, headers: {} },
    { what: 'in the query', path: `/open?access_token=${token}&b=2`, headers: {} }, { what: 'in the query alone', path: `/open?access_token=${token}`, headers: {} },
    { what: 'of the second issuer', path: '/who', headers: bearer(await keys.RS256.sign({ iss: 'other' })) }, { what: 'a good and a bad one', path: `/open?access_token=${head}.${payload}.AAAA`, headers: bearer(token) },
    { what: 'own header', path: '/open', headers: { 'x-token': `Token ${await own({ iss: 'tokens' })}` } }, { what: 'own header without its prefix', path: '/open', headers: { 'x-token': await own({ iss: 'tokens' }) } }, { what: 'own parameter', path: `/open?x=1&tok=${await own({ iss: 'tokens' })}&y=2`, headers: {} },
    { what: 'cookie', path: '/open', headers: { cookie: `a=b; session=${await own({ iss: 'tokens' })}; c=d` } }, { what: 'bad cookie', path: '/open', headers: { cookie: 'session=abc' } }, { what: 'two issuers at two places', path: '/who', headers: { ...bearer(token), 'x-token': `Token ${await own({ iss: 'tokens' })}` } },
    { what: 'forged', path: '/open', headers: { 'x-sub': 'root', 'x-payload': 'forged', 'x-absent': 'forged' } }, { what: 'forged beside a token', path: '/open', headers: { ...bearer(token), 'x-sub': 'root', 'x-absent': 'forged' } },
    { what: 'preflight', path: '/open', method: 'OPTIONS', headers: { ...bearer('bad'), origin: 'https://a', 'access-control-request-method': 'GET' } }, { what: 'no preflight', path: '/open', method: 'OPTIONS', headers: bearer('bad') },
  ]
  const differences: string[] = []
  for (const call of calls) {
    const [theirs, ours] = [await ask(port, call), decided(http, call)]
    if (canonicalJson(theirs) !== canonicalJson(ours)) differences.push(`${call.what}\n  envoy ${canonicalJson(theirs)}\n  ours  ${canonicalJson(ours)}`)
  }
  assert.deepEqual(differences, [])
  assert.ok(calls.length > 90)
  // An extension that must be understood and is not: RFC 7515 says no, Envoy does not look.
  const critical: Call = { what: 'crit', path: '/open', headers: bearer(await own(good, { crit: ['b64'], b64: true })) }
  assert.deepEqual([(await ask(port, critical)).status, decided(http, critical).status], [200, 401])
})

type Resources = ReturnType<typeof configOf>['resources']

function chainOf(resources: Resources): HttpConnection {
  const { config, errors } = compile(resources)
  assert.deepEqual(errors, [])
  const chain = config.listeners.get('virtualInbound')?.chains.find((c) => c.chain.name === 'inbound_80-plaintext-http')?.chain
  assert.ok(chain?.terminal.kind === 'http' && chain.terminal.jwt !== undefined)
  return chain.terminal
}

/** The generated filters in a listener of loopback, before the application. */
function bootstrapOf(resources: Resources, port: number, applicationPort: number): JsonObject {
  const listener = resources.filter((r) => r.type === typeUrls.listener).map(resourceJson).find((l) => l['name'] === 'virtualInbound')
  const chain = ((listener as JsonObject)['filterChains'] as JsonObject[]).find((c) => c['name'] === 'inbound_80-plaintext-http') as JsonObject
  const hcm = ((chain['filters'] as JsonObject[]).at(-1) as JsonObject)['typedConfig'] as JsonObject
  const { accessLog: _, ...config } = hcm
  const at = (p: number): JsonObject => ({ socketAddress: { address: '127.0.0.1', portValue: p } })
  const routeConfig = { virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'application' } }] }] }
  return {
    node: { id: 'tokens', cluster: 'test' },
    staticResources: {
      listeners: [{ name: 'tokens', address: at(port), filterChains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typedConfig: { ...config, routeConfig } }] }] }],
      clusters: [{ name: 'application', type: 'STATIC', loadAssignment: { clusterName: 'application', endpoints: [{ lbEndpoints: [{ endpoint: { address: at(applicationPort) } }] }] } }],
    },
  } as JsonObject
}

function ask(port: number, { path, headers, method = 'GET' }: Call): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers: { ...headers, host: 'app.foo' }, agent: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (d: string) => (body += d)).on('end', () => {
        const status = answer.statusCode ?? 0
        resolve(status === 200 ? { status, body: '', asked: JSON.parse(body) as NonNullable<Outcome['asked']> } : { status, body })
      }).on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
  })
}

function decided(http: HttpConnection, { path, headers, method = 'GET' }: Call): Outcome {
  const view: RouteRequest = { authority: 'app.foo', path, method, scheme: 'http', header: (name) => headers[name]?.trim(), lines: (name) => [headers[name]?.trim() ?? []].flat() }
  const token = decideJwt(http.jwt as NonNullable<HttpConnection['jwt']>, view, Date.now())
  if (token.kind === 'refused') return { status: token.status, body: token.message }
  const header = (name: string): string | undefined => (token.headers.has(name) ? token.headers.get(name) : headers[name]?.trim())
  const after: RouteRequest = { ...view, path: token.path ?? path, header }
  const facts = { destinationAddress: '127.0.0.1', destinationPort: 80, directAddress: '127.0.0.1', remoteAddress: '127.0.0.1', serverName: '', principals: undefined, request: after, claims: token.claims }
  if (!http.rbac.every(({ rbac }) => decideRbac(rbac, facts).allowed)) return { status: 403, body: 'RBAC: access denied' }
  return { status: 200, body: '', asked: { path: after.path, headers: Object.fromEntries(looked.flatMap((n) => (header(n) === undefined ? [] : [[n, header(n) as string]]))) } }
}
