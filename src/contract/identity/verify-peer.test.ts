import 'reflect-metadata'
import assert from 'node:assert/strict'
import { X509Certificate, type webcrypto } from 'node:crypto'
import { test } from 'node:test'
import { BasicConstraintsExtension, Extension, KeyUsageFlags, KeyUsagesExtension, X509CertificateGenerator, type X509Certificate as Made } from '@peculiar/x509'
import fc from 'fast-check'
import { altNamesOf, formatSpiffeId, parseSpiffeId, parseTrustBundle, verifyPeer, verifyPresented } from './index.ts'

const nowMs = Date.parse('2026-06-01T00:00:00Z')
const hour = 3_600_000
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
interface Signer {
  readonly certificate: Made
  readonly keys: webcrypto.CryptoKeyPair
}

let serial = 0
async function authority(name: string, by?: Signer, times: { from?: number; to?: number } = {}): Promise<Signer> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    serialNumber: (++serial).toString(16).padStart(2, '0'), subject: `CN=${name}`, issuer: by?.certificate.subject ?? `CN=${name}`, notBefore: new Date(nowMs + (times.from ?? -hour)), notAfter: new Date(nowMs + (times.to ?? 24 * hour)),
    publicKey: keys.publicKey, signingKey: (by?.keys ?? keys).privateKey, signingAlgorithm: algorithm, extensions: [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)],
  })
  return { certificate, keys }
}

/** DER of a short value: tag, length, content. */
const der = (tag: number, content: Buffer): Buffer => (content.length < 128 ? Buffer.concat([Buffer.from([tag, content.length]), content]) : Buffer.concat([Buffer.from([tag, 0x82, content.length >> 8, content.length & 255]), content]))
const uri = (text: string): Buffer => der(0x86, Buffer.from(text, 'latin1'))
const dns = (text: string): Buffer => der(0x82, Buffer.from(text, 'latin1'))
/** otherName with a string of the given tag (12 UTF8String, 30 BMPString). */
const otherName = (tag: number, content: Buffer): Buffer => der(0xa0, Buffer.concat([Buffer.from([0x06, 0x03, 0x2a, 0x03, 0x04]), der(0xa0, der(tag, content))]))
const bmp = (text: string): Buffer => Buffer.from([...text].flatMap((c) => [0, c.charCodeAt(0)]))

async function leaf(by: Signer, names: readonly Buffer[], times: { from?: number; to?: number } = {}): Promise<X509Certificate> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const extensions = [new BasicConstraintsExtension(false), ...(names.length === 0 ? [] : [new Extension('2.5.29.17', true, new Uint8Array(der(0x30, Buffer.concat([...names]))))])]
  const made = await X509CertificateGenerator.create({
    serialNumber: (++serial).toString(16).padStart(2, '0'), issuer: by.certificate.subject, notBefore: new Date(nowMs + (times.from ?? -hour)), notAfter: new Date(nowMs + (times.to ?? hour)),
    publicKey: keys.publicKey, signingKey: by.keys.privateKey, signingAlgorithm: algorithm, extensions,
  })
  return new X509Certificate(made.toString('pem'))
}

const id = 'spiffe://cluster.local/ns/foo/sa/httpbin'
const expected = { trustDomains: ['cluster.local', 'old.example'], nowMs }

test('a certificate names exactly one SPIFFE id, or nobody', async () => {
  const root = await authority('root')
  const cases: [string, Buffer[], string | RegExp][] = [
    ['one URI', [uri(id)], id],
    ['a second trust domain', [uri('spiffe://old.example/ns/foo/sa/httpbin')], 'spiffe://old.example/ns/foo/sa/httpbin'],
    ['a DNS name beside it', [dns('httpbin.foo'), uri(id)], id],
    ['no name', [], /0 URIs/],
    ['a DNS name that reads like an id', [dns(id)], /0 URIs/],
    ['two URIs', [uri(id), uri('spiffe://cluster.local/ns/bar/sa/x')], /2 URIs/],
    ['the same URI twice', [uri(id), uri(id)], /2 URIs/],
    ['a comma that looks like a second name', [uri(`${id}, URI:spiffe://cluster.local/ns/kube-system/sa/admin`)], /no SPIFFE id/],
    ['a DNS name with a comma that looks like a URI', [dns(`x, URI:${id}`)], /0 URIs|can’t be read/],
    ['a quote', [uri(`${id}"`)], /no SPIFFE id/],
    ['a NUL at the end', [uri(`${id}\0`)], /can’t be read/],
    ['a NUL before a tail', [uri(`${id}\0.evil.example`)], /can’t be read/],
    ['a line feed', [uri(`${id}\n`)], /can’t be read/],
    ['BMPString as other name', [uri(id), otherName(0x1e, bmp('spiffe://cluster.local/ns/bar/sa/x'))], /can’t be read/],
    ['UTF8String as other name', [uri(id), otherName(0x0c, Buffer.from('spiffe://cluster.local/ns/bar/sa/x'))], /can’t be read/],
    ['BMPString bytes in a URI', [der(0x86, bmp(id))], /can’t be read/],
    ['UTF-8 in the path', [uri('spiffe://cluster.local/ns/foo/sa/h\xc3\xa9')], /no SPIFFE id|can’t be read/],
    ['a wildcard', [uri('spiffe://cluster.local/ns/foo/sa/*')], /no SPIFFE id/],
    ['a wildcard domain', [uri('spiffe://*/ns/foo/sa/httpbin')], /no SPIFFE id/],
    ['capitals in the trust domain', [uri('spiffe://Cluster.local/ns/foo/sa/httpbin')], /no SPIFFE id/],
    ['capitals in the scheme', [uri('SPIFFE://cluster.local/ns/foo/sa/httpbin')], /no SPIFFE id/],
    ['our trust domain as a prefix without the slash', [uri('spiffe://cluster.local.evil.example/ns/foo/sa/httpbin')], /trust domain/],
    ['a user and a port', [uri('spiffe://u@cluster.local:1/ns/foo/sa/httpbin')], /no SPIFFE id/],
    ['a query', [uri(`${id}?x`)], /no SPIFFE id/],
    ['percent encoding', [uri('spiffe://cluster.local/ns/foo/sa/http%62in')], /no SPIFFE id/],
    ['an empty part', [uri('spiffe://cluster.local/ns//sa/httpbin')], /no SPIFFE id/],
    ['dots as a part', [uri('spiffe://cluster.local/ns/../sa/httpbin')], /no SPIFFE id/],
    ['a longer path', [uri(`${id}/x`)], /no SPIFFE id/],
    ['another scheme', [uri('https://cluster.local/ns/foo/sa/httpbin')], /no SPIFFE id/],
    ['another trust domain', [uri('spiffe://other/ns/foo/sa/httpbin')], /trust domain/],
  ]
  for (const [what, names, want] of cases) {
    const check = verifyPeer(await leaf(root, names), expected)
    if (typeof want === 'string') assert.equal('peer' in check ? check.peer.uri : check.refused, want, what)
    else assert.match('refused' in check ? check.refused : `accepted as ${check.peer.uri}`, want, what)
  }
})

test('a chain leads to one of several roots, or is refused', async () => {
  const [old, young, stranger] = [await authority('mesh'), await authority('mesh'), await authority('mesh')]
  const middle = await authority('middle', young)
  const late = await authority('late', young, { to: -1000 })
  const bundle = parseTrustBundle(`${old.certificate.toString('pem')}\n${young.certificate.toString('pem')}\n`)
  const node = (s: Signer): X509Certificate => new X509Certificate(s.certificate.toString('pem'))
  const cases: [string, X509Certificate[], RegExp | undefined][] = [
    ['the old root', [await leaf(old, [uri(id)])], undefined],
    ['the young root', [await leaf(young, [uri(id)])], undefined],
    ['over an intermediate', [await leaf(middle, [uri(id)]), node(middle)], undefined],
    ['the root sent along', [await leaf(middle, [uri(id)]), node(young), node(middle)], undefined],
    ['without its intermediate', [await leaf(middle, [uri(id)])], /not trusted/],
    ['a stranger of the same name', [await leaf(stranger, [uri(id)])], /not trusted/],
    ['a stranger that brings its root', [await leaf(stranger, [uri(id)]), node(stranger)], /not trusted/],
    ['an intermediate that has ended', [await leaf(late, [uri(id)]), node(late)], /valid from/],
    ['ended', [await leaf(old, [uri(id)], { to: 0 })], /valid from/],
    ['not yet', [await leaf(old, [uri(id)], { from: 1000 })], /valid from/],
    ['the root itself', [node(old)], /authority/],
    ['nothing', [], /no certificate/],
  ]
  for (const [what, chain, want] of cases) {
    const check = verifyPresented(chain, { ...expected, bundle })
    if (want === undefined) assert.ok('peer' in check, `${what}: ${JSON.stringify(check)}`)
    else assert.match('refused' in check ? check.refused : 'accepted', want, what)
  }
  // A leaf is no authority, whatever it signed.
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const plain = await X509CertificateGenerator.create({ serialNumber: '77', subject: 'CN=leaf', issuer: old.certificate.subject, notBefore: new Date(nowMs - hour), notAfter: new Date(nowMs + hour), publicKey: keys.publicKey, signingKey: old.keys.privateKey, signingAlgorithm: algorithm, extensions: [] })
  const forged = await leaf({ certificate: plain, keys }, [uri(id)])
  assert.ok('refused' in verifyPresented([forged, new X509Certificate(plain.toString('pem'))], { ...expected, bundle }))
  assert.throws(() => parseTrustBundle(plain.toString('pem')), { code: 'BUNDLE_INVALID' })
  assert.throws(() => parseTrustBundle('nothing'), { code: 'BUNDLE_INVALID' })
})

test('names come out whole, whatever is in them', async () => {
  const root = await authority('root')
  assert.deepEqual(altNamesOf(await leaf(root, [uri('a:b, DNS:c'), dns('d'), uri('"')])), [{ type: 'URI', value: 'a:b, DNS:c' }, { type: 'DNS', value: 'd' }, { type: 'URI', value: '"' }])
})

test('an id that is written reads back as it was', () => {
  const part = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/)
  fc.assert(fc.property(part, part, part, (trustDomain, namespace, serviceAccount) => assert.deepEqual(parseSpiffeId(formatSpiffeId({ trustDomain, namespace, serviceAccount })), { trustDomain, namespace, serviceAccount })))
  for (const odd of ['', 'spiffe://', 'spiffe://a', 'spiffe://a/ns/b', 'spiffe://a/ns/b/sa/', 'spiffe://a/ns/b/sa/c/', ' spiffe://a/ns/b/sa/c', 'spiffe://a/ns/b/sa/c\n']) assert.equal(parseSpiffeId(odd), undefined, odd)
})
