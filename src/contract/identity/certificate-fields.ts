// What a chain is judged by, read from a certificate's bytes: names as they stand, and the extensions that limit an
// authority (RFC 5280 4.1, 4.2).
import type { X509Certificate } from 'node:crypto'
import { oidText, readElement, readElements, tags, type Element } from './der.ts'
import { readNameConstraints, type NameConstraints } from './name-constraints.ts'

export interface CertificateFields {
  /** The DER of the names, compared byte for byte. */
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly version: number
  readonly signatureAlgorithm: string
  /** undefined: there is no such extension. */
  readonly basicConstraints?: { readonly ca: boolean; readonly pathLength?: number }
  /** Bits as RFC 5280 counts them: 5 is keyCertSign. undefined: there is no such extension. */
  readonly keyUsage?: ReadonlySet<number>
  readonly extendedKeyUsage?: ReadonlySet<string>
  readonly nameConstraints?: NameConstraints
  /** Critical extensions that a verifier who knows RFC 5280 can't go by. */
  readonly unknownCritical: readonly string[]
  /** Kinds of strings in the names that Go's parser does not read. */
  readonly oddStrings: readonly string[]
}

export const keyCertSign = 5

const ids = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  altNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const
/** Go reads them whether they are critical or not: crypto/x509 parser.go, processExtensions. */
const known = new Set<string>([
  ids.keyUsage,
  ids.altNames,
  ids.basicConstraints,
  ids.extendedKeyUsage,
  '2.5.29.31',
  '2.5.29.32',
  '2.5.29.33',
  '2.5.29.36',
  '2.5.29.54',
])
/** IA5, UTF8, numeric, printable, T61, BMP. */
const readableStrings = new Set([0x0c, 0x12, 0x13, 0x14, 0x16, 0x1e])

const cache = new WeakMap<X509Certificate, CertificateFields>()

/** Throws Error where the bytes are no certificate. */
export function certificateFields(certificate: X509Certificate): CertificateFields {
  const held = cache.get(certificate)
  if (held !== undefined) return held
  const fields = readFields(certificate.raw)
  cache.set(certificate, fields)
  return fields
}

/** The DER of a certificate's subject as it stands. */
export function rawSubject(der: Uint8Array): Buffer {
  return readFields(Buffer.from(der)).subject
}

function readFields(der: Buffer): CertificateFields {
  const [tbs, algorithm] = readElements(readElement(der).content)
  const fields = readElements((tbs as Element).content)
  const hasVersion = fields[0]?.tag === 0xa0
  const [, , issuer, , subject] = hasVersion ? fields.slice(1) : fields
  if (issuer?.tag !== tags.sequence || subject?.tag !== tags.sequence || algorithm?.tag !== tags.sequence)
    throw new Error('the bytes are no certificate')
  const extensions = fields.find((f) => f.tag === 0xa3)
  return {
    issuer: issuer.raw,
    subject: subject.raw,
    version: hasVersion ? 1 + (readElement((fields[0] as Element).content).content.at(-1) ?? 0) : 1,
    signatureAlgorithm: oidText(readElement(algorithm.content).content),
    oddStrings: [...oddStrings(issuer), ...oddStrings(subject)],
    ...readExtensions(extensions === undefined ? [] : readElements(readElement(extensions.content).content)),
  }
}

type Extensions = Pick<
  CertificateFields,
  'basicConstraints' | 'keyUsage' | 'extendedKeyUsage' | 'nameConstraints' | 'unknownCritical'
>

function readExtensions(all: readonly Element[]): Extensions {
  let found: Omit<Extensions, 'unknownCritical'> = {}
  const unknownCritical: string[] = []
  for (const extension of all) {
    const [id, second, third] = readElements(extension.content)
    const oid = oidText((id as Element).content)
    const critical = second?.tag === tags.boolean && second.content[0] !== 0
    const value = (second?.tag === tags.boolean ? third : second)?.content ?? Buffer.alloc(0)
    if (oid === ids.basicConstraints) found = { ...found, basicConstraints: readBasicConstraints(value) }
    else if (oid === ids.keyUsage) found = { ...found, keyUsage: readBits(readElement(value).content) }
    else if (oid === ids.extendedKeyUsage)
      found = {
        ...found,
        extendedKeyUsage: new Set(readElements(readElement(value).content).map((e) => oidText(e.content))),
      }
    else if (oid === ids.nameConstraints) {
      const nameConstraints = readNameConstraints(value)
      found = { ...found, nameConstraints }
      if (critical && nameConstraints.hasOther) unknownCritical.push(oid)
    } else if (critical && !known.has(oid)) unknownCritical.push(oid)
  }
  return { ...found, unknownCritical }
}

function readBasicConstraints(value: Buffer): { ca: boolean; pathLength?: number } {
  const parts = readElements(readElement(value).content)
  const ca = parts.some((p) => p.tag === tags.boolean && p.content[0] !== 0)
  const length = parts.find((p) => p.tag === tags.integer)
  return {
    ca,
    ...(length === undefined ? {} : { pathLength: length.content.readUIntBE(0, Math.min(length.content.length, 6)) }),
  }
}

/** A BIT STRING's set bits, the first is 0. */
function readBits(content: Buffer): Set<number> {
  const bits = new Set<number>()
  for (let i = 0; i < (content.length - 1) * 8; i++)
    if (((content[1 + (i >> 3)] as number) & (0x80 >> (i & 7))) !== 0) bits.add(i)
  return bits
}

function oddStrings(name: Element): string[] {
  const values = readElements(name.content)
    .flatMap((set) => readElements(set.content))
    .map((pair) => readElements(pair.content)[1])
  return values.flatMap((v) => (v === undefined || readableStrings.has(v.tag) ? [] : [`string of tag ${v.tag}`]))
}
