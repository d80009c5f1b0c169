// A key and the request for its certificate (PKCS #10, RFC 2986), in DER by hand: an X.509 library would cost each sidecar 5 MB. The key stays in memory.
import { generateKeyPair, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { Secret } from '#lib/secret.ts'

export interface KeyAndRequest {
  /** PKCS 8, PEM. */
  readonly key: Secret<string>
  /** PEM. */
  readonly csr: string
}

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts)
  const n = content.length
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))
const extensionRequest = oid('2a864886f70d01090e')
const subjectAltName = oid('551d11')

/** A new P-256 key each time. The identity in the request is a courtesy: the CA decides by the token. */
export async function makeKeyAndRequest(identity: string): Promise<KeyAndRequest> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const names = sequence(der(0x86, Buffer.from(identity, 'ascii')))
  const extensions = sequence(sequence(subjectAltName, der(0x04, names)))
  const info = sequence(der(0x02, Buffer.from([0])), sequence(), publicKey.export({ type: 'spki', format: 'der' }), der(0xa0, sequence(extensionRequest, der(0x31, extensions))))
  const csr = sequence(info, ecdsaWithSha256, der(0x03, Buffer.from([0]), sign('sha256', info, { key: privateKey, dsaEncoding: 'der' })))
  const lines = csr.toString('base64').match(/.{1,64}/g) ?? []
  return { key: new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string), csr: `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n` }
}
