// Where a message's body ends: by length, by chunks, by the end of the connection, by its HTTP/2 stream, or there is none.
// Law: bytes pass through as they came, once their framing has been checked; a framing that could be read in two ways is an error.
import { tokenChar } from './names.ts'

type Mode = 'none' | 'length' | 'chunked' | 'close' | 'stream'

const S = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, lineStart: 6, trailerName: 7, trailerValue: 8, trailerLf: 9, lastLf: 10 } as const

const maxTrailerBytes = 16 * 1024
const maxExtensionBytes = 256
/** Fields that would change how the message was read, had they stood in its head; a forged identity too. */
const forbiddenTrailers = /^(?:content-length|transfer-encoding|host|connection|te|trailer|upgrade|expect|authorization|cookie|set-cookie|content-type|content-encoding|content-range|cache-control|x-forwarded-.*|x-envoy-.*|x-request-id)$/

/** Whether a field may stand behind a body. */
export function mayTrail(name: string): boolean {
  return !forbiddenTrailers.test(name.toLowerCase())
}

export class Body {
  mode: Mode = 'none'
  done = true
  broken = false
  /** Payload bytes so far, without chunk framing. */
  bytes = 0
  #left = 0
  #state: number = S.size
  #digits = 0
  #line = 0
  #name = ''
  #value = ''
  /** Where somebody wants a chunked body without its framing: each run of payload, and `trailers` as name and value in turn. */
  onPayload: ((buf: Buffer, from: number, to: number) => void) | undefined
  trailers: string[] | undefined

  none(): void {
    this.mode = 'none'
    this.done = true
    this.broken = false
    this.bytes = 0
  }

  length(n: number): void {
    this.none()
    this.mode = 'length'
    this.#left = n
    this.done = n === 0
  }

  chunked(): void {
    this.none()
    this.mode = 'chunked'
    this.done = false
    this.#state = S.size
    this.#digits = 0
    this.#left = 0
    this.#line = 0
  }

  /** Its frames say where it ends: whoever reads them sets `done`. */
  stream(): void {
    this.none()
    this.mode = 'stream'
    this.done = false
  }

  untilClose(): void {
    this.none()
    this.mode = 'close'
    this.done = false
  }

  /** Payload bytes still missing; Infinity where nobody knows. */
  get left(): number {
    return this.mode === 'length' ? this.#left : this.done ? 0 : Infinity
  }

  /** Takes what belongs to the body from `buf[from,to)`; returns where it stopped. Sets `done` or `broken`. */
  take(buf: Buffer, from: number, to: number): number {
    switch (this.mode) {
      case 'none':
        return from
      case 'close':
      case 'stream':
        this.bytes += to - from
        return to
      case 'length': {
        const n = Math.min(this.#left, to - from)
        this.#left -= n
        this.bytes += n
        if (this.#left === 0) this.done = true
        return from + n
      }
      case 'chunked':
        return this.#chunks(buf, from, to)
    }
  }

  #chunks(buf: Buffer, from: number, to: number): number {
    let i = from
    while (i < to && !this.done) {
      if (this.#state === S.data) {
        const n = Math.min(this.#left, to - i)
        this.#left -= n
        this.bytes += n
        if (this.onPayload !== undefined) this.onPayload(buf, i, i + n)
        i += n
        if (this.#left === 0) this.#state = S.dataCr
        continue
      }
      if (!this.#step(buf[i] as number)) {
        this.broken = true
        return i
      }
      i++
    }
    return i
  }

  #step(c: number): boolean {
    switch (this.#state) {
      case S.size: {
        const d = c >= 0x30 && c <= 0x39 ? c - 0x30 : (c | 0x20) >= 0x61 && (c | 0x20) <= 0x66 ? (c | 0x20) - 0x57 : -1
        if (d >= 0) {
          if (++this.#digits > 12) return false
          this.#left = this.#left * 16 + d
          return true
        }
        if (this.#digits === 0) return false
        if (c === 0x0d) this.#state = S.sizeLf
        else if (c === 0x3b) {
          this.#state = S.extension
          this.#line = 0
        } else return false
        return true
      }
      case S.extension:
        if (c === 0x0d) this.#state = S.sizeLf
        else if ((tokenChar[c] === 0 && c !== 0x3d && c !== 0x3b) || ++this.#line > maxExtensionBytes) return false
        return true
      case S.sizeLf:
        if (c !== 0x0a) return false
        this.#digits = 0
        this.#state = this.#left > 0 ? S.data : S.lineStart
        this.#line = 0
        return true
      case S.dataCr:
        this.#state = S.dataLf
        return c === 0x0d
      case S.dataLf:
        this.#state = S.size
        return c === 0x0a
      default:
        return this.#trailer(c)
    }
  }

  #trailer(c: number): boolean {
    if (++this.#line > maxTrailerBytes) return false
    switch (this.#state) {
      case S.lineStart:
        if (c === 0x0d) {
          this.#state = S.lastLf
          return true
        }
        this.#state = S.trailerName
        this.#name = String.fromCharCode(c)
        return tokenChar[c] === 1
      case S.trailerName:
        if (c === 0x3a) {
          this.#state = S.trailerValue
          this.#value = ''
          return mayTrail(this.#name)
        }
        this.#name += String.fromCharCode(c)
        return tokenChar[c] === 1
      case S.trailerValue:
        if (c === 0x0d) {
          this.#state = S.trailerLf
          if (this.onPayload !== undefined) (this.trailers ??= []).push(this.#name.toLowerCase(), this.#value.trim())
        } else if (this.onPayload !== undefined) this.#value += String.fromCharCode(c)
        return c === 0x0d || c === 0x09 || (c >= 0x20 && c !== 0x7f)
      case S.trailerLf:
        this.#state = S.lineStart
        return c === 0x0a
      default:
        this.done = true
        return c === 0x0a
    }
  }
}
