// A JSON document of somebody else's, by a URL that a user of the mesh wrote. Law: whoever may write a policy must not reach with it what only the control plane can:
// no loopback, no link-local address (where clouds keep credentials), whatever a name resolves to; few redirects, little text, little time.
import { lookup as resolve } from 'node:dns'
import { request as plainRequest, type IncomingMessage } from 'node:http'
import { request as secureRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { KithError } from '#lib/errors.ts'
import { mayReach, type Reach } from './reachable-address.ts'

export interface FetchOptions extends Reach {
  readonly timeoutMs: number
}

const mostBytes = 1024 * 1024
const mostRedirects = 3

/** Rejects with KithError FETCH_REFUSED for what may not be asked, FETCH_FAILED for the world's faults. */
export async function fetchDocument(url: string, options: FetchOptions): Promise<string> {
  const signal = AbortSignal.timeout(options.timeoutMs)
  let at = permitted(url, options)
  for (let hops = 0; ; hops++) {
    const answer = await ask(at, options, signal)
    const { statusCode = 0, headers } = answer
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
      answer.destroy()
      if (hops === mostRedirects) throw new KithError('FETCH_FAILED', `${placeOf(at)} redirects too often`)
      const next = permitted(new URL(headers.location, at).href, options)
      if (at.protocol === 'https:' && next.protocol !== 'https:') throw new KithError('FETCH_REFUSED', `${placeOf(at)} redirects to a place without TLS`)
      at = next
      continue
    }
    if (statusCode !== 200) {
      answer.destroy()
      throw new KithError('FETCH_FAILED', `${placeOf(at)} answered ${statusCode}`)
    }
    return read(answer, at)
  }
}

/** Without its query, in which secrets may stand. */
function placeOf(url: URL): string {
  return `${url.origin}${url.pathname}`
}

function permitted(text: string, options: FetchOptions): URL {
  if (!URL.canParse(text)) throw new KithError('FETCH_REFUSED', 'the address of the keys is no URL')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new KithError('FETCH_REFUSED', `keys are fetched by http and https, not by ${url.protocol}`)
  if (url.username !== '' || url.password !== '') throw new KithError('FETCH_REFUSED', `${placeOf(url)}: no user or password in a URL`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // A name is looked at when it is resolved.
  if (isIP(host) !== 0 && !mayReach(host, options)) throw new KithError('FETCH_REFUSED', `${host} is an address that policies may not reach`)
  return url
}

function ask(url: URL, options: FetchOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const lookup: LookupFunction = (name, asked, answer) => {
    resolve(name, { ...asked, all: true }, (error, addresses) => {
      if (error !== null) return answer(error, '', 0)
      const good = addresses.filter((a) => mayReach(a.address, options))
      const [first] = good
      if (first === undefined) return answer(new KithError('FETCH_REFUSED', `${name} resolves to an address that policies may not reach`) as NodeJS.ErrnoException, '', 0)
      if (asked.all === true) answer(null, good)
      else answer(null, first.address, first.family)
    })
  }
  return new Promise((done, fail) => {
    const sent = (url.protocol === 'https:' ? secureRequest : plainRequest)(url, { lookup, signal, agent: false, headers: { accept: 'application/json', connection: 'close' } }, done)
    sent.on('error', (cause) => fail(cause instanceof KithError ? cause : new KithError('FETCH_FAILED', `${placeOf(url)}: ${signal.aborted ? 'no answer in time' : cause.message}`, { cause })))
    sent.end()
  })
}

async function read(answer: IncomingMessage, url: URL): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of answer as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > mostBytes) throw new KithError('FETCH_FAILED', `${placeOf(url)} holds more than ${mostBytes} bytes`)
      parts.push(part)
    }
  } catch (cause) {
    answer.destroy()
    throw cause instanceof KithError ? cause : new KithError('FETCH_FAILED', `${placeOf(url)} broke off: ${(cause as Error).message}`, { cause })
  }
  return Buffer.concat(parts).toString('utf8')
}
