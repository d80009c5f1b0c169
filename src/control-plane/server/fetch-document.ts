// A JSON document of somebody else's, by a URL that a user of the mesh wrote. Law: whoever may write a policy must not reach with it what only the control plane can:
// no loopback, no link-local address (where clouds keep credentials), whatever a name resolves to; few redirects, little text, little time.
import { lookup as resolve } from 'node:dns'
import { request as plainRequest, type IncomingMessage } from 'node:http'
import { request as secureRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { KithError } from '#lib/errors.ts'

export interface FetchOptions {
  readonly timeoutMs: number
  /** Addresses of this machine too: where the whole mesh is on it. */
  readonly loopback: boolean
}

const mostBytes = 1024 * 1024
const mostRedirects = 3

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')
const never = new BlockList()
never.addSubnet('0.0.0.0', 8)
never.addSubnet('169.254.0.0', 16)
never.addSubnet('224.0.0.0', 3)
never.addAddress('::', 'ipv6')
never.addSubnet('fe80::', 10, 'ipv6')
never.addSubnet('ff00::', 8, 'ipv6')
// The metadata service of a cloud has this address over IPv6.
never.addAddress('fd00:ec2::254', 'ipv6')

export function mayReach(address: string, options: Pick<FetchOptions, 'loopback'>): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  const plain = mapped ?? address
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
  // What is mapped in hexadecimal: the list reads it as IPv4 itself.
  return isIP(plain) !== 0 && !never.check(plain, family) && (options.loopback || !loopback.check(plain, family))
}

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
