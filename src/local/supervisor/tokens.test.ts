import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'
import { jwksReviewer } from '#ca'
import { createTokenIssuer, tokenIssuer, tokenLifetimeSeconds } from './tokens.ts'

test('a token is bound to its pod, and the CA takes it', async () => {
  const issuer = createTokenIssuer()
  const token = issuer.issue({ namespace: 'foo', name: 'sleep-1', uid: 'u', serviceAccount: 'sleep' })
  const { payload } = await jwtVerify(token, createLocalJWKSet(issuer.keys as JSONWebKeySet), { issuer: tokenIssuer, audience: 'istio-ca' })
  assert.equal(payload.sub, 'system:serviceaccount:foo:sleep')
  assert.deepEqual(payload['kubernetes.io'], { namespace: 'foo', pod: { name: 'sleep-1', uid: 'u' }, serviceaccount: { name: 'sleep', uid: 'foo-sleep' } })
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), tokenLifetimeSeconds)
  const caller = await jwksReviewer(issuer.keys as JSONWebKeySet, tokenIssuer).authenticate(token)
  assert.deepEqual(caller, { namespace: 'foo', serviceAccount: 'sleep', pod: 'sleep-1' })
  await assert.rejects(jwtVerify(token, createLocalJWKSet(createTokenIssuer().keys as JSONWebKeySet)))
})
