// HTTP servers on which Kith itself answers: admin, health, metrics, status, webhooks. Applications' traffic never comes here.
// Law: a web page cannot use them. A browser says which page asks (Origin, Sec-Fetch-Site) and by which name it was sent
// (Host), so a foreign page is refused, also one whose own name leads to this address (DNS rebinding).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer, type ServerOptions as TlsOptions } from 'node:https'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface Refused {
  /** One sentence. */
  readonly reason: string
  readonly path: string
  readonly host: string
  readonly origin: string
  /** The address that asked. */
  readonly from: string
}

export interface OwnServerOptions {
  /** Names besides those of the loopback and the address that the connection came to. Default: none. */
  readonly isOwnName?: (host: string) => boolean
  /** Paths that may be asked for by any name, such as probes, whose Host a user may set. Default: none. */
  readonly anyName?: (path: string) => boolean
  /** Told of each refusal; the caller gets 403. */
  readonly onRefused: (refused: Refused) => void
}

export function ownServer(handler: Handler, options: OwnServerOptions): Server {
  return createServer(guarded(handler, options))
}

export function ownTlsServer(tls: TlsOptions, handler: Handler, options: OwnServerOptions): TlsServer {
  return createTlsServer(tls, guarded(handler, options))
}

function guarded(handler: Handler, options: OwnServerOptions): Handler {
  return (request, response) => {
    const reason = refusal(request.headers, request.socket.localAddress ?? '', pathOf(request), options)
    if (reason === undefined) return handler(request, response)
    const { host = '', origin = '' } = request.headers
    options.onRefused({ reason, path: pathOf(request), host, origin, from: request.socket.remoteAddress ?? '' })
    response.writeHead(403, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(`${reason}\n`)
  }
}

type Names = Pick<OwnServerOptions, 'isOwnName' | 'anyName'>

/**
 * Why a request is refused; undefined: it may be answered.
 *
 * @param reachedAt the local address of its connection
 */
export function refusal(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  reachedAt: string,
  path: string,
  { isOwnName = () => false, anyName = () => false }: Names = {},
): string | undefined {
  const { host, origin } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'a page of another site may not ask this port'
  const name = hostName(typeof host === 'string' ? host : '')
  const page = typeof origin === 'string' ? originHost(origin) : undefined
  if (origin !== undefined && (page === undefined || page !== host?.toString().toLowerCase())) {
    return 'a page of another origin may not ask this port'
  }
  // HTTP/1.0 has no Host, and no browser speaks it.
  if (host === undefined || anyName(path)) return undefined
  const isOwn = isLoopbackName(name) || (name !== '' && name === plainAddress(reachedAt)) || isOwnName(name)
  return isOwn ? undefined : 'this port answers to names of the loopback, its own address and its own names only'
}

/** `web.foo:15020` → `web.foo`, `[::1]:80` → `::1`; in small letters. '' where it is neither. */
function hostName(host: string): string {
  const found = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]+))(?::\d+)?$/i.exec(host)
  return (found?.[1] ?? found?.[2] ?? '').toLowerCase()
}

/** `http://a:80` → `a:80`; undefined for `null` and for what is no origin. */
function originHost(origin: string): string | undefined {
  return /^https?:\/\/([^/?#]+)$/i.exec(origin)?.[1]?.toLowerCase()
}

/** Of a Host header, with or without a port. */
export function isLoopbackHost(host: string): boolean {
  return isLoopbackName(hostName(host))
}

function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}

/** IPv4 in an IPv6 socket is told as `::ffff:10.0.0.1`. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '').toLowerCase()

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] ?? ''
}

/**
 * The names of a pod and of its Services in cluster DNS, for `isOwnName`.
 *
 * @param own names of Services, or what Services are usually called: the workload, its `app` label
 * @param domain of the cluster, `cluster.local`
 */
export function clusterNames(own: readonly string[], namespace: string, domain: string): (host: string) => boolean {
  const exact = new Set(own.filter((name) => name !== '').flatMap((name) => [name, `${name}.${namespace}`]))
  const below = [`.${namespace}.svc`, `.${namespace}.svc.${domain}`]
  return (host) => exact.has(host) || below.some((suffix) => host.endsWith(suffix))
}

/** Fields and message of the log line about a refusal. */
export function refusedLine(port: number, refused: Refused): readonly [object, string] {
  return [{ port, ...refused }, 'a request to a port of the mesh’s own was refused']
}
