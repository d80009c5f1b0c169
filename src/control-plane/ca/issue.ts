// One certificate for one proven identity. What the CSR asks for beyond its key counts nothing.
import { ExtendedKeyUsageExtension, Name, KeyUsageFlags, KeyUsagesExtension, Pkcs10CertificateRequest, SubjectAlternativeNameExtension, BasicConstraintsExtension, type JsonGeneralNames } from '@peculiar/x509'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { KithError } from '#lib/errors.ts'
import { parseCertificates, rawSubject, strictChainProblem, tags, writeElement } from '#identity'
import { issueSkewMs } from '#xds'
import { authorityKeyId, randomSerial, type Authority } from './authority.ts'
import { signCertificate } from './signed-certificate.ts'

export interface IssueRequest {
  /** PEM; its signature proves the key. */
  readonly csr: string
  /** The SPIFFE id of the caller, or DNS names of the control plane itself. */
  readonly names: JsonGeneralNames
  readonly lifetimeMs: number
  readonly nowMs: number
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'
/** Certificates have no subject. Under an authority that has none either OpenSSL would take them for self-signed. */
const noName = writeElement(tags.sequence)
const someName = new Uint8Array(new Name('O=mesh').toArrayBuffer())
/** A request is a key and a signature; more is no request. */
const longestCsr = 16 * 1024

/** PEM: leaf, intermediates, roots last. Throws CSR_INVALID; CA_UNFIT where a verifier would not take what this authority signs. */
export async function issueCertificate(authority: Authority, request: IssueRequest): Promise<string[]> {
  const csr = await readCsr(request.csr)
  const { certificate } = authority
  const issuer = rawSubject(new Uint8Array(certificate.rawData))
  const leaf = await signCertificate({
    serialNumber: randomSerial(), issuer, ...(issuer.equals(noName) ? { subject: someName } : {}), notBeforeMs: request.nowMs - Math.min(issueSkewMs, request.lifetimeMs), notAfterMs: Math.min(request.nowMs + request.lifetimeMs, certificate.notAfter.getTime()),
    publicKey: new Uint8Array(csr.publicKey.rawData),
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([serverAuth, clientAuth]),
      new BasicConstraintsExtension(false, undefined, true),
      await authorityKeyId(certificate),
      // As a rule the subject is empty, so the names are critical (RFC 5280 4.2.1.6).
      new SubjectAlternativeNameExtension(request.names, true),
    ],
  }, authority.key)
  const issued = new X509Certificate(leaf)
  const problem = strictChainProblem(issued, { ...pathOf(authority), nowMs: request.nowMs })
  if (problem !== undefined) throw new KithError('CA_UNFIT', `what the certificate authority signs would not be taken: ${problem}`)
  return [issued.toString(), ...authority.intermediates, authority.roots]
}

const paths = new WeakMap<Authority, { readonly intermediates: readonly X509Certificate[]; readonly roots: readonly X509Certificate[] }>()

function pathOf(authority: Authority): { readonly intermediates: readonly X509Certificate[]; readonly roots: readonly X509Certificate[] } {
  const held = paths.get(authority) ?? { intermediates: authority.intermediates.flatMap(parseCertificates), roots: parseCertificates(authority.roots) }
  paths.set(authority, held)
  return held
}

async function readCsr(pem: string): Promise<Pkcs10CertificateRequest> {
  if (pem.length > longestCsr) throw new KithError('CSR_INVALID', `the certificate request is longer than ${longestCsr} characters`)
  let csr: Pkcs10CertificateRequest
  let proven: boolean
  let problem: string | undefined
  try {
    csr = new Pkcs10CertificateRequest(pem)
    problem = keyProblem(Buffer.from(csr.publicKey.rawData))
    proven = problem === undefined && (await csr.verify())
  } catch (cause) {
    throw new KithError('CSR_INVALID', 'the certificate request can’t be read', { cause })
  }
  if (problem !== undefined) throw new KithError('CSR_INVALID', problem)
  if (!proven) throw new KithError('CSR_INVALID', 'the certificate request is not signed with its own key')
  return csr
}

/** Keys that Istio's agents make: RSA from 2048 bits, P-256, P-384. */
function keyProblem(spki: Buffer): string | undefined {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'rsa') return modulusLength >= 2048 && modulusLength <= 8192 ? undefined : `an RSA key of ${modulusLength} bits is not signed: 2048 to 8192 are`
  return key.asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1'].includes(namedCurve) ? undefined : `a key of the kind ${key.asymmetricKeyType} ${namedCurve} is not signed: RSA, P-256 and P-384 are`
}
