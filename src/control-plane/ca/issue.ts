// One certificate for one proven identity. What the CSR asks for beyond its key counts nothing.
import { ExtendedKeyUsageExtension, KeyUsageFlags, KeyUsagesExtension, Pkcs10CertificateRequest, SubjectAlternativeNameExtension, BasicConstraintsExtension, X509CertificateGenerator, type JsonGeneralNames } from '@peculiar/x509'
import type { webcrypto } from 'node:crypto'
import { KithError } from '#lib/errors.ts'
import { randomSerial, type Authority } from './authority.ts'

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
/** Clocks of other machines may be this far behind. */
const skewMs = 120_000

/** PEM: leaf, intermediates, roots last. Throws CSR_INVALID. */
export async function issueCertificate(authority: Authority, request: IssueRequest): Promise<string[]> {
  const csr = await readCsr(request.csr)
  const end = Math.min(request.nowMs + request.lifetimeMs, authority.certificate.notAfter.getTime())
  const leaf = await X509CertificateGenerator.create({
    serialNumber: randomSerial(), issuer: authority.certificate.subject, notBefore: new Date(request.nowMs - Math.min(skewMs, request.lifetimeMs)), notAfter: new Date(end),
    publicKey: csr.publicKey, signingKey: authority.key, signingAlgorithm: authority.algorithm as webcrypto.EcdsaParams,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([serverAuth, clientAuth]),
      new BasicConstraintsExtension(false, undefined, true),
      // The subject is empty, so the names are critical (RFC 5280 4.2.1.6).
      new SubjectAlternativeNameExtension(request.names, true),
    ],
  })
  return [leaf.toString('pem') + '\n', ...authority.intermediates, authority.roots]
}

async function readCsr(pem: string): Promise<Pkcs10CertificateRequest> {
  let csr: Pkcs10CertificateRequest
  try {
    csr = new Pkcs10CertificateRequest(pem)
  } catch (cause) {
    throw new KithError('CSR_INVALID', 'the certificate request can’t be read', { cause })
  }
  if (!(await csr.verify())) throw new KithError('CSR_INVALID', 'the certificate request is not signed with its own key')
  return csr
}
