// The mesh's certificate authority: a root of its own, or one that was plugged in. Keys stay in this process's memory.
import 'reflect-metadata'
import { AuthorityKeyIdentifierExtension, BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, PemConverter, SubjectKeyIdentifierExtension, X509Certificate, X509CertificateGenerator } from '@peculiar/x509'
import { createPrivateKey, KeyObject, X509Certificate as NodeCertificate, type webcrypto } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KithError } from '#lib/errors.ts'
import { chainProblem, parseCertificates, parseTrustBundle } from '#identity'

export interface Authority {
  /** The certificate that signs. */
  readonly certificate: X509Certificate
  readonly key: CryptoKey
  readonly algorithm: webcrypto.EcdsaParams | webcrypto.Algorithm
  /** From the signing certificate up, without the root; empty where the root signs. */
  readonly intermediates: readonly string[]
  /** PEM of every root that peers shall trust. */
  readonly roots: string
}

export const ecdsaP256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

const lifetimeMs = 3650 * 86_400_000
/** Clocks of other machines may be this far behind. */
export const skewMs = 120_000

/** A self-signed P-256 root, ten years long, as Istio makes one; its key exists in this process's memory alone. */
export async function selfSignedAuthority(trustDomain: string, nowMs: number): Promise<Authority> {
  const { certificate, keys } = await makeRoot(trustDomain, nowMs, false)
  return { certificate, key: keys.privateKey, algorithm: ecdsaP256, intermediates: [], roots: certificate.toString('pem') + '\n' }
}

/** The same, kept in `folder` (mode 0700, key 0600) over restarts, in the form that `pluggedInAuthority` reads. Throws CA_UNREADABLE. */
export async function keptAuthority(folder: string, trustDomain: string, nowMs: number): Promise<Authority> {
  if (!existsSync(join(folder, 'ca-key.pem'))) {
    const { certificate, keys } = await makeRoot(trustDomain, nowMs, true)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const pem = certificate.toString('pem') + '\n'
    for (const name of ['ca-cert.pem', 'root-cert.pem', 'cert-chain.pem']) writeFileSync(join(folder, name), pem)
    // The key last and in one step: a folder with a key is whole.
    const aside = join(folder, `.ca-key.${process.pid}`)
    writeFileSync(aside, KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' })
    renameSync(aside, join(folder, 'ca-key.pem'))
  }
  return pluggedInAuthority(folder, nowMs)
}

async function makeRoot(trustDomain: string, nowMs: number, extractable: boolean): Promise<{ certificate: X509Certificate; keys: webcrypto.CryptoKeyPair }> {
  const keys = await crypto.subtle.generateKey(ecdsaP256, extractable, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(), name: `O=${trustDomain}`, notBefore: new Date(nowMs - skewMs), notAfter: new Date(nowMs + lifetimeMs), signingAlgorithm: ecdsaP256, keys,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
      // Roots of one mesh share their subject: the key's identifier tells them apart while one takes over from another.
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate, keys }
}

/** Istio's `cacerts`: ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem; or kubernetes.io/tls names: tls.crt, tls.key, ca.crt. Throws CA_UNREADABLE. */
export async function pluggedInAuthority(folder: string, nowMs: number): Promise<Authority> {
  const read = (...names: string[]): string => {
    const found = names.map((n) => join(folder, n)).find((p) => existsSync(p))
    if (found === undefined) throw new KithError('CA_UNREADABLE', `${folder} holds none of ${names.join(', ')}`)
    return readFileSync(found, 'utf8')
  }
  try {
    const signer = read('ca-cert.pem', 'tls.crt')
    const certificate = new X509Certificate(signer)
    const keyObject = createPrivateKey(read('ca-key.pem', 'tls.key'))
    const roots = read('root-cert.pem', 'ca.crt')
    const rest = existsSync(join(folder, 'cert-chain.pem')) ? read('cert-chain.pem') : signer
    const problem = authorityProblem(signer, keyObject, rest, roots, nowMs)
    if (problem !== undefined) throw new KithError('CA_UNREADABLE', `the certificate authority in ${folder} can't be used: ${problem}`)
    const algorithm = algorithmOf(keyObject)
    const key = await crypto.subtle.importKey('pkcs8', keyObject.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign'])
    const rootDer = new Set(PemConverter.decode(roots).map((d) => Buffer.from(d).toString('base64')))
    const intermediates = PemConverter.decode(rest).filter((d) => !rootDer.has(Buffer.from(d).toString('base64'))).map((d) => PemConverter.encode(d, 'CERTIFICATE') + '\n')
    return { certificate, key, algorithm, intermediates, roots: roots.trimEnd() + '\n' }
  } catch (cause) {
    throw cause instanceof KithError ? cause : new KithError('CA_UNREADABLE', `the certificate authority in ${folder} can't be read: ${(cause as Error).message}`, { cause })
  }
}

function algorithmOf(key: KeyObject): webcrypto.Algorithm {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as webcrypto.Algorithm
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return ecdsaP256
  if (key.asymmetricKeyType === 'ec' && curve === 'secp384r1') return { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as webcrypto.Algorithm
  throw new KithError('CA_UNREADABLE', `keys of the kind ${key.asymmetricKeyType} ${curve ?? ''} can't sign here: RSA, P-256 and P-384 can`)
}

/** A fault that would otherwise show only at every handshake of the mesh. */
function authorityProblem(signer: string, key: KeyObject, chain: string, roots: string, nowMs: number): string | undefined {
  const certificate = new NodeCertificate(signer)
  if (!certificate.ca) return 'its certificate is no certificate authority'
  if (!certificate.checkPrivateKey(key)) return 'its key does not belong to its certificate'
  const bundle = parseTrustBundle(roots)
  if (bundle.roots.some((r) => r.fingerprint256 === certificate.fingerprint256)) return undefined
  // The path is looked at as a leaf's would be, one step further up.
  const path = parseCertificates(chain).filter((c) => c.fingerprint256 !== certificate.fingerprint256)
  return chainProblem([certificate, ...path], bundle, nowMs, 'authority')
}

/** What certificates signed by this one carry, so that a verifier finds the right one among roots of one name. */
export async function authorityKeyId(certificate: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const own = certificate.getExtension('2.5.29.14') as SubjectKeyIdentifierExtension | null
  return own === null ? AuthorityKeyIdentifierExtension.create(certificate.publicKey) : new AuthorityKeyIdentifierExtension(own.keyId)
}

export function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[0] = (bytes[0] as number) & 0x7f
  return Buffer.from(bytes).toString('hex')
}
