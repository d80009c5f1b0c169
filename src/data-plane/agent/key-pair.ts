// A key and the request for its certificate. The key stays in memory.
import 'reflect-metadata'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { KeyObject } from 'node:crypto'
import { Secret } from '#lib/secret.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export interface KeyAndRequest {
  /** PKCS 8, PEM. */
  readonly key: Secret<string>
  /** PEM. */
  readonly csr: string
}

/** The identity in the request is a courtesy: the CA decides by the token. */
export async function makeKeyAndRequest(identity: string): Promise<KeyAndRequest> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm, extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: identity }])] })
  return { key: new Secret(KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string), csr: csr.toString('pem') }
}
