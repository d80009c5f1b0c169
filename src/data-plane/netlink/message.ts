// Netlink messages as bytes: header, attributes, answers. Pure; the socket is in channel.ts.
// Law: headers are in host order (all supported hosts are little-endian); what an attribute holds is its maker's business.

/** What goes into one message behind its header. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly body: Buffer
  /** For errors: `new rule in kith/output`. */
  readonly what: string
}

export const NLM_F_REQUEST = 1
export const NLM_F_ACK = 4
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const nestedBit = 0x8000
const headerBytes = 16

const align = (n: number): number => (n + 3) & ~3

/** One attribute, padded to four bytes. Its length field counts no padding. */
export function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(align(4 + value.length))
  bytes.writeUInt16LE(4 + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  value.copy(bytes, 4)
  return bytes
}

export function nested(type: number, ...inner: readonly Buffer[]): Buffer {
  return attribute(type | nestedBit, Buffer.concat(inner))
}

/** A text with its closing NUL. */
export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(value + '\0'))
}

export function be32(value: number): Buffer {
  const b = Buffer.alloc(4)
  b.writeInt32BE(value | 0)
  return b
}

export function be16(value: number): Buffer {
  const b = Buffer.alloc(2)
  b.writeUInt16BE(value)
  return b
}

export function le32(value: number): Buffer {
  const b = Buffer.alloc(4)
  b.writeInt32LE(value | 0)
  return b
}

/** Its length on the wire, with the padding behind it. */
export function encodedBytes({ body }: Message): number {
  return align(headerBytes + body.length)
}

/** Messages one behind the other, numbered from `firstSequence`. `acknowledge` says which ask for an ACK; errors come unasked. */
export function encodeMessages(messages: readonly Message[], firstSequence: number, acknowledge: (index: number) => boolean): Buffer {
  return Buffer.concat(
    messages.map((m, i) => {
      const bytes = Buffer.alloc(encodedBytes(m))
      bytes.writeUInt32LE(headerBytes + m.body.length, 0)
      bytes.writeUInt16LE(m.type, 4)
      bytes.writeUInt16LE(m.flags | NLM_F_REQUEST | (acknowledge(i) ? NLM_F_ACK : 0), 6)
      bytes.writeUInt32LE(firstSequence + i, 8)
      m.body.copy(bytes, headerBytes)
      return bytes
    }),
  )
}

export interface Answer {
  readonly sequence: number
  readonly type: number
  /** For ACKs and errors: 0, or the positive error number. */
  readonly errno?: number
  /** The kernel's own words, where it has any. */
  readonly detail?: string
  /** What a message that is no ACK carries. */
  readonly body: Buffer
  readonly done: boolean
}

/** One datagram from the kernel, which may hold several messages. */
export function decodeAnswers(datagram: Buffer): Answer[] {
  const answers: Answer[] = []
  for (let at = 0; at + headerBytes <= datagram.length; ) {
    const length = datagram.readUInt32LE(at)
    if (length < headerBytes || at + length > datagram.length) break
    const type = datagram.readUInt16LE(at + 4)
    const flags = datagram.readUInt16LE(at + 6)
    const sequence = datagram.readUInt32LE(at + 8)
    const body = datagram.subarray(at + headerBytes, at + length)
    answers.push(type === NLMSG_ERROR ? errorAnswer(sequence, flags, body) : { sequence, type, body, done: type === NLMSG_DONE })
    at += align(length)
  }
  return answers
}

function errorAnswer(sequence: number, flags: number, body: Buffer): Answer {
  const errno = Math.abs(body.readInt32LE(0))
  const detail = (flags & NLM_F_ACK_TLVS) === 0 ? undefined : extendedText(body, flags)
  return { sequence, type: NLMSG_ERROR, errno, body: Buffer.alloc(0), done: true, ...(detail === undefined ? {} : { detail }) }
}

/** NLMSGERR_ATTR_MSG, behind the copy of our own message (only its header, where the answer is capped). */
function extendedText(body: Buffer, flags: number): string | undefined {
  const echoed = (flags & NLM_F_CAPPED) === 0 ? align(body.readUInt32LE(4)) : headerBytes
  const found = attributes(body.subarray(4 + echoed)).get(1)
  return found?.toString('utf8').replace(/\0+$/, '')
}

/** The attributes of a message's body by type; of a repeated one, the last. */
export function attributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at)
    if (length < 4 || at + length > bytes.length) break
    found.set(bytes.readUInt16LE(at + 2) & ~nestedBit, bytes.subarray(at + 4, at + length))
    at += align(length)
  }
  return found
}
