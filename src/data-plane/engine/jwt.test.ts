// Whatever is sent as a token gets an answer, and only what a key of the set has signed passes. Against stock Envoy: test/envoy/tokens.test.ts.
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { fromJson } from '@bufbuild/protobuf'
import { message, registry } from '#proto'
import { missingKeys } from '#xds'
import { compileJwt, decideJwt, type JwtAuthn } from './jwt.ts'
import { Notes } from './notes.ts'
import type { RouteRequest } from './route-match.ts'

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'a' }] })
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const signed = (claims: object, header: object = { alg: 'ES256', kid: 'a' }, key: KeyObject = privateKey): string => {
  const text = `${part(header)}.${part({ iss: 'i', sub: 's', ...claims })}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function filter(provider: object, more: object = {}): { jwt: JwtAuthn | undefined; errors: readonly string[] } {
  const schema = message('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication')
  const notes = new Notes()
  const config = { providers: { p: { issuer: 'i', localJwks: { inlineString: jwks }, payloadInMetadata: 'payload', ...provider } }, rules: [{ match: { prefix: '/' }, requires: { requiresAny: { requirements: [{ providerName: 'p' }, { allowMissing: {} }] } } }], ...more }
  const jwt = compileJwt(anyPack(schema, fromJson(schema, JSON.parse(JSON.stringify(config)) as never, { registry })), notes)
  return { jwt, errors: notes.errors.map((e) => e.message) }
}

const request = (authorization: string, path = '/'): RouteRequest => ({ authority: 'a', path, method: 'GET', scheme: 'http', header: (name) => (name === 'authorization' ? authorization : undefined), lines: (name) => (name === 'authorization' ? [authorization] : []) })
const nowMs = Date.UTC(2026, 0, 1)

test('odd tokens never throw, and none passes that no key has signed', () => {
  const jwt = filter({}).jwt as JwtAuthn
  const good = signed({})
  assert.equal(decideJwt(jwt, request(`Bearer ${good}`), nowMs).kind, 'passed')
  const json = fc.oneof(fc.jsonValue(), fc.record({ alg: fc.constantFrom('ES256', 'none', 'HS256', 'RS256', 'EdDSA', 7), kid: fc.constantFrom('a', undefined, 7) }, { requiredKeys: [] }), fc.record({ iss: fc.constantFrom('i', 'x', 7), exp: fc.oneof(fc.integer(), fc.string()), aud: fc.jsonValue() }, { requiredKeys: [] }))
  const piece = fc.oneof(fc.string(), json.map(part), fc.base64String(), fc.constantFrom(...good.split('.')))
  fc.assert(fc.property(fc.oneof(fc.array(piece, { minLength: 1, maxLength: 5 }).map((p) => p.join('.')), fc.nat(good.length - 1).chain((i) => fc.constantFrom(...'AZaz09-_.=').map((c) => good.slice(0, i) + c + good.slice(i + 1)))), fc.boolean(), (token, inQuery) => {
    const verdict = decideJwt(jwt, inQuery ? request('', `/?access_token=${encodeURIComponent(token)}`) : request(`Bearer ${token}`), nowMs)
    // The last character of a signature holds two bits that nobody reads.
    const same = token === good || Buffer.from(token.split('.')[2] ?? '', 'base64url').equals(Buffer.from(good.split('.')[2] as string, 'base64url')) && token.startsWith(good.slice(0, good.lastIndexOf('.')))
    if (verdict.kind === 'passed' && verdict.claims !== undefined) assert.ok(same, token)
    if (verdict.kind === 'refused') assert.ok(verdict.message !== '' && (verdict.status === 401 || verdict.status === 403))
  }), { numRuns: 2000 })
})

test('keys: of the right kind alone, public halves alone, and those that stand in for missing ones open nothing', () => {
  const verdict = (provider: object, token: string): string => {
    const answer = decideJwt(filter(provider).jwt as JwtAuthn, request(`Bearer ${token}`), nowMs)
    return answer.kind === 'passed' ? 'passed' : answer.message
  }
  const set = (...keys: readonly object[]): object => ({ localJwks: { inlineString: JSON.stringify({ keys }) } })
  const jwk = publicKey.export({ format: 'jwk' })
  assert.equal(verdict(set({ ...jwk, use: 'enc' }), signed({})), "Jwks doesn't have key to match kid or alg from Jwt")
  assert.equal(verdict(set({ ...jwk, alg: 'ES384' }), signed({})), "Jwks doesn't have key to match kid or alg from Jwt")
  assert.equal(verdict(set({ ...jwk, kid: 'b' }), signed({})), "Jwks doesn't have key to match kid or alg from Jwt")
  assert.equal(verdict(set(jwk), signed({})), 'passed')
  assert.equal(verdict(set(privateKey.export({ format: 'jwk' })), signed({})), 'passed', 'of a private key its public half')
  // The public key taken for a shared secret: the oldest trick there is.
  const confused = `${part({ alg: 'HS256' })}.${part({ iss: 'i' })}.${Buffer.alloc(32).toString('base64url')}`
  assert.equal(verdict(set(jwk), confused), "Jwks doesn't have key to match kid or alg from Jwt")
  assert.equal(verdict({ localJwks: { inlineString: missingKeys } }, signed({})), "Jwks doesn't have key to match kid or alg from Jwt")
  assert.equal(verdict({ localJwks: { inlineString: missingKeys } }, signed({}, { alg: 'ES256' })), 'Jwt verification fails')
  assert.equal(verdict({ localJwks: { inlineString: 'no JSON' } }, signed({})), "Jwks doesn't have key to match kid or alg from Jwt")
})

test('what is not understood is an error, not an open door', () => {
  const rules = (rule: object): object => ({ rules: [rule] })
  for (const [provider, more, error] of [
    [{ localJwks: undefined, remoteJwks: { httpUri: { uri: 'https://x', cluster: 'c', timeout: '1s' } } }, {}, /only local_jwks/], [{}, rules({ match: { prefix: '/x' }, requires: { providerName: 'p' } }), /only one rule for the prefix/],
    [{}, { rules: [] }, /only one rule/], [{}, rules({ match: { prefix: '/' }, requires: { providerName: 'q' } }), /no provider q/], [{}, rules({ match: { prefix: '/' }, requires: { providerAndAudiences: { providerName: 'p' } } }), /requirement providerAndAudiences/],
  ] as const) assert.match(filter(provider, more).errors.join('; '), error)
  assert.deepEqual(filter({}).errors, [])
})
