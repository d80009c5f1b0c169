import assert from 'node:assert/strict'
import { test } from 'node:test'
import { credentialResource, parseCredential, secretData } from './credentials.ts'

test('a name leads into the proxy’s own namespace, and to a Secret’s roots by its suffix', () => {
  assert.deepEqual(parseCredential('kubernetes://files', 'foo'), { namespace: 'foo', secrets: ['files'], authorities: false })
  assert.deepEqual(parseCredential('kubernetes://foo/files', 'foo'), { namespace: 'foo', secrets: ['files'], authorities: false })
  assert.deepEqual(parseCredential('kubernetes://files-cacert', 'foo'), { namespace: 'foo', secrets: ['files-cacert', 'files'], authorities: true })
  for (const name of ['default', 'ROOTCA', 'file-root:/ca', 'kubernetes://bar/files', 'kubernetes://', 'kubernetes://a/b/c', 'kubernetes://../files', 'kubernetes://Files', 'kubernetes://foo/']) assert.equal(parseCredential(name, 'foo'), undefined, name)
})

test('which keys count, and what is said of others: names, never values', () => {
  const of = (name: string, data: Record<string, string>): string => {
    const made = credentialResource(name, parseCredential(name, 'foo') as never, data)
    return typeof made === 'string' ? made : `${made.name} ${Buffer.from(made.any.value).toString('latin1').replace(/[^\x20-\x7e]+/g, ' ')}`
  }
  assert.match(of('kubernetes://a', { 'tls.crt': 'C1', 'tls.key': 'K1', cert: '', key: 'K2' }), /C1.*K1/)
  assert.match(of('kubernetes://a', { 'tls.crt': 'C1', 'tls.key': 'K1', cert: 'C2', key: 'K2' }), /C2.*K2/)
  assert.match(of('kubernetes://a-cacert', { 'ca.crt': 'R1', cacert: 'R2', 'ca.crl': 'L1', crl: 'L2' }), /R2.*L2/)
  assert.match(of('kubernetes://a-cacert', { 'ca.crt': 'R1', 'ca.crl': 'L1' }), /R1.*L1/)
  assert.equal(of('kubernetes://a', { password: 'hunter2', 'tls.crt': 'C' }), 'it has neither cert and key nor tls.crt and tls.key; it has password, tls.crt')
  assert.equal(of('kubernetes://a-cacert', {}), 'it has neither cacert nor ca.crt; it has nothing')
  assert.doesNotMatch(of('kubernetes://a-cacert', { 'ca.crt': 'R', 'tls.key': 'K1' }), /K1/, 'roots alone')
})

test('data as the API server has it, stringData over it', () => {
  assert.deepEqual(secretData({ data: { a: Buffer.from('x').toString('base64'), b: 'eQ==' }, stringData: { b: 'z' } }), { a: 'x', b: 'z' })
  assert.deepEqual(secretData({ data: 7 }), {})
})
