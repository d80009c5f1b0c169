// The mesh's certificate authority: a root of its own, or one that was plugged in. Keys stay in this process's memory.
import 'reflect-metadata'
import { AuthorityKeyIdentifierExtension, BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, PemConverter, SubjectKeyIdentifierExtension, X509Certificate, X509CertificateGenerator } from '@peculiar/x509'
import { createPrivateKey, createPublicKey, KeyObject, X509Certificate as NodeCertificate, type webcrypto } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KithError } from '#lib/errors.ts'
import { Secret } from '#lib/secret.ts'
import { chainProblem, parseCertificates, parseTrustBundle } from '#identity'
import { issueSkewMs } from '#xds'
import { checkedRevocations } from './revocation-lists.ts'

export interface Authority {
  /** The certificate that signs. */
  readonly certificate: X509Certificate
  readonly key: CryptoKey
  readonly algorithm: webcrypto.EcdsaParams | webcrypto.Algorithm
  /** From the signing certificate up, without the root; empty where the root signs. */
  readonly intermediates: readonly string[]
  /** PEM of every root that peers shall trust. */
  readonly roots: string
  /** PEM of the lists of what was taken back; '' where there are none. */
  readonly revocations?: string
  /** What it was read from, so that it can be kept while another takes over from it. */
  readonly files?: Secret<AuthorityFiles>
}

export const ecdsaP256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

const lifetimeMs = 3650 * 86_400_000

/** A self-signed P-256 root, ten years long, as Istio makes one; its key exists in this process's memory alone. */
export async function selfSignedAuthority(trustDomain: string, nowMs: number): Promise<Authority> {
  const { certificate, keys } = await makeRoot(trustDomain, nowMs, false)
  return { certificate, key: keys.privateKey, algorithm: ecdsaP256, intermediates: [], roots: certificate.toString('pem') + '\n' }
}

/** The same, kept in `folder` (mode 0700, key 0600) over restarts, in the form that `pluggedInAuthority` reads. Throws CA_UNREADABLE. */
export async function keptAuthority(folder: string, trustDomain: string, nowMs: number): Promise<Authority> {
  if (!existsSync(join(folder, 'ca-key.pem'))) {
    const { 'ca-key.pem': key, ...certificates } = await newRootFiles(trustDomain, nowMs)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const [name, pem] of Object.entries(certificates)) writeFileSync(join(folder, name), pem)
    // The key last and in one step: a folder with a key is whole.
    const aside = join(folder, `.ca-key.${process.pid}`)
    writeFileSync(aside, key, { mode: 0o600, flag: 'wx' })
    renameSync(aside, join(folder, 'ca-key.pem'))
  }
  return pluggedInAuthority(folder, nowMs)
}

export type AuthorityFiles = Readonly<Record<'ca-cert.pem' | 'ca-key.pem' | 'root-cert.pem' | 'cert-chain.pem', string>>

/** A new root with its key, under the names that `readAuthority` knows. The key leaves this process: it is for a place that keeps it. */
export async function newRootFiles(trustDomain: string, nowMs: number, forMs = lifetimeMs): Promise<AuthorityFiles> {
  const { certificate, keys } = await makeRoot(trustDomain, nowMs, true, forMs)
  const pem = certificate.toString('pem') + '\n'
  return { 'ca-cert.pem': pem, 'ca-key.pem': KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string, 'root-cert.pem': pem, 'cert-chain.pem': pem }
}

async function makeRoot(trustDomain: string, nowMs: number, extractable: boolean, forMs = lifetimeMs): Promise<{ certificate: X509Certificate; keys: webcrypto.CryptoKeyPair }> {
  const keys = await crypto.subtle.generateKey(ecdsaP256, extractable, ['sign', 'verify'])
  return { certificate: await rootOf(`O=${trustDomain}`, keys, ecdsaP256, nowMs, forMs), keys }
}

async function rootOf(name: string, keys: webcrypto.CryptoKeyPair, signingAlgorithm: Authority['algorithm'], nowMs: number, forMs: number): Promise<X509Certificate> {
  return X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(), name, notBefore: new Date(nowMs - Math.min(issueSkewMs, forMs)), notAfter: new Date(nowMs + forMs), signingAlgorithm: signingAlgorithm as webcrypto.EcdsaParams, keys,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
      // Roots of one mesh share their subject: the key's identifier tells them apart while one takes over from another.
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
}

/** A self-signed root's next life: the same name and key, so that what it has signed stays good. Istio: GenRootCertFromExistingKey. Throws CA_UNREADABLE. */
export async function renewedRootFiles({ certificate, files }: Authority, nowMs: number, forMs = lifetimeMs): Promise<AuthorityFiles> {
  if (files === undefined || certificate.subject !== certificate.issuer) throw new KithError('CA_UNREADABLE', 'only a self-signed root whose key is at hand can be renewed')
  const keyObject = createPrivateKey(files.reveal()['ca-key.pem'])
  const algorithm = algorithmOf(keyObject)
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey('pkcs8', keyObject.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']),
    crypto.subtle.importKey('spki', createPublicKey(keyObject).export({ type: 'spki', format: 'der' }), algorithm, true, ['verify']),
  ])
  const pem = (await rootOf(certificate.subject, { privateKey, publicKey }, algorithm, nowMs, forMs)).toString('pem') + '\n'
  return { 'ca-cert.pem': pem, 'ca-key.pem': files.reveal()['ca-key.pem'], 'root-cert.pem': pem, 'cert-chain.pem': pem }
}

/** Of its life so little is left that it shall be renewed. Istio: a fifth (CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE). */
export function isNearItsEnd(certificate: Pick<X509Certificate, 'notBefore' | 'notAfter'>, nowMs: number, gracePercent: number): boolean {
  const [from, until] = [certificate.notBefore.getTime(), certificate.notAfter.getTime()]
  return until - nowMs <= ((until - from) * gracePercent) / 100
}

/** Istio's `cacerts` as a folder; see `readAuthority`. Throws CA_UNREADABLE. */
export function pluggedInAuthority(folder: string, nowMs: number): Promise<Authority> {
  return readAuthority((name) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : undefined), folder, nowMs)
}

/** Istio's names: ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem, ca-crl.pem; or kubernetes.io/tls: tls.crt, tls.key, ca.crt. An empty text counts as none, as in the Secret that Istio itself makes. Throws CA_UNREADABLE. */
export async function readAuthority(text: (name: string) => string | undefined, where: string, nowMs: number): Promise<Authority> {
  const maybe = (...names: string[]): string | undefined => names.map(text).find((t) => t !== undefined && t.trim() !== '')
  const read = (...names: string[]): string => {
    const found = maybe(...names)
    if (found === undefined) throw new KithError('CA_UNREADABLE', `${where} holds none of ${names.join(', ')}`)
    return found
  }
  try {
    const signer = read('ca-cert.pem', 'tls.crt')
    const certificate = new X509Certificate(signer)
    const keyObject = createPrivateKey(read('ca-key.pem', 'tls.key'))
    // A certificate that signed itself is its own root.
    const roots = maybe('root-cert.pem', 'ca.crt') ?? (certificate.subject === certificate.issuer ? signer : read('root-cert.pem', 'ca.crt'))
    const rest = maybe('cert-chain.pem') ?? signer
    const problem = authorityProblem(signer, keyObject, rest, roots, nowMs)
    if (problem !== undefined) throw new KithError('CA_UNREADABLE', `the certificate authority in ${where} can't be used: ${problem}`)
    const revocations = checkedRevocations(maybe('ca-crl.pem') ?? '', [signer, rest, roots].join('\n'), where)
    const algorithm = algorithmOf(keyObject)
    const key = await crypto.subtle.importKey('pkcs8', keyObject.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign'])
    const rootDer = new Set(PemConverter.decode(roots).map((d) => Buffer.from(d).toString('base64')))
    const intermediates = PemConverter.decode(rest).filter((d) => !rootDer.has(Buffer.from(d).toString('base64'))).map((d) => PemConverter.encode(d, 'CERTIFICATE') + '\n')
    const files = new Secret<AuthorityFiles>({ 'ca-cert.pem': signer, 'ca-key.pem': keyObject.export({ type: 'pkcs8', format: 'pem' }) as string, 'root-cert.pem': roots, 'cert-chain.pem': rest })
    return { certificate, key, algorithm, intermediates, roots: roots.trimEnd() + '\n', revocations: await revocations, files }
  } catch (cause) {
    throw cause instanceof KithError ? cause : new KithError('CA_UNREADABLE', `the certificate authority in ${where} can't be read: ${(cause as Error).message}`, { cause })
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
