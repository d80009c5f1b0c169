import 'reflect-metadata'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { X509CertificateGenerator } from '@peculiar/x509'
import { silentLogger } from '#lib/log.ts'
import { Secret } from '#lib/secret.ts'
import { Rotation, type WorkloadCertificate } from './rotation.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

async function certificate(lifetimeMs: number): Promise<string> {
  const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const now = Date.now()
  return (await X509CertificateGenerator.createSelfSigned({ name: 'CN=x', notBefore: new Date(now), notAfter: new Date(now + lifetimeMs), keys, signingAlgorithm: algorithm })).toString('pem') + '\n'
}

test('a certificate is renewed before it ends, and a failure keeps the last one', async () => {
  const got: WorkloadCertificate[] = []
  let asked = 0
  let fetched: () => void
  const third = new Promise<void>((resolve) => (fetched = resolve))
  const rotation = new Rotation({
    fetch: async () => {
      asked++
      if (asked === 1 || asked === 3) throw new Error('down')
      if (asked >= 5) fetched()
      return { chain: [await certificate(2000), 'roots'], key: new Secret(`key ${asked}`) }
    },
    onCertificate: (c) => void got.push(c), now: Date.now, pick: () => 0.5, log: silentLogger,
  })
  await rotation.start()
  assert.equal(got.length, 1)
  assert.equal(rotation.current?.key.reveal(), 'key 2')
  await third
  rotation.stop()
  assert.ok(got.length >= 2)
  for (const c of got) assert.ok(c.notAfterMs > c.notBeforeMs)
  assert.doesNotMatch(JSON.stringify(got), /key \d/)
})
