// What the server's sidecar does with a connection: the engine's chain and its TLS context against what the client shows.
import { chooseChain, decideJwt, decideRbac, findListener, isMethodRefused, lastForwarded, normalizePath, type Claims, type JwtVerdict, type RbacFacts, type RbacVerdict, type RouteRequest, type RuntimeChain, type RuntimeConfig, type SocketAddress, type Validation } from '#engine'
import { ExpressionTooCostly } from '#lib/re2.ts'
import { connectionFacts, type FirstBytes } from './bytes.ts'

export interface InboundCall {
  readonly original: SocketAddress
  readonly source: string
  readonly bytes: FirstBytes
  /** SPIFFE id of the certificate that the client shows; '' = it shows none of the mesh. */
  readonly principal: string
  readonly request?: RouteRequest
  /** When the call is made; absent: tokens are judged without their times. */
  readonly nowMs?: number
}

export type InboundDecision =
  /** No chain takes it. */
  | { readonly kind: 'no-chain' }
  | { readonly kind: 'no-certificate' | 'foreign-name'; readonly chain: RuntimeChain }
  /** TLS that nobody here ends, where HTTP is read, or meant for this sidecar. */
  | { readonly kind: 'tls-unended'; readonly chain: RuntimeChain }
  /** The path or the method can't be read: 400. */
  | { readonly kind: 'path-refused' | 'method-refused' | 'expression-refused'; readonly chain: RuntimeChain }
  /** A token is there and does not hold. */
  | { readonly kind: 'token-refused'; readonly chain: RuntimeChain; readonly verdict: Extract<JwtVerdict, { kind: 'refused' }> }
  /** `access`: what each RBAC filter said, in order; the last one denied. */
  | { readonly kind: 'denied' | 'taken'; readonly chain: RuntimeChain; readonly access: readonly RbacVerdict[]; readonly claims?: Claims }

/** `mesh`: the TLS on the wire is a sidecar's, so that it has to end here. */
export function decideInbound(config: RuntimeConfig, call: InboundCall, mesh: boolean): InboundDecision {
  const listener = findListener(config, true, call.original)
  const chain = listener === undefined ? undefined : chooseChain(listener, connectionFacts(listener, call.original, call.source, call.bytes))
  if (chain === undefined) return { kind: 'no-chain' }
  if (chain.tls === null) {
    if (call.bytes.tls !== undefined && (mesh || chain.terminal.kind === 'http')) return { kind: 'tls-unended', chain }
  } else if (call.bytes.tls === undefined) return { kind: 'no-chain' }
  else if (call.principal === '' && chain.tls.requireClientCertificate) return { kind: 'no-certificate', chain }
  else if (call.principal !== '' && !vouched(chain.tls.validation, call.principal)) return { kind: 'foreign-name', chain }
  if (chain.terminal.kind === 'http' && call.request !== undefined && isMethodRefused(call.request.method)) return { kind: 'method-refused', chain }
  const request = asRead(chain, call.request)
  if (request === 'refused') return { kind: 'path-refused', chain }
  const { terminal } = chain
  const token = terminal.kind === 'http' && terminal.jwt !== undefined && request !== undefined ? decideJwt(terminal.jwt, request, call.nowMs, true) : undefined
  if (token?.kind === 'refused') return { kind: 'token-refused', chain, verdict: token }
  const changed = token?.headers
  const seen = request === undefined ? undefined : { ...request, path: token?.path ?? request.path, header: (name: string) => (changed?.has(name) === true ? changed.get(name) : request.header(name)), lines: (name: string) => (changed?.has(name) === true ? [changed.get(name) ?? []].flat() : request.lines(name)) }
  let access: readonly RbacVerdict[]
  try {
    access = decidePolicy(chain, { ...call, ...(seen === undefined ? {} : { request: seen }) }, token?.claims)
  } catch (error) {
    if (!(error instanceof ExpressionTooCostly)) throw error
    return { kind: 'expression-refused', chain }
  }
  return { kind: access.every((v) => v.allowed) ? 'taken' : 'denied', chain, access, ...(token?.claims === undefined ? {} : { claims: token.claims }) }
}

/** Is this SPIFFE id among those that the other side takes? */
export function vouched(validation: Validation | undefined, principal: string): boolean {
  const sans = validation?.sans ?? []
  return sans.length === 0 || sans.some((s) => (s.type === 'URI' || s.type === 'ANY') && s.test(principal))
}

/** Policy sees the path that the application gets. */
function asRead({ terminal }: RuntimeChain, request: RouteRequest | undefined): RouteRequest | 'refused' | undefined {
  if (terminal.kind !== 'http' || request === undefined) return undefined
  const normal = normalizePath(request.path, terminal)
  return normal.kind === 'reject' ? 'refused' : { ...request, path: normal.path, header: (name) => request.header(name) }
}

/** What X-Forwarded-For says of the caller, where it counts. */
export function forwardedFor({ terminal }: RuntimeChain, { request }: InboundCall): string | undefined {
  return terminal.kind !== 'http' || terminal.useRemoteAddress ? undefined : lastForwarded(request?.header('x-forwarded-for'), terminal.trustedHops)
}

/** Connections first, then requests, as the proxy asks them; the first that denies ends it. */
function decidePolicy(chain: RuntimeChain, call: InboundCall, claims: Claims | undefined): readonly RbacVerdict[] {
  const facts: RbacFacts = {
    destinationAddress: call.original.address, destinationPort: call.original.port, directAddress: call.source, remoteAddress: forwardedFor(chain, call) ?? call.source, serverName: call.bytes.tls?.serverName ?? '',
    principals: chain.tls === null ? undefined : [call.principal], claims,
  }
  const { terminal } = chain
  const overrides = terminal.kind === 'http' && 'inline' in terminal.routes ? terminal.routes.inline.any?.routes[0]?.rbac : undefined
  const ofRequest = terminal.kind === 'http' && call.request !== undefined ? terminal.rbac.flatMap(({ name, rbac }) => overrides?.get(name) ?? (overrides?.has(name) === true ? [] : [rbac])) : []
  const verdicts: RbacVerdict[] = []
  for (const rbac of [...chain.rbac, ...ofRequest]) {
    const verdict = decideRbac(rbac, { ...facts, ...(chain.rbac.includes(rbac) || call.request === undefined ? {} : { request: call.request }) })
    verdicts.push(verdict)
    if (!verdict.allowed) break
  }
  return verdicts
}
