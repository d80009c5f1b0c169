// The head of an HTTP/1.1 message as offsets into the bytes that came. Law: strict: what two parsers could read in two ways is an error,
// never a guess (RFC 9112 sections 2.2, 5 and 6.3): bare LF, obs-fold, space before the colon, several lengths, length with chunking.
import { H, headerId, tokenChar } from './names.ts'

/** Why a head was refused. */
export type HeadError = 'bad-start-line' | 'bad-version' | 'bad-header' | 'bad-framing' | 'bad-host' | 'too-large' | 'too-many-headers' | 'http10'

const maxHeaderLines = 200

export class Head {
  buf: Buffer = Buffer.alloc(0)
  start = 0
  /** Behind the empty line. */
  end = 0
  method = ''
  /** Path with query; for CONNECT the authority. */
  targetStart = 0
  targetEnd = 0
  /** Authority of an absolute-form target; -1 = none. */
  authorityStart = -1
  authorityEnd = -1
  /** An absolute-form target without a path: `/` stands before what there is of it (RFC 9112 section 3.2.2). */
  pathless = false
  minor: 0 | 1 = 1
  status = 0
  reasonStart = 0
  reasonEnd = 0
  count = 0
  /** name start, name end, value start, value end of each header. */
  readonly at: Int32Array
  readonly ids: Uint8Array
  /** -1 = none. */
  contentLength = -1
  chunked = false
  close = false
  keepAlive = false
  upgrade = false
  expectContinue = false
  host = -1
  error: HeadError | undefined
  /** `connection: a, b` names headers that end here. */
  #nominates = false

  /** `lines`: how many headers it can hold. */
  constructor(lines = maxHeaderLines) {
    this.at = new Int32Array(4 * lines)
    this.ids = new Uint8Array(lines)
  }

  valueAt(i: number): string {
    return this.buf.toString('latin1', this.at[4 * i + 2], this.at[4 * i + 3])
  }

  nameAt(i: number): string {
    return this.buf.toString('latin1', this.at[4 * i], this.at[4 * i + 1])
  }

  /** RFC 9110 sections 6.4.1 and 8.6: 1xx and 204 have no body, so nothing may announce one; `Content-Length: 0` is borne, as in Envoy. */
  get announcesNone(): boolean {
    return !this.chunked && (this.contentLength < 0 || this.valueAt(this.byId(H.contentLength)) === '0')
  }

  /** Where line i ends, its CRLF included. */
  lineEnd(i: number): number {
    return i + 1 < this.count ? (this.at[4 * i + 4] as number) : this.end - 2
  }

  target(): string {
    const written = this.buf.toString('latin1', this.targetStart, this.targetEnd)
    return this.pathless ? `/${written}` : written
  }

  authority(): string {
    if (this.authorityStart >= 0) return this.buf.toString('latin1', this.authorityStart, this.authorityEnd)
    return this.host < 0 ? '' : this.valueAt(this.host)
  }

  byId(id: number): number {
    for (let i = 0; i < this.count; i++) if (this.ids[i] === id) return i
    return -1
  }

  /** All values of a header, joined by `,` (as Envoy's matchers see them). `name` is lower case. */
  get(name: string): string | undefined {
    let found: string | undefined
    const { at, buf } = this
    for (let i = 0; i < this.count; i++) {
      if ((at[4 * i + 1] as number) - (at[4 * i] as number) !== name.length) continue
      if (this.nameAt(i).toLowerCase() !== name) continue
      const value = buf.toString('latin1', at[4 * i + 2], at[4 * i + 3])
      found = found === undefined ? value : `${found},${value}`
    }
    return found
  }

  /** The value of each line of a header. `name` is lower case. */
  lines(name: string): string[] {
    const found: string[] = []
    const { at } = this
    for (let i = 0; i < this.count; i++) {
      if ((at[4 * i + 1] as number) - (at[4 * i] as number) !== name.length) continue
      if (this.nameAt(i).toLowerCase() === name) found.push(this.valueAt(i))
    }
    return found
  }

  /** Names that `Connection` nominates, lower case; they are hop by hop. */
  nominated(): string[] {
    if (!this.#nominates) return []
    const out: string[] = []
    for (let i = 0; i < this.count; i++) {
      if (this.ids[i] !== H.connection) continue
      for (const t of this.valueAt(i).split(',')) out.push(t.trim().toLowerCase())
    }
    return out.filter((t) => t !== '' && t !== 'close' && t !== 'keep-alive' && t !== 'upgrade')
  }

  /**
   * Reads a head that begins at `from`. Returns where the body begins, 0 when more bytes are needed, -1 with `error` set.
   * `maxBytes` and `maxHeaders` bound what a peer may send. `seen`: how many bytes from `from` on a call before has read in vain (it
   * returned 0); they are not looked at again until the head is whole.
   */
  read(buf: Buffer, from: number, response: boolean, maxBytes: number, maxHeaders: number, seen = 0): number {
    const fresh = from + seen
    while (!response && from + 1 < buf.length && buf[from] === 0x0d && buf[from + 1] === 0x0a && from < 8) from += 2
    // Half of such an empty line.
    if (!response && from + 1 === buf.length && buf[from] === 0x0d && from < 8) return 0
    const blank = buf.indexOf('\r\n\r\n', Math.max(from, fresh - 3), 'latin1')
    if (blank < 0) {
      if (buf.length - from > maxBytes) return this.#fail('too-large')
      for (let i = buf.indexOf(0x0a, Math.max(from, fresh)); i >= 0; i = buf.indexOf(0x0a, i + 1)) if (i === 0 || buf[i - 1] !== 0x0d) return this.#fail('bad-header')
      // A TLS record or other noise on an HTTP port need not wait for an empty line.
      if (buf.length > from && !response && tokenChar[buf[from] as number] === 0) return this.#fail('bad-start-line')
      return 0
    }
    this.buf = buf
    this.start = from
    this.end = blank + 4
    if (this.end - from > maxBytes) return this.#fail('too-large')
    this.count = 0
    this.contentLength = -1
    this.chunked = this.close = this.keepAlive = this.upgrade = this.expectContinue = this.#nominates = false
    this.host = -1
    this.authorityStart = -1
    this.pathless = false
    this.error = undefined
    const lines = response ? this.#statusLine(from) : this.#requestLine(from)
    if (lines < 0 || !this.#headers(lines, blank + 2, Math.min(maxHeaders, this.ids.length)) || !this.#semantics(response)) return -1
    return this.end
  }

  #fail(error: HeadError): -1 {
    this.error = error
    return -1
  }

  #requestLine(from: number): number {
    const { buf } = this
    let i = from
    while (tokenChar[buf[i] as number] === 1) i++
    if (i === from || i - from > 32 || buf[i] !== 0x20) return this.#fail('bad-start-line')
    this.method = i - from === 3 && buf[from] === 0x47 && buf[from + 1] === 0x45 && buf[from + 2] === 0x54 ? 'GET' : buf.toString('latin1', from, i)
    // `delete` is no DELETE to a policy, and may be one to the application. Envoy refuses it too.
    for (let k = from; k < i; k++) if ((buf[k] as number) >= 0x61 && (buf[k] as number) <= 0x7a) return this.#fail('bad-start-line')
    const target = ++i
    for (let c = buf[i] as number; c > 0x20 && c < 0x7f && c !== 0x23; c = buf[i] as number) i++
    if (i === target || buf[i] !== 0x20) return this.#fail('bad-start-line')
    this.targetStart = target
    this.targetEnd = i
    i = this.#version(i + 1)
    if (i < 0) return -1
    if (buf[i] !== 0x0d || buf[i + 1] !== 0x0a) return this.#fail('bad-start-line')
    if (!this.#splitTarget()) return this.#fail('bad-start-line')
    return i + 2
  }

  #version(i: number): number {
    const { buf } = this
    // "HTTP/1."
    if (buf[i] !== 0x48 || buf[i + 1] !== 0x54 || buf[i + 2] !== 0x54 || buf[i + 3] !== 0x50 || buf[i + 4] !== 0x2f) return this.#fail('bad-start-line')
    if (buf[i + 5] !== 0x31 || buf[i + 6] !== 0x2e) return this.#fail('bad-version')
    const minor = buf[i + 7]
    if (minor !== 0x30 && minor !== 0x31) return this.#fail('bad-version')
    this.minor = minor === 0x31 ? 1 : 0
    return i + 8
  }

  /** Origin form, `*`, absolute form, or authority form for CONNECT. */
  #splitTarget(): boolean {
    const { buf, targetStart: s, targetEnd: e } = this
    if (this.method === 'CONNECT') {
      this.authorityStart = s
      this.authorityEnd = e
      return true
    }
    if (buf[s] === 0x2f) return true
    if (buf[s] === 0x2a) return e - s === 1 && this.method === 'OPTIONS'
    const text = buf.toString('latin1', s, Math.min(e, s + 8)).toLowerCase()
    const scheme = text.startsWith('http://') ? 7 : text.startsWith('https://') ? 8 : 0
    if (scheme === 0) return false
    let i = s + scheme
    while (i < e && buf[i] !== 0x2f && buf[i] !== 0x3f) i++
    if (i === s + scheme) return false
    this.authorityStart = s + scheme
    this.authorityEnd = i
    this.targetStart = i
    this.pathless = i === e || buf[i] !== 0x2f
    return true
  }

  #statusLine(from: number): number {
    let i = this.#version(from)
    if (i < 0) return -1
    const { buf } = this
    const digit = (at: number) => ((buf[at] as number) >= 0x30 && (buf[at] as number) <= 0x39 ? (buf[at] as number) - 0x30 : -1000)
    this.status = buf[i] === 0x20 ? digit(i + 1) * 100 + digit(i + 2) * 10 + digit(i + 3) : -1
    if (this.status < 100 || this.status > 999) return this.#fail('bad-start-line')
    i += 4
    if (buf[i] === 0x20) i++
    else if (buf[i] !== 0x0d) return this.#fail('bad-start-line')
    this.reasonStart = i
    for (let c = buf[i] as number; c !== 0x0d; c = buf[++i] as number) if (c < 0x20 && c !== 0x09) return this.#fail('bad-start-line')
    this.reasonEnd = i
    return buf[i + 1] === 0x0a ? i + 2 : this.#fail('bad-start-line')
  }

  #headers(from: number, end: number, max: number): boolean {
    const { buf, at, ids } = this
    let n = 0
    let i = from
    while (i < end) {
      if (n >= max) return this.#fail('too-many-headers') > 0
      const name = i
      while (tokenChar[buf[i] as number] === 1) i++
      if (i === name || buf[i] !== 0x3a) return this.#fail('bad-header') > 0
      const nameEnd = i++
      while (buf[i] === 0x20 || buf[i] === 0x09) i++
      const value = i
      for (;;) {
        const c = buf[i] as number
        if (c >= 0x20 && c !== 0x7f) i++
        else if (c === 0x0d) break
        else if (c === 0x09) i++
        else return this.#fail('bad-header') > 0
      }
      if (buf[i + 1] !== 0x0a) return this.#fail('bad-header') > 0
      let valueEnd = i
      while (valueEnd > value && (buf[valueEnd - 1] === 0x20 || buf[valueEnd - 1] === 0x09)) valueEnd--
      at[4 * n] = name
      at[4 * n + 1] = nameEnd
      at[4 * n + 2] = value
      at[4 * n + 3] = valueEnd
      ids[n] = headerId(buf, name, nameEnd)
      n++
      i += 2
    }
    this.count = n
    return true
  }

  #semantics(response: boolean): boolean {
    let codings = 0
    for (let i = 0; i < this.count; i++) {
      switch (this.ids[i]) {
        case H.host:
          if (this.host >= 0 && !response) return this.#fail('bad-host') > 0
          this.host = i
          break
        case H.contentLength:
          if (this.contentLength >= 0 || !this.#length(i)) return this.#fail('bad-framing') > 0
          break
        case H.transferEncoding:
          codings++
          if (this.valueAt(i).toLowerCase() !== 'chunked') return this.#fail('bad-framing') > 0
          this.chunked = true
          break
        case H.connection:
          this.#connection(i)
          break
        case H.expect:
          this.expectContinue = this.valueAt(i).toLowerCase() === '100-continue'
          break
      }
    }
    if (codings > 1 || (this.chunked && (this.contentLength >= 0 || this.minor === 0))) return this.#fail('bad-framing') > 0
    if (response) return true
    if (this.minor === 1 && this.host < 0) return this.#fail('bad-host') > 0
    return this.host < 0 || this.#hostIsClean(this.host) || this.#fail('bad-host') > 0
  }

  #length(i: number): boolean {
    const from = this.at[4 * i + 2] as number
    const to = this.at[4 * i + 3] as number
    if (to === from || to - from > 15) return false
    let n = 0
    for (let k = from; k < to; k++) {
      const d = (this.buf[k] as number) - 0x30
      if (d < 0 || d > 9) return false
      n = n * 10 + d
    }
    this.contentLength = n
    return true
  }

  #connection(i: number): void {
    for (const raw of this.valueAt(i).split(',')) {
      const t = raw.trim().toLowerCase()
      if (t === 'close') this.close = true
      else if (t === 'keep-alive') this.keepAlive = true
      else if (t === 'upgrade') this.upgrade = true
      else if (t !== '') this.#nominates = true
    }
  }

  #hostIsClean(i: number): boolean {
    for (let k = this.at[4 * i + 2] as number; k < (this.at[4 * i + 3] as number); k++) {
      const c = this.buf[k] as number
      if (c <= 0x20 || c >= 0x7f || c === 0x2f || c === 0x40 || c === 0x3f || c === 0x23 || c === 0x2c) return false
    }
    return true
  }
}
