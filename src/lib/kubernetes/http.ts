// One HTTP exchange with the API server. Law: a failure is a KithError with the server's own sentence; nothing is retried here but what the server never took up.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { KithError } from '#lib/errors.ts'
import { refusalText } from './answers.ts'
import { credentialSource, readText, type Credential } from './credentials.ts'
import type { ClusterAccess, ClusterEntry } from './kubeconfig.ts'

export interface Exchange {
  readonly method: string
  /** With query. */
  readonly path: string
  readonly body?: string
  readonly contentType?: string
  /** Until the head of the answer. Default 30 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** What the message of a failure begins with. */
export type Asked = Pick<Exchange, 'method' | 'path'>

export interface Transport {
  /** The answer's head has come, and its status is below 300. */
  send(exchange: Exchange): Promise<IncomingMessage>
  close(): void
}

const usualTimeoutMs = 30_000
/** 429: the server asks to come back; so often. */
const mostPatience = 4
const longestPatienceMs = 5000

export function transport(access: ClusterAccess): Transport {
  const { cluster } = access
  const proxy = proxyOptions(cluster)
  const base = new URL(access.server)
  const secure = base.protocol === 'https:'
  const source = credentialSource(access)
  let agent: HttpAgent | undefined
  let agentOf = ''
  const agentFor = (credential: Credential): HttpAgent => {
    const tls = tlsOptions(cluster, credential)
    const key = `${tls.ca ?? ''}${credential.cert ?? ''}`
    if (agent !== undefined && agentOf === key) return agent
    // Open answers of the former agent go on: only its idle sockets are closed.
    const keep = { keepAlive: true, keepAliveMsecs: 15_000, maxFreeSockets: 4, scheduling: 'lifo' as const, ...proxy }
    agent = secure
      ? new HttpsAgent({ ...keep, ...tls })
      : new HttpAgent(keep)
    agentOf = key
    return agent
  }
  const once = async (exchange: Exchange): Promise<IncomingMessage> => {
    const credential = await source.get()
    return head(exchange, base, secure, agentFor(credential), credential)
  }
  return {
    async send(exchange) {
      for (let attempt = 0; ; attempt++) {
        const response = await once(exchange)
        const status = response.statusCode ?? 0
        if (status < 300) return response
        const text = await bodyText(response, exchange)
        if (status === 401 && attempt === 0 && source.forget()) continue
        if (status === 429 && attempt < mostPatience) {
          await pause(Math.min(Number(response.headers['retry-after'] ?? 1) * 1000 || 1000, longestPatienceMs), undefined, exchange.signal === undefined ? {} : { signal: exchange.signal })
          continue
        }
        throw refusal(exchange, status, text)
      }
    },
    close() {
      agent?.destroy()
    },
  }
}

/** For an Agent: a kubeconfig's `proxy-url`. Throws KUBECONFIG_INVALID where it is none that is spoken here. */
export function proxyOptions(cluster: ClusterEntry): { readonly proxyEnv?: { readonly HTTP_PROXY: string; readonly HTTPS_PROXY: string } } {
  const url = cluster['proxy-url'] ?? ''
  if (url === '') return {}
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) throw new KithError('KUBECONFIG_INVALID', 'proxy-url in the kubeconfig must begin with http:// or https://: others (socks5://) are not served')
  return { proxyEnv: { HTTP_PROXY: url, HTTPS_PROXY: url } }
}

/** Whom to trust, and whom to be, on a connection to the API server. */
export function tlsOptions(cluster: ClusterEntry, credential: Credential): { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly servername?: string; readonly rejectUnauthorized: boolean } {
  const data = cluster['certificate-authority-data']
  const ca = data !== undefined ? Buffer.from(data, 'base64').toString('utf8') : cluster['certificate-authority'] !== undefined ? readText(cluster['certificate-authority']) : undefined
  return {
    ...(ca === undefined ? {} : { ca }), ...(credential.cert === undefined ? {} : { cert: credential.cert, key: credential.key as string }),
    ...serverName(cluster['tls-server-name']), rejectUnauthorized: cluster['insecure-skip-tls-verify'] !== true,
  }
}

/** Whom the certificate must name. An address can't be asked for by SNI, but be looked for in the certificate. */
function serverName(name: string | undefined): object {
  if (name === undefined || name === '') return {}
  return isIP(name) === 0 ? { servername: name } : { servername: '', checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate) }
}

function head(exchange: Exchange, base: URL, secure: boolean, agent: HttpAgent, credential: Credential, again = true): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)({
      host: base.hostname.replace(/^\[|\]$/g, ''), port: base.port === '' ? (secure ? 443 : 80) : Number(base.port), method: exchange.method, path: base.pathname.replace(/\/+$/, '') + exchange.path, agent,
      ...(exchange.signal === undefined ? {} : { signal: exchange.signal }),
      headers: {
        accept: 'application/json', 'user-agent': 'kith', ...credential.headers as Record<string, string | string[]>,
        ...(exchange.body === undefined ? {} : { 'content-type': exchange.contentType ?? 'application/json', 'content-length': Buffer.byteLength(exchange.body) }),
      },
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${(exchange.timeoutMs ?? usualTimeoutMs) / 1000} s`)), exchange.timeoutMs ?? usualTimeoutMs)
    request.once('response', (response) => {
      clearTimeout(timer)
      resolve(response)
    })
    request.on('error', (error: Error & { code?: string }) => {
      clearTimeout(timer)
      // The server closed an idle connection at the moment we took it.
      if (again && request.reusedSocket && error.code === 'ECONNRESET' && exchange.method === 'GET') return resolve(head(exchange, base, secure, agent, credential, false))
      reject(unreachable(exchange, base, error))
    })
    request.end(exchange.body)
  })
}

export function unreachable(exchange: Asked, base: URL, cause: Error & { code?: string }): KithError {
  return new KithError('K8S_UNREACHABLE', `${exchange.method} ${exchange.path}: the API server ${base.host} can't be reached: ${cause.message === '' ? (cause.code ?? cause.name) : cause.message}`, { cause })
}

/** Throws K8S_UNREACHABLE where the answer is cut off. */
export async function bodyText(response: IncomingMessage, exchange: Asked): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer)
  } catch (cause) {
    throw new KithError('K8S_UNREACHABLE', `${exchange.method} ${exchange.path}: the answer was cut off: ${(cause as Error).message}`, { cause })
  }
  return Buffer.concat(chunks).toString('utf8')
}

const codes: Readonly<Record<number, string>> = { 400: 'K8S_INVALID', 401: 'K8S_UNAUTHORIZED', 403: 'K8S_FORBIDDEN', 404: 'K8S_NOT_FOUND', 409: 'K8S_CONFLICT', 410: 'K8S_GONE', 422: 'K8S_INVALID' }

/** A status has its meaning only in the API server's own words: a 404 of a proxy before it does not say that an object is gone. 401 means the same of both. */
export function refusal(exchange: Asked, status: number, text: string): KithError {
  const own = refusalText(text)
  const message = own ?? text.trim().slice(0, 500)
  const code = own !== undefined || status === 401 ? (codes[status] ?? 'K8S_FAILED') : 'K8S_FAILED'
  return new KithError(code, `${exchange.method} ${exchange.path.split('?')[0]}: ${message === '' ? `answered ${status}` : own === undefined ? `answered ${status}: ${message}` : message}`)
}
