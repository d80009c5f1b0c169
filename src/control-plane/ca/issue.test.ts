import assert from 'node:assert/strict'
import { X509Certificate as NodeCertificate } from 'node:crypto'
import { test } from 'node:test'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import { ecdsaP256, selfSignedAuthority } from './authority.ts'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { verifyPeer } from '#identity'
import { issueCertificate } from './issue.ts'
import { jwksReviewer } from './tokens.ts'

const nowMs = Date.now()

async function request(names?: string): Promise<string> {
  const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
  const extensions = names === undefined ? [] : [new SubjectAlternativeNameExtension([{ type: 'url', value: names }])]
  return (await Pkcs10CertificateRequestGenerator.create({ name: 'CN=anybody', keys, signingAlgorithm: ecdsaP256, extensions })).toString('pem')
}

test('the certificate names the caller, whatever the request asked for', async () => {
  const authority = await selfSignedAuthority('cluster.local', nowMs)
  const csr = await request('spiffe://cluster.local/ns/kube-system/sa/admin')
  const chain = await issueCertificate(authority, { csr, names: [{ type: 'url', value: 'spiffe://cluster.local/ns/foo/sa/sleep' }], lifetimeMs: 3_600_000, nowMs })
  const leaf = new NodeCertificate(chain[0] as string)
  const root = new NodeCertificate(chain.at(-1) as string)
  assert.ok(leaf.checkIssued(root) && leaf.verify(root.publicKey))
  assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/foo/sa/sleep')
  assert.equal(leaf.subject, undefined)
  assert.equal(leaf.ca, false)
  const check = verifyPeer(leaf, { trustDomains: ['cluster.local'], nowMs })
  assert.ok('peer' in check && check.peer.id.namespace === 'foo')
  assert.ok('refused' in verifyPeer(leaf, { trustDomains: ['other'], nowMs }))
  assert.ok('refused' in verifyPeer(leaf, { trustDomains: ['cluster.local'], nowMs: nowMs + 3_700_000 }))
})

test('two URIs, a wrong trust domain or an odd path name nobody', async () => {
  const authority = await selfSignedAuthority('cluster.local', nowMs)
  const names: string[][] = [['spiffe://cluster.local/ns/a/sa/b', 'spiffe://cluster.local/ns/c/sa/d'], ['spiffe://CLUSTER.local/ns/a/sa/b'], ['spiffe://cluster.localx/ns/a/sa/b'], ['spiffe://cluster.local/ns/a'], ['https://cluster.local/ns/a/sa/b'], ['spiffe://cluster.local/ns/a/sa/b/c'], ['spiffe://cluster.local/ns/*/sa/b']]
  for (const uris of names) {
    const [leaf] = await issueCertificate(authority, { csr: await request(), names: uris.map((value) => ({ type: 'url' as const, value })), lifetimeMs: 60_000, nowMs })
    assert.ok('refused' in verifyPeer(new NodeCertificate(leaf as string), { trustDomains: ['cluster.local'], nowMs }), uris.join())
  }
})

test('a lifetime beyond the signer’s own is cut; a forged request is refused', async () => {
  const authority = await selfSignedAuthority('cluster.local', nowMs)
  const [leaf] = await issueCertificate(authority, { csr: await request(), names: [{ type: 'url', value: 'spiffe://cluster.local/ns/a/sa/b' }], lifetimeMs: 20 * 365 * 86_400_000, nowMs })
  assert.ok(Date.parse(new NodeCertificate(leaf as string).validTo) <= authority.certificate.notAfter.getTime())
  const der = Buffer.from((await request()).replace(/-----[^-]+-----|\s/g, ''), 'base64')
  der[der.length - 5] = (der[der.length - 5] as number) ^ 1
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`
  await assert.rejects(issueCertificate(authority, { csr: forged, names: [], lifetimeMs: 1000, nowMs }), { code: 'CSR_INVALID' })
})

test('a token counts only with the right audience, issuer, key, time and subject', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const other = await generateKeyPair('ES256')
  const reviewer = jwksReviewer({ keys: [{ ...(await exportJWK(publicKey)), kid: 'a', alg: 'ES256' }] }, 'https://local')
  const token = (o: { aud?: string; iss?: string; exp?: string; sub?: string; key?: CryptoKey } = {}): Promise<string> =>
    new SignJWT({ 'kubernetes.io': { pod: { name: 'sleep-1' } } }).setProtectedHeader({ alg: 'ES256', kid: 'a' }).setAudience(o.aud ?? 'istio-ca').setIssuer(o.iss ?? 'https://local').setSubject(o.sub ?? 'system:serviceaccount:foo:sleep').setExpirationTime(o.exp ?? '1h').sign(o.key ?? privateKey)
  assert.deepEqual(await reviewer.authenticate(await token()), { namespace: 'foo', serviceAccount: 'sleep', pod: 'sleep-1' })
  for (const bad of [{ aud: 'api' }, { iss: 'https://other' }, { exp: '-1h' }, { sub: 'admin' }, { key: other.privateKey }]) {
    assert.ok('refused' in (await reviewer.authenticate(await token(bad))), JSON.stringify(bad))
  }
  assert.ok('refused' in (await reviewer.authenticate('x.y.z')))
})
