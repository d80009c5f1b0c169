// What a TLS client says first: server name and ALPN, read from the raw bytes. Law: total: any bytes give an answer, none throws.
// Sources: RFC 8446 4.1.2, RFC 6066 section 3, RFC 7301.

export interface ClientHello {
  /** '' = none. */
  readonly serverName: string
  readonly alpn: readonly string[]
}

/** `more`: not enough bytes yet. `no`: this is no TLS ClientHello. */
export type HelloAnswer = ClientHello | 'more' | 'no'

const maxHelloBytes = 16 * 1024
const maxRecordBytes = 16384 + 256
const firstMessageBytes = 1024

/** One hello, from its first bytes. */
export function readClientHello(data: Uint8Array): HelloAnswer {
  return new ClientHelloReader().push(data)
}

/** A hello that comes in pieces, in records of any size. Each byte is looked at once. */
export class ClientHelloReader {
  /** Of the record that is being read: how many bytes of its head have come, how many of its content are missing. */
  #headBytes = 0
  #length = 0
  #left = 0
  /** The handshake message: its own head of 4 bytes, then so many more as that says. */
  #message = Buffer.allocUnsafe(firstMessageBytes)
  #have = 0
  #need = 0
  #answer: HelloAnswer = 'more'

  /** The bytes behind those that were pushed before. Once the answer is another than `more`, it stays. */
  push(data: Uint8Array): HelloAnswer {
    for (let i = 0; i < data.length && this.#answer === 'more'; ) {
      if (this.#left === 0) this.#recordHead(data[i++] as number)
      else i = this.#content(data, i)
    }
    return this.#answer
  }

  /** RFC 8446 section 5.1: type 22, version 3.x, length. */
  #recordHead(byte: number): void {
    switch (this.#headBytes++) {
      case 0:
        if (byte !== 0x16) this.#answer = 'no'
        return
      case 1:
        if (byte !== 3) this.#answer = 'no'
        return
      case 2:
        return
      case 3:
        this.#length = byte << 8
        return
      default:
        this.#left = this.#length | byte
        this.#headBytes = 0
        if (this.#left === 0 || this.#left > maxRecordBytes) this.#answer = 'no'
    }
  }

  #content(data: Uint8Array, from: number): number {
    const wanted = (this.#have < 4 ? 4 : this.#need) - this.#have
    const to = Math.min(data.length, from + Math.min(this.#left, wanted))
    this.#message.set(data.subarray(from, to), this.#have)
    this.#have += to - from
    this.#left -= to - from
    // 1: ClientHello.
    if (this.#message[0] !== 1) this.#answer = 'no'
    else if (this.#have === 4) this.#messageHead()
    else if (this.#have === this.#need) this.#answer = parse(this.#message.subarray(4, this.#need))
    return to
  }

  #messageHead(): void {
    this.#need = 4 + this.#message.readUIntBE(1, 3)
    if (this.#need > maxHelloBytes) this.#answer = 'no'
    else if (this.#need === 4) this.#answer = parse(this.#message.subarray(4, 4))
    else if (this.#need > this.#message.length) {
      const larger = Buffer.allocUnsafe(this.#need)
      this.#message.copy(larger, 0, 0, 4)
      this.#message = larger
    }
  }
}

function parse(h: Uint8Array): HelloAnswer {
  const u8 = (at: number): number => h[at] ?? -1
  const u16 = (at: number): number => (at + 1 < h.length ? ((h[at] as number) << 8) | (h[at + 1] as number) : -1)
  let i = 2 + 32
  const session = u8(i)
  if (session < 0 || session > 32) return 'no'
  i += 1 + session
  const suites = u16(i)
  if (suites < 2) return 'no'
  i += 2 + suites
  const compressions = u8(i)
  if (compressions < 1) return 'no'
  i += 1 + compressions
  if (i === h.length) return { serverName: '', alpn: [] }
  const extensions = u16(i)
  i += 2
  if (extensions < 0 || i + extensions > h.length) return 'no'
  const end = i + extensions
  let serverName = ''
  let alpn: readonly string[] = []
  while (i + 4 <= end) {
    const type = u16(i)
    const length = u16(i + 2)
    i += 4
    if (i + length > end) return 'no'
    if (type === 0) serverName = readServerName(h.subarray(i, i + length))
    else if (type === 16) alpn = readAlpn(h.subarray(i, i + length))
    i += length
  }
  return { serverName, alpn }
}

function readServerName(b: Uint8Array): string {
  for (let i = 2; i + 3 <= b.length; ) {
    const length = ((b[i + 1] as number) << 8) | (b[i + 2] as number)
    if (i + 3 + length > b.length) return ''
    if (b[i] === 0) {
      const name = Buffer.from(b.buffer, b.byteOffset + i + 3, length).toString('latin1').toLowerCase()
      return /^[\x21-\x7e]+$/.test(name) ? name : ''
    }
    i += 3 + length
  }
  return ''
}

function readAlpn(b: Uint8Array): string[] {
  const out: string[] = []
  for (let i = 2; i < b.length; ) {
    const length = b[i] as number
    if (length === 0 || i + 1 + length > b.length) return out
    out.push(Buffer.from(b.buffer, b.byteOffset + i + 1, length).toString('latin1'))
    i += 1 + length
  }
  return out
}
