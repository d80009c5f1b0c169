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

export function readClientHello(data: Uint8Array): HelloAnswer {
  if (data.length === 0) return 'more'
  if (data[0] !== 0x16) return 'no'
  if (data.length >= 2 && data[1] !== 3) return 'no'
  if (data.length >= 6 && data[5] !== 1) return 'no'
  const hello = handshakeBytes(data)
  if (typeof hello === 'string') return hello
  return parse(hello)
}

/** The handshake message, its records joined. */
function handshakeBytes(data: Uint8Array): Uint8Array | 'more' | 'no' {
  const parts: Uint8Array[] = []
  let have = 0
  let need = Infinity
  let i = 0
  while (have < need) {
    if (data.length - i < 5) return 'more'
    if (data[i] !== 0x16 || data[i + 1] !== 3) return 'no'
    const length = ((data[i + 3] as number) << 8) | (data[i + 4] as number)
    if (length === 0 || length > 16384 + 256) return 'no'
    const part = data.subarray(i + 5, Math.min(data.length, i + 5 + length))
    parts.push(part)
    have += part.length
    if (need === Infinity) {
      const first = parts.length === 1 ? part : Buffer.concat(parts)
      if (first.length >= 4) {
        if (first[0] !== 1) return 'no'
        need = 4 + (((first[1] as number) << 16) | ((first[2] as number) << 8) | (first[3] as number))
        if (need > maxHelloBytes) return 'no'
      }
    }
    if (have >= need) break
    if (part.length < length) return 'more'
    i += 5 + length
  }
  const whole = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
  return whole.subarray(4, need)
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
