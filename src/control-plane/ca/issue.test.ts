import assert from 'node:assert/strict'
import { KeyObject, X509Certificate as NodeCertificate, type webcrypto } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import { ecdsaP256, keptAuthority, pluggedInAuthority, selfSignedAuthority } from './authority.ts'
import { BasicConstraintsExtension, Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension, SubjectKeyIdentifierExtension, X509CertificateGenerator } from '@peculiar/x509'
import { parseCertificates, parseTrustBundle, verifyPeer, verifyPresented } from '#identity'
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

test('keys that are too weak, and texts that are no request, are refused', async () => {
  const authority = await selfSignedAuthority('cluster.local', nowMs)
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 1024 }
  const csr = async (algorithm: object): Promise<string> => {
    const keys = (await crypto.subtle.generateKey(algorithm as never, true, ['sign', 'verify'])) as unknown as webcrypto.CryptoKeyPair
    return (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm as never })).toString('pem')
  }
  const issue = (text: string): Promise<string[]> => issueCertificate(authority, { csr: text, names: [{ type: 'url', value: 'spiffe://cluster.local/ns/a/sa/b' }], lifetimeMs: 60_000, nowMs })
  for (const bad of [await csr(rsa), '', 'nothing', authority.certificate.toString('pem'), 'x'.repeat(100_000)]) await assert.rejects(issue(bad), { code: 'CSR_INVALID' }, bad.slice(0, 40))
  for (const good of [await csr({ ...rsa, modulusLength: 2048 }), await csr({ name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' })]) assert.equal((await issue(good)).length, 2)
})

const pemOf = (key: webcrypto.CryptoKey): string => KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string

async function signer(subject: string, by?: { subject: string; keys: webcrypto.CryptoKeyPair }): Promise<{ subject: string; keys: webcrypto.CryptoKeyPair; pem: string }> {
  const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    serialNumber: '01', subject, issuer: by?.subject ?? subject, notBefore: new Date(nowMs - 1000), notAfter: new Date(nowMs + 3_600_000), publicKey: keys.publicKey, signingKey: (by?.keys ?? keys).privateKey, signingAlgorithm: ecdsaP256,
    extensions: [new BasicConstraintsExtension(true, undefined, true), await SubjectKeyIdentifierExtension.create(keys.publicKey)],
  })
  return { subject, keys, pem: certificate.toString('pem') + '\n' }
}

test('an authority is plugged in from either form, and only where it hangs together', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-ca-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const root = await signer('CN=root')
  const old = await signer('CN=root')
  const middle = await signer('CN=middle', root)
  const stranger = await signer('CN=stranger')
  const roots = old.pem + root.pem
  const key = pemOf(middle.keys.privateKey)
  const cases: [string, Record<string, string>, RegExp | undefined][] = [
    ['cacerts', { 'ca-cert.pem': middle.pem, 'ca-key.pem': key, 'cert-chain.pem': middle.pem + root.pem, 'root-cert.pem': roots }, undefined],
    ['kubernetes.io/tls', { 'tls.crt': middle.pem, 'tls.key': key, 'ca.crt': roots }, undefined],
    ['another key', { 'tls.crt': middle.pem, 'tls.key': pemOf(stranger.keys.privateKey), 'ca.crt': roots }, /key does not belong/],
    ['another root', { 'tls.crt': middle.pem, 'tls.key': key, 'ca.crt': stranger.pem }, /not trusted/],
    ['no key', { 'tls.crt': middle.pem, 'ca.crt': roots }, /holds none of ca-key.pem, tls.key/],
    ['no PEM', { 'tls.crt': 'x', 'tls.key': key, 'ca.crt': roots }, /can't be read/],
  ]
  for (const [i, [what, files, want]] of cases.entries()) {
    const place = join(folder, String(i))
    mkdirSync(place)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text)
    if (want !== undefined) {
      await assert.rejects(pluggedInAuthority(place, nowMs), want, what)
      continue
    }
    const authority = await pluggedInAuthority(place, nowMs)
    const chain = await issueCertificate(authority, { csr: await request(), names: [{ type: 'url', value: 'spiffe://cluster.local/ns/a/sa/b' }], lifetimeMs: 60_000, nowMs })
    assert.equal(chain.length, 3, what)
    assert.equal(chain.at(-1), roots)
    assert.ok('peer' in verifyPresented(parseCertificates(chain.slice(0, -1).join('')), { bundle: parseTrustBundle(roots), trustDomains: ['cluster.local'], nowMs }), what)
  }
})

test('a root that is kept is the same after a restart, and its key is the owner’s alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-ca-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const first = await keptAuthority(join(folder, 'root'), 'cluster.local', nowMs)
  const second = await keptAuthority(join(folder, 'root'), 'cluster.local', nowMs + 1000)
  assert.equal(second.roots, first.roots)
  assert.deepEqual([statSync(join(folder, 'root', 'ca-key.pem')).mode & 0o777, statSync(join(folder, 'root')).mode & 0o777], [0o600, 0o700])
  const [leaf] = await issueCertificate(second, { csr: await request(), names: [{ type: 'url', value: 'spiffe://cluster.local/ns/a/sa/b' }], lifetimeMs: 60_000, nowMs })
  assert.ok('peer' in verifyPresented(parseCertificates(leaf as string), { bundle: parseTrustBundle(first.roots), trustDomains: ['cluster.local'], nowMs }))
})

test('a token counts only with the right audience, issuer, key, time and subject', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const other = await generateKeyPair('ES256')
  const reviewer = jwksReviewer({ keys: [{ ...(await exportJWK(publicKey)), kid: 'a', alg: 'ES256' }] }, 'https://local')
  const token = (o: { aud?: string; iss?: string; exp?: string; sub?: string; key?: CryptoKey; bound?: object } = {}): Promise<string> =>
    new SignJWT({ 'kubernetes.io': { namespace: 'foo', serviceaccount: { name: 'sleep' }, pod: { name: 'sleep-1' }, ...o.bound } }).setProtectedHeader({ alg: 'ES256', kid: 'a' }).setAudience(o.aud ?? 'istio-ca').setIssuer(o.iss ?? 'https://local').setSubject(o.sub ?? 'system:serviceaccount:foo:sleep').setExpirationTime(o.exp ?? '1h').sign(o.key ?? privateKey)
  assert.deepEqual(await reviewer.authenticate(await token()), { namespace: 'foo', serviceAccount: 'sleep', pod: 'sleep-1' })
  for (const bad of [{ aud: 'api' }, { iss: 'https://other' }, { exp: '-1h' }, { sub: 'admin' }, { key: other.privateKey }, { bound: { namespace: 'bar' } }, { bound: { serviceaccount: { name: 'admin' } } }]) {
    assert.ok('refused' in (await reviewer.authenticate(await token(bad))), JSON.stringify(bad))
  }
  assert.ok('refused' in (await reviewer.authenticate('x.y.z')))
  // Neither no signature, nor one with a shared secret that stands in the key set by mistake.
  const secret = new TextEncoder().encode('a secret of at least thirty-two bytes')
  const careless = jwksReviewer({ keys: [{ kty: 'oct', kid: 'a', k: Buffer.from(secret).toString('base64url') }] }, 'https://local')
  const shared = await new SignJWT({}).setProtectedHeader({ alg: 'HS256', kid: 'a' }).setAudience('istio-ca').setIssuer('https://local').setSubject('system:serviceaccount:foo:sleep').setExpirationTime('1h').sign(secret)
  assert.ok('refused' in (await careless.authenticate(shared)))
  const [, claims] = (await token()).split('.')
  assert.ok('refused' in (await reviewer.authenticate(`${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`)))
})
