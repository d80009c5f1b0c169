// The mesh's certificate authority: a root of its own, or one that was plugged in. Keys stay in this process's memory.
import 'reflect-metadata'
import { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, PemConverter, X509Certificate, X509CertificateGenerator } from '@peculiar/x509'
import { createPrivateKey, type webcrypto } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KithError } from '#lib/errors.ts'

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

/** A self-signed P-256 root, ten years long, as Istio makes one. */
export async function selfSignedAuthority(trustDomain: string, nowMs: number): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(ecdsaP256, false, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(), name: `O=${trustDomain}`, notBefore: new Date(nowMs - 120_000), notAfter: new Date(nowMs + 3650 * 86_400_000), signingAlgorithm: ecdsaP256, keys,
    extensions: [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true)],
  })
  return { certificate, key: keys.privateKey, algorithm: ecdsaP256, intermediates: [], roots: certificate.toString('pem') + '\n' }
}

/** Istio's `cacerts`: ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem; or kubernetes.io/tls names. Throws CA_UNREADABLE. */
export async function pluggedInAuthority(folder: string): Promise<Authority> {
  const read = (...names: string[]): string => {
    const found = names.map((n) => join(folder, n)).find((p) => existsSync(p))
    if (found === undefined) throw new KithError('CA_UNREADABLE', `${folder} holds none of ${names.join(', ')}`)
    return readFileSync(found, 'utf8')
  }
  try {
    const certificate = new X509Certificate(read('ca-cert.pem', 'tls.crt'))
    const keyObject = createPrivateKey(read('ca-key.pem', 'tls.key'))
    const rsa = keyObject.asymmetricKeyType === 'rsa'
    const curve = keyObject.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256'
    const algorithm = rsa ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } : { name: 'ECDSA', namedCurve: curve, hash: curve === 'P-384' ? 'SHA-384' : 'SHA-256' }
    const key = await crypto.subtle.importKey('pkcs8', keyObject.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign'])
    const roots = read('root-cert.pem', 'ca.crt')
    const rootDer = new Set(PemConverter.decode(roots).map((d) => Buffer.from(d).toString('base64')))
    const chainText = existsSync(join(folder, 'cert-chain.pem')) ? read('cert-chain.pem') : read('ca-cert.pem', 'tls.crt')
    const intermediates = PemConverter.decode(chainText).filter((d) => !rootDer.has(Buffer.from(d).toString('base64'))).map((d) => PemConverter.encode(d, 'CERTIFICATE') + '\n')
    return { certificate, key, algorithm, intermediates, roots }
  } catch (cause) {
    throw cause instanceof KithError ? cause : new KithError('CA_UNREADABLE', `the certificate authority in ${folder} can't be read: ${(cause as Error).message}`, { cause })
  }
}

export function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[0] = (bytes[0] as number) & 0x7f
  return Buffer.from(bytes).toString('hex')
}
