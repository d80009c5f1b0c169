import 'reflect-metadata'
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import { Pkcs10CertificateRequest, type SubjectAlternativeNameExtension } from '@peculiar/x509'
import { makeKeyAndRequest } from './key-pair.ts'

test('a request carries its own key, proves it, and names who asks; each time the key is new', async () => {
  const seen = new Set<string>()
  for (const identity of ['spiffe://cluster.local/ns/foo/sa/sleep', `spiffe://cluster.local/ns/${'n'.repeat(63)}/sa/${'s'.repeat(253)}`]) {
    const { key, csr } = await makeKeyAndRequest(identity)
    const read = new Pkcs10CertificateRequest(csr)
    assert.equal(await read.verify(), true)
    assert.deepEqual((read.getExtension('2.5.29.17') as SubjectAlternativeNameExtension).names.toJSON(), [{ type: 'url', value: identity }])
    const own = createPublicKey(createPrivateKey(key.reveal())).export({ type: 'spki', format: 'der' })
    assert.deepEqual(Buffer.from(read.publicKey.rawData), own)
    assert.doesNotMatch(JSON.stringify({ key }), /PRIVATE/)
    seen.add(own.toString('hex'))
  }
  assert.equal(seen.size, 2)
})
