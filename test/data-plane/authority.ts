// A certificate authority for tests and benches: P-256, made at start, gone with the process.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectAlternativeNameExtension, X509CrlGenerator, X509CertificateGenerator, cryptoProvider, type X509Certificate } from '@peculiar/x509'

cryptoProvider.set(webcrypto as unknown as Crypto)
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export interface Issued {
  /** PEM, leaf first. */
  readonly chain: string
  /** PEM. */
  readonly key: string
}

export interface Authority {
  /** PEM. */
  readonly root: string
  issue(names: readonly { readonly type: 'url' | 'dns'; readonly value: string }[], lifetimeMs?: number, ca?: boolean): Promise<Issued & { readonly serial: string }>
  /** A list that revokes these serial numbers, as PEM. */
  revoke(serials: readonly string[]): Promise<string>
}

export async function createAuthority(name = 'test root'): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `O=${name}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new BasicConstraintsExtension(true, 1, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)],
  })
  let serial = 1
  return {
    root: root.toString('pem'),
    async issue(names, lifetimeMs = 3_600_000, ca = false) {
      const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      const leaf: X509Certificate = await X509CertificateGenerator.create({
        serialNumber: (++serial).toString(16).padStart(2, '0'),
        subject: '',
        issuer: root.subject,
        notBefore: new Date(Date.now() - 60_000),
        notAfter: new Date(Date.now() + lifetimeMs),
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [new BasicConstraintsExtension(ca), new KeyUsagesExtension(KeyUsageFlags.digitalSignature | (ca ? KeyUsageFlags.keyCertSign : 0), true), new SubjectAlternativeNameExtension([...names], true)],
      })
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64')
      return { serial: leaf.serialNumber, chain: leaf.toString('pem'), key: `-----BEGIN PRIVATE KEY-----\n${(pkcs8.match(/.{1,64}/g) ?? []).join('\n')}\n-----END PRIVATE KEY-----\n` }
    },
    async revoke(serials) {
      const list = await X509CrlGenerator.create({ issuer: root.subject, thisUpdate: new Date(Date.now() - 60_000), nextUpdate: new Date(Date.now() + 86_400_000), signingAlgorithm: algorithm, signingKey: keys.privateKey, entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date(Date.now() - 60_000) })) })
      // OpenSSL knows lists by their older label alone.
      return list.toString('pem').replace(/(BEGIN|END) CRL/g, '$1 X509 CRL')
    },
  }
}
