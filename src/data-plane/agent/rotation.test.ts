import 'reflect-metadata'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyObject, type webcrypto } from 'node:crypto'
import { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { silentLogger } from '#lib/log.ts'
import { Secret } from '#lib/secret.ts'
import { Rotation, type WorkloadCertificate } from './rotation.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

type KeyPair = webcrypto.CryptoKeyPair
const identity = 'spiffe://cluster.local/ns/foo/sa/sleep'
const newKeys = (): Promise<KeyPair> => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
const rootKeys = await newKeys()
const root = await X509CertificateGenerator.createSelfSigned({ name: 'CN=root', notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 600_000), keys: rootKeys, signingAlgorithm: algorithm, extensions: [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)] })
const pem = (k: KeyPair): Secret<string> => new Secret(KeyObject.from(k.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string)

async function issued(lifetimeMs: number, keys: KeyPair, name = identity): Promise<string[]> {
  const now = Date.now()
  const leaf = await X509CertificateGenerator.create({ issuer: root.subject, notBefore: new Date(now - 1000), notAfter: new Date(now + lifetimeMs), publicKey: keys.publicKey, signingKey: rootKeys.privateKey, signingAlgorithm: algorithm, extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: name }], true)] })
  return [leaf.toString('pem') + '\n', root.toString('pem') + '\n']
}

test('a certificate is renewed before it ends, and a failure keeps the last one', async () => {
  const got: WorkloadCertificate[] = []
  let asked = 0
  let fetched: () => void
  const third = new Promise<void>((resolve) => (fetched = resolve))
  const keys: string[] = []
  const rotation = new Rotation({
    identity, trustDomain: 'cluster.local',
    fetch: async () => {
      asked++
      if (asked === 1 || asked === 3) throw new Error('down')
      if (asked >= 5) fetched()
      const own = await newKeys()
      keys.push(pem(own).reveal())
      return { chain: await issued(2000, own), key: pem(own) }
    },
    onCertificate: (c) => void got.push(c), now: Date.now, pick: () => 0.5, log: silentLogger,
  })
  await rotation.start()
  assert.equal(got.length, 1)
  assert.equal(rotation.current?.key.reveal(), keys[0])
  await third
  rotation.stop()
  assert.ok(got.length >= 2)
  for (const c of got) assert.ok(c.notAfterMs > c.notBeforeMs)
  assert.equal(new Set(keys).size, keys.length)
  assert.doesNotMatch(JSON.stringify(got), /PRIVATE/)
})

test('what the CA gave is used only where it is ours', async () => {
  const own = await newKeys()
  const [leaf, roots] = await issued(60_000, own) as [string, string]
  const strange = await X509CertificateGenerator.createSelfSigned({ name: 'CN=root', notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 600_000), keys: own, signingAlgorithm: algorithm, extensions: [new BasicConstraintsExtension(true, undefined, true)] })
  const cases: [string, string[], RegExp][] = [
    ['another key', [(await issued(60_000, await newKeys()))[0] as string, roots], /another key/],
    ['another identity', [(await issued(60_000, own, 'spiffe://cluster.local/ns/foo/sa/other'))[0] as string, roots], /not for/],
    ['roots that did not sign it', [leaf, strange.toString('pem')], /not trusted/],
    ['ended', [(await issued(-1, own))[0] as string, roots], /valid from/],
    ['no certificate', ['', roots], /no certificate/],
  ]
  for (const [what, chain, want] of cases) {
    let reason = ''
    let refused: () => void
    const first = new Promise<void>((resolve) => (refused = resolve))
    const log = { ...silentLogger, warn: (fields: object) => {
      reason = (fields as { reason: string }).reason
      refused()
    } }
    const rotation = new Rotation({ identity, trustDomain: 'cluster.local', fetch: async () => ({ chain, key: pem(own) }), onCertificate: () => assert.fail(what), now: Date.now, pick: () => 0.5, log })
    const started = rotation.start()
    await first
    rotation.stop()
    await started
    assert.match(reason, want, what)
  }
})
