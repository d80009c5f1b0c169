// HTTP/2's header lists and HTTP/1.1's heads, each made from the other, so that policy, header operations and hygiene stand once.
// Law: what comes in is written as HTTP/1.1 and read by its strict reader: what could smuggle after a downgrade is refused here, before anybody routes by it (RFC 9113 sections 8.2, 8.3 and 10.3).
import type { Trailers } from '../downstream.ts'
import { reasonPhrase } from '../failures.ts'
import { mayTrail } from '../http1/body.ts'
import { Head, type HeadError } from '../http1/head.ts'
import { H } from '../http1/names.ts'
import * as out from '../http1/writer.ts'

/** Fields of a connection: HTTP/2 has none of them. */
const connectionFields = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings'])
const breaks = /[\r\n\0]/

/** The head, or why it is none. `ended`: no body follows. */
export function requestHead(raw: readonly string[], ended: boolean, maxBytes: number, maxHeaders: number): Head | HeadError {
  let method = ''
  let path: string | undefined
  let authority: string | undefined
  let scheme = ''
  let host: string | undefined
  let hasLength = false
  let cookies = ''
  let i = 0
  for (; i < raw.length && (raw[i] as string).startsWith(':'); i += 2) {
    const value = raw[i + 1] as string
    if (breaks.test(value)) return 'bad-header'
    if (raw[i] === ':method') method = value
    else if (raw[i] === ':path') path = value
    else if (raw[i] === ':authority') authority = value
    else if (raw[i] === ':scheme') scheme = value
    else return 'bad-start-line'
  }
  out.begin()
  for (let k = i; k < raw.length; k += 2) if (raw[k] === 'host') host = host === undefined ? (raw[k + 1] as string) : `${host},`
  const connect = method === 'CONNECT'
  const name = authority === undefined || authority === '' ? host : authority
  if (name === undefined || (host !== undefined && host !== name)) return 'bad-host'
  if (connect ? path !== undefined || scheme !== '' : path === undefined || scheme === '' || (!path.startsWith('/') && path !== '*')) return 'bad-start-line'
  out.text(`${method} ${connect ? name : path} HTTP/1.1\r\n`)
  out.text(`host: ${name}\r\n`)
  for (; i < raw.length; i += 2) {
    const field = raw[i] as string
    const value = raw[i + 1] as string
    if (field.startsWith(':') || connectionFields.has(field) || breaks.test(value)) return 'bad-header'
    if (field === 'cookie') {
      cookies = cookies === '' ? value : `${cookies}; ${value}`
      continue
    }
    if (field === 'host') continue
    if (field === 'content-length') hasLength = true
    out.text(`${field}: ${value}\r\n`)
  }
  if (cookies !== '') out.text(`cookie: ${cookies}\r\n`)
  if (!ended && !hasLength && !connect) out.text('transfer-encoding: chunked\r\n')
  out.text('\r\n')
  return read(out.take(), false, raw.length / 2 + 2, maxBytes, maxHeaders)
}

/** A response's, its interim ones too; undefined: it can't be read as one. */
export function responseHead(raw: readonly string[], ended: boolean): Head | undefined {
  if (raw[0] !== ':status') return undefined
  const status = raw[1] as string
  out.begin()
  out.text(`HTTP/1.1 ${status} ${reasonPhrase(Number(status))}\r\n`)
  let hasLength = false
  for (let i = 2; i < raw.length; i += 2) {
    const field = raw[i] as string
    const value = raw[i + 1] as string
    if (field.startsWith(':') || connectionFields.has(field) || breaks.test(value)) return undefined
    if (field === 'content-length') hasLength = true
    out.text(`${field}: ${value}\r\n`)
  }
  if (!ended && !hasLength && !status.startsWith('1')) out.text('transfer-encoding: chunked\r\n')
  out.text('\r\n')
  const head = read(out.take(), true, raw.length / 2 + 1, Infinity, Infinity)
  return typeof head === 'string' ? undefined : head
}

/** How long a decoded list of names and values is. */
export function listBytes(raw: readonly string[]): number {
  let n = 0
  for (const text of raw) n += text.length
  return n
}

function read(bytes: Buffer, response: boolean, lines: number, maxBytes: number, maxHeaders: number): Head | HeadError {
  const head = new Head(lines)
  const end = head.read(bytes, 0, response, maxBytes, maxHeaders)
  if (end === bytes.length) return head
  return end < 0 ? (head.error ?? 'bad-header') : 'bad-header'
}

/** One at a time, as the writer. */
const taken = new Head(1024)

/** The head that the writer holds, as HTTP/2's list. */
export function takePairs(response: boolean): string[] {
  const bytes = out.take()
  const head = taken
  if (head.read(bytes, 0, response, Infinity, Infinity) !== bytes.length) throw new Error('a head of our own making cannot be read')
  const pairs: string[] = []
  if (response) pairs.push(':status', String(head.status))
  let scheme = 'http'
  const fields: string[] = []
  for (let i = 0; i < head.count; i++) {
    const name = head.nameAt(i).toLowerCase()
    if (connectionFields.has(name) || (name === 'host' && !response)) continue
    const value = head.valueAt(i)
    if (name === 'te' && value.toLowerCase() !== 'trailers') continue
    if (name === 'x-forwarded-proto' && value === 'https') scheme = 'https'
    fields.push(name, value)
  }
  if (!response) pairs.push(':method', head.method, ':scheme', scheme, ':authority', head.authority(), ':path', head.target())
  pairs.push(...fields)
  return pairs
}

/** What of an interim response goes on: as interimHead has it. */
export function interimFields(head: Head): string[] {
  const fields: string[] = []
  for (let i = 0; i < head.count; i++) if (head.ids[i] === H.other) fields.push(head.nameAt(i).toLowerCase(), head.valueAt(i))
  return fields
}

/** As node wants them: name → one value or several. Pseudo-headers and what would reframe a message stay behind. */
export function trailerObject(trailers: Trailers): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (let i = 0; trailers !== undefined && i + 1 < trailers.length; i += 2) {
    const name = trailers[i] as string
    const value = trailers[i + 1] as string
    if (name.startsWith(':') || !mayTrail(name) || connectionFields.has(name)) continue
    const before = fields[name]
    fields[name] = before === undefined ? value : typeof before === 'string' ? [before, value] : [...before, value]
  }
  return fields
}
