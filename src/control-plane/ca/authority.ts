// The mesh's certificate authority: a root of its own, or one that was plugged in. Keys stay in this process's memory.
import 'reflect-metadata'
import { AuthorityKeyIdentifierExtension, BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, Name, PemConverter, SubjectKeyIdentifierExtension, X509Certificate } from '@peculiar/x509'
import { createPrivateKey, createPublicKey, generateKeyPair, X509Certificate as NodeCertificate, type KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KithError } from '#lib/errors.ts'
import { Secret } from '#lib/secret.ts'
import { chainProblem, parseCertificates, parseTrustBundle, rawSubject, strictChainProblem } from '#identity'
import { issueSkewMs } from '#xds'
import { checkedRevocations } from './revocation-lists.ts'
import { signCertificate, signingAlgorithm, unfitKey } from './signed-certificate.ts'

export interface Authority {
  /** The certificate that signs. */
  readonly certificate: X509Certificate
  readonly key: KeyObject
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
  const { certificate, key } = await makeRoot(trustDomain, nowMs)
  return { certificate, key, intermediates: [], roots: certificate.toString('pem') + '\n' }
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
  const { certificate, key } = await makeRoot(trustDomain, nowMs, forMs)
  const pem = certificate.toString('pem') + '\n'
  return { 'ca-cert.pem': pem, 'ca-key.pem': key.export({ type: 'pkcs8', format: 'pem' }) as string, 'root-cert.pem': pem, 'cert-chain.pem': pem }
}

async function makeRoot(trustDomain: string, nowMs: number, forMs = lifetimeMs): Promise<{ certificate: X509Certificate; key: KeyObject }> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const name = new Uint8Array(new Name(`O=${trustDomain}`).toArrayBuffer())
  return { certificate: await rootOf(name, privateKey, publicKey, nowMs, forMs), key: privateKey }
}

/** `name`: DER. */
async function rootOf(name: Uint8Array, key: KeyObject, publicKey: KeyObject, nowMs: number, forMs: number): Promise<X509Certificate> {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return new X509Certificate(await signCertificate({
    serialNumber: randomSerial(), issuer: name, subject: name, notBeforeMs: nowMs - Math.min(issueSkewMs, forMs), notAfterMs: nowMs + forMs, publicKey: spki,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
      // Roots of one mesh share their subject: the key's identifier tells them apart while one takes over from another.
      await SubjectKeyIdentifierExtension.create(spki),
    ],
  }, key))
}

/** A self-signed root's next life: the same name and key, so that what it has signed stays good. Istio: GenRootCertFromExistingKey. Throws CA_UNREADABLE. */
export async function renewedRootFiles({ certificate, files }: Authority, nowMs: number, forMs = lifetimeMs): Promise<AuthorityFiles> {
  const own = new NodeCertificate(Buffer.from(certificate.rawData))
  if (files === undefined || !signedItself(own)) throw new KithError('CA_UNREADABLE', 'only a self-signed root whose key is at hand can be renewed')
  const key = createPrivateKey(files.reveal()['ca-key.pem'])
  const pem = (await rootOf(rawSubject(own.raw), key, createPublicKey(key), nowMs, forMs)).toString('pem') + '\n'
  return { 'ca-cert.pem': pem, 'ca-key.pem': files.reveal()['ca-key.pem'], 'root-cert.pem': pem, 'cert-chain.pem': pem }
}

function signedItself(certificate: NodeCertificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)
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
    const roots = maybe('root-cert.pem', 'ca.crt') ?? (signedItself(new NodeCertificate(signer)) ? signer : read('root-cert.pem', 'ca.crt'))
    const rest = maybe('cert-chain.pem') ?? signer
    const problem = authorityProblem(signer, keyObject, rest, roots, nowMs)
    if (problem !== undefined) throw new KithError('CA_UNREADABLE', `the certificate authority in ${where} can't be used: ${problem}`)
    const revocations = checkedRevocations(maybe('ca-crl.pem') ?? '', [signer, rest, roots].join('\n'), where)
    const rootDer = new Set(PemConverter.decode(roots).map((d) => Buffer.from(d).toString('base64')))
    // The signer itself comes first, also where the chain was written without it.
    const path = new Map([certificate.rawData, ...PemConverter.decode(rest)].map((d) => [Buffer.from(d).toString('base64'), d]))
    const intermediates = [...path].filter(([der]) => !rootDer.has(der)).map(([, d]) => PemConverter.encode(d, 'CERTIFICATE') + '\n')
    const files = new Secret<AuthorityFiles>({ 'ca-cert.pem': signer, 'ca-key.pem': keyObject.export({ type: 'pkcs8', format: 'pem' }) as string, 'root-cert.pem': roots, 'cert-chain.pem': rest })
    return { certificate, key: keyObject, intermediates, roots: roots.trimEnd() + '\n', revocations: await revocations, files }
  } catch (cause) {
    throw cause instanceof KithError && cause.code === 'CA_UNREADABLE' ? cause : new KithError('CA_UNREADABLE', `the certificate authority in ${where} can't be read: ${(cause as Error).message}`, { cause })
  }
}

/** A fault that would otherwise show only at every handshake of the mesh. */
function authorityProblem(signer: string, key: KeyObject, chain: string, roots: string, nowMs: number): string | undefined {
  const certificate = new NodeCertificate(signer)
  if (!certificate.checkPrivateKey(key)) return 'its key does not belong to its certificate'
  if (signingAlgorithm(key) === undefined) return unfitKey(key)
  const bundle = parseTrustBundle(roots)
  const path = parseCertificates(chain).filter((c) => c.fingerprint256 !== certificate.fingerprint256)
  const strict = strictChainProblem(certificate, { intermediates: path, roots: bundle.roots, nowMs, authority: true })
  if (strict !== undefined || bundle.roots.some((r) => r.fingerprint256 === certificate.fingerprint256)) return strict
  // As sidecars look at it, the path as a leaf's would be, one step further up.
  return chainProblem([certificate, ...path], bundle, nowMs, 'authority')
}

/** The same certificate signs: serial numbers are chosen by hand, and chosen twice. */
export function isSameCertificate(a: Authority, b: Authority): boolean {
  return Buffer.from(a.certificate.rawData).equals(Buffer.from(b.certificate.rawData))
}

/** What certificates signed by this one carry, so that a verifier finds the right one among roots of one name. */
export async function authorityKeyId(certificate: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const own = certificate.getExtension('2.5.29.14') as SubjectKeyIdentifierExtension | null
  return own === null ? AuthorityKeyIdentifierExtension.create(certificate.publicKey) : new AuthorityKeyIdentifierExtension(own.keyId)
}

export function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  // Positive, and no byte longer than it must be.
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40
  return Buffer.from(bytes).toString('hex')
}
