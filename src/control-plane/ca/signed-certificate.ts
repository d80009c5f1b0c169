// A certificate, put together and signed. Law: a name that stands in another certificate is copied byte for byte: Go
// and others compare bytes, and one text has several encodings.
// https://www.rfc-editor.org/rfc/rfc5280#section-4.1
import type { Extension } from '@peculiar/x509'
import { KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { KithError } from '#lib/errors.ts'
import { tags, writeElement, writeOid } from '#identity'

export interface CertificateContent {
  /** Hexadecimal, positive. */
  readonly serialNumber: string
  /** DER of the signer's subject, as it stands in its certificate. */
  readonly issuer: Uint8Array
  /** DER. Default: no name. */
  readonly subject?: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly extensions: readonly Extension[]
}

export interface SigningAlgorithm {
  /** For node:crypto; undefined: the key's kind says it. */
  readonly hash: string | undefined
  /** AlgorithmIdentifier, DER. */
  readonly identifier: Uint8Array
}

const nothing = writeElement(0x05)
const identifier = (oid: string, ...parameters: readonly Uint8Array[]): Buffer =>
  writeElement(tags.sequence, writeOid(oid), ...parameters)
const rsa: SigningAlgorithm = { hash: 'sha256', identifier: identifier('1.2.840.113549.1.1.11', nothing) }
const p256: SigningAlgorithm = { hash: 'sha256', identifier: identifier('1.2.840.10045.4.3.2') }
const p384: SigningAlgorithm = { hash: 'sha384', identifier: identifier('1.2.840.10045.4.3.3') }
const ed25519: SigningAlgorithm = { hash: undefined, identifier: identifier('1.3.101.112') }
const signLater = promisify(sign) as (hash: string | undefined, data: Uint8Array, key: KeyObject) => Promise<Buffer>

/** undefined: a key of this kind can't sign here. */
export function signingAlgorithm(key: KeyObject): SigningAlgorithm | undefined {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'rsa') return rsa
  if (key.asymmetricKeyType === 'ed25519') return ed25519
  return key.asymmetricKeyType === 'ec'
    ? ({ prime256v1: p256, secp384r1: p384 } as Readonly<Record<string, SigningAlgorithm>>)[curve ?? '']
    : undefined
}

/** Why a key can't sign. */
export function unfitKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  const kind = `${asymmetricKeyType} ${asymmetricKeyDetails?.namedCurve ?? ''}`
  return `keys of the kind ${kind} can't sign here: RSA, P-256, P-384 and Ed25519 can`
}

/** DER. Throws CA_UNREADABLE for a key that can't sign. */
export async function signCertificate(content: CertificateContent, key: KeyObject): Promise<Buffer> {
  const algorithm = signingAlgorithm(key)
  if (algorithm === undefined) throw new KithError('CA_UNREADABLE', unfitKey(key))
  const version3 = writeElement(0xa0, writeElement(tags.integer, Buffer.from([2])))
  const validity = writeElement(tags.sequence, time(content.notBeforeMs), time(content.notAfterMs))
  const extensions = writeElement(
    0xa3,
    writeElement(tags.sequence, ...content.extensions.map((e) => new Uint8Array(e.rawData))),
  )
  const signed = writeElement(
    tags.sequence,
    version3,
    writeElement(tags.integer, Buffer.from(content.serialNumber, 'hex')),
    algorithm.identifier,
    content.issuer,
    validity,
    content.subject ?? writeElement(tags.sequence),
    content.publicKey,
    extensions,
  )
  const signature = await signLater(algorithm.hash, signed, key)
  return writeElement(
    tags.sequence,
    signed,
    algorithm.identifier,
    writeElement(tags.bitString, Buffer.from([0]), signature),
  )
}

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). */
function time(ms: number): Buffer {
  const text = new Date(Math.floor(ms / 1000) * 1000).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return Number(text.slice(0, 4)) < 2050
    ? writeElement(tags.utcTime, Buffer.from(text.slice(2)))
    : writeElement(tags.generalizedTime, Buffer.from(text))
}
