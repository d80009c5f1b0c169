import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measure } from './measure.ts'

const body = (value: object, status = 200) => ({ code: 0, stdout: `${JSON.stringify(value)}\n${status}`, stderr: '' })

test('mtls needs both SPIFFE ids in what the server received', () => {
  const xfcc = 'By=spiffe://cluster.local/ns/bar/sa/httpbin;Hash=ab;Subject="";URI=spiffe://cluster.local/ns/foo/sa/sleep'
  const seen = measure(body({ headers: { 'X-Forwarded-Client-Cert': xfcc } }))
  assert.equal(seen.outcome, 'mtls')
  assert.equal(seen.client, 'spiffe://cluster.local/ns/foo/sa/sleep')
  assert.equal(seen.server, 'spiffe://cluster.local/ns/bar/sa/httpbin')
  assert.equal(measure(body({ headers: { 'X-Forwarded-Client-Cert': 'Hash=ab' } })).outcome, 'plaintext')
  assert.equal(measure(body({ headers: {} })).outcome, 'plaintext')
})

test('an external server says itself what it received', () => {
  assert.equal(measure(body({ tls: null, headers: {} })).outcome, 'plaintext')
  assert.equal(measure(body({ tls: 'TLSv1.3', sni: 'a', clientCertificate: false, headers: {} })).outcome, 'tls')
})

test('a closed connection and an error status are blocked', () => {
  assert.equal(measure({ code: 56, stdout: '', stderr: 'reset' }).proof, 'connection closed')
  const refused = measure({ code: 0, stdout: 'upstream connect error\n503', stderr: '' })
  assert.deepEqual([refused.outcome, refused.status], ['blocked', 503])
})
