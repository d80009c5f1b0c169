// DER as far as certificates need it: elements read in place, and written. Law: what is read keeps its bytes; nothing
// is decoded and encoded again.
// https://www.itu.int/rec/T-REC-X.690

export interface Element {
  /** The identifier octet: class, constructed, number. */
  readonly tag: number
  /** With its header. */
  readonly raw: Buffer
  readonly content: Buffer
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const

/** The element at the beginning of `bytes`. Throws where there is none that is whole. */
export function readElement(bytes: Buffer): Element {
  const tag = bytes[0]
  let length = bytes[1]
  if (tag === undefined || length === undefined || (tag & 0x1f) === 0x1f) throw new Error('no DER element')
  let header = 2
  if (length >= 0x80) {
    const octets = length & 0x7f
    if (octets === 0 || octets > 4 || bytes.length < 2 + octets) throw new Error('no DER length')
    length = bytes.readUIntBE(2, octets)
    header += octets
  }
  if (bytes.length < header + length) throw new Error('a DER element is cut off')
  return { tag, raw: bytes.subarray(0, header + length), content: bytes.subarray(header, header + length) }
}

/** The elements that follow each other in `content`. */
export function readElements(content: Buffer): Element[] {
  const all: Element[] = []
  for (let at = 0; at < content.length;) {
    const element = readElement(content.subarray(at))
    all.push(element)
    at += element.raw.length
  }
  return all
}

export function writeElement(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  const octets = length.subarray(length.findIndex((b) => b !== 0))
  return Buffer.concat([Buffer.from([tag, 0x80 | octets.length]), octets, body])
}

/** `1.2.840.113549` */
export function oidText(content: Buffer): string {
  const parts: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) {
      parts.push(value)
      value = 0
    }
  }
  const [first = 0, ...rest] = parts
  const top = Math.min(Math.floor(first / 40), 2)
  return [top, first - top * 40, ...rest].join('.')
}

export function writeOid(text: string): Buffer {
  const [top = 0, second = 0, ...rest] = text.split('.').map(Number)
  const octets = [top * 40 + second, ...rest].flatMap((part) => {
    const out = [part % 128]
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128)) out.unshift((left % 128) | 0x80)
    return out
  })
  return writeElement(tags.oid, Buffer.from(octets))
}
