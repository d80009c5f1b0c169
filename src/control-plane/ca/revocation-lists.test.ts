import 'reflect-metadata'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { X509Certificate as NodeCertificate, type webcrypto } from 'node:crypto'
import { BasicConstraintsExtension, X509Certificate, X509CertificateGenerator, X509CrlGenerator, AuthorityKeyIdentifierExtension, SubjectKeyIdentifierExtension } from '@peculiar/x509'
import { readRevocations } from '#identity'
import { ecdsaP256 } from './authority.ts'
import { checkedRevocations } from './revocation-lists.ts'

interface Made { readonly certificate: X509Certificate; readonly keys: webcrypto.CryptoKeyPair }
async function make(name: string, serialNumber: string, by?: Made): Promise<Made> {
  const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    serialNumber, subject: name, issuer: by?.certificate.subject ?? name, notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 60_000), signingAlgorithm: ecdsaP256, publicKey: keys.publicKey, signingKey: (by ?? { keys }).keys.privateKey,
    extensions: [new BasicConstraintsExtension(true, undefined, true), await SubjectKeyIdentifierExtension.create(keys.publicKey), await AuthorityKeyIdentifierExtension.create((by ?? { keys }).keys.publicKey)],
  })
  return { certificate, keys }
}
async function listOf(by: Made, serials: readonly string[], nextUpdate = new Date(Date.now() + 60_000)): Promise<string> {
  const list = await X509CrlGenerator.create({ issuer: by.certificate.subject, thisUpdate: new Date(Date.now() - 120_000), nextUpdate, signingAlgorithm: ecdsaP256, signingKey: by.keys.privateKey, entries: serials.map((serialNumber) => ({ serialNumber })), extensions: [await AuthorityKeyIdentifierExtension.create(by.keys.publicKey)] })
  return list.toString('pem').replaceAll(/(BEGIN|END) CRL/g, '$1 X509 CRL') + '\n'
}
const pem = (...all: Made[]): string => all.map(({ certificate }) => certificate.toString('pem')).join('\n')
const node = ({ certificate }: Made): NodeCertificate => new NodeCertificate(certificate.toString('pem'))

test('a list is one of the authority’s own, or is refused', async () => {
  const root = await make('O=root', '01')
  const signer = await make('O=signer', '02', root)
  const stranger = await make('O=root', '01')
  const both = await listOf(root, ['02']) + await listOf(signer, ['0a'])
  assert.equal(await checkedRevocations(`# from the PKI team\n${both}`, pem(signer, root), 'cacerts'), both.replaceAll('\n\n', '\n'))
  assert.equal(await checkedRevocations('', pem(root), 'cacerts'), '')
  await assert.rejects(checkedRevocations(await listOf(stranger, ['02']), pem(signer, root), 'cacerts'), { code: 'CA_UNREADABLE', message: 'the list of "O=root" in ca-crl.pem in cacerts is signed by none of the authority\'s certificates' })
  await assert.rejects(checkedRevocations(pem(root), pem(root), 'cacerts'), { code: 'CA_UNREADABLE', message: 'ca-crl.pem in cacerts holds no list (X509 CRL)' })
  await assert.rejects(checkedRevocations('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----', pem(root), 'cacerts'), { code: 'CA_UNREADABLE' })
})

test('who is named: by number, by who signed, and by that one’s key where two share a name', async () => {
  const root = await make('O=root', '01')
  const twin = await make('O=root', '01')
  const [named, other, twins] = [await make('O=a', '0a', root), await make('O=b', '0b', root), await make('O=c', '0a', twin)]
  const revoked = await readRevocations(await listOf(root, ['0a', 'f1']))
  assert.equal(revoked.count, 2)
  assert.equal(revoked.named(node(named)), 'certificate 0A')
  for (const free of [other, twins]) assert.equal(revoked.named(node(free)), undefined)
  // One that has ended goes on naming what it named.
  const ended = await readRevocations(await listOf(root, ['0a'], new Date(Date.now() - 60_000)))
  assert.ok(ended.nextMs < Date.now())
  assert.equal(ended.named(node(named)), 'certificate 0A')
  await assert.rejects(readRevocations('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----'), { code: 'BUNDLE_INVALID' })
})
