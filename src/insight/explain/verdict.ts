// What the engine decided at one endpoint, as outcome, reason and remedy. Law: words alone; the decision has been made.
import type { Decided } from '#lib/decided.ts'
import { formatRef, type Ref } from '#lib/problem.ts'
import type { Authorization, InboundPort, ServerTls } from '#plan'
import type { InboundDecision } from '../simulate/index.ts'
import { accessReasons } from './access.ts'
import { answered } from './symptom.ts'
import type { Blocked, Outcome, WireTls } from './types.ts'

export interface Verdict {
  readonly outcome: Exclude<Outcome, 'mixed'>
  readonly blocked: Blocked | null
  /** What it rests on and nobody here can know. */
  readonly provided: string | null
}

export interface Words {
  readonly tls: Decided<WireTls>
  /** `httpbin.bar` */
  readonly name: string
  /** Container port. */
  readonly port: number
  /** What the caller sees: its own proxy's 503, or a closed connection. */
  readonly hasClientSidecar: boolean
  readonly http: boolean
  readonly grpc: boolean
  /** The application speaks TLS by itself. */
  readonly applicationTls: boolean
  /** How the caller's sidecar comes to take part in the call. */
  readonly joins: string
  /** Why no sidecar of the server's ends its TLS there: `has no sidecar`, or what keeps the port from it. */
  readonly bare: { readonly why: string; readonly fix: string; readonly source: Ref | 'default' }
  /** What the caller's certificate says; '' = it shows none. */
  readonly identity: string
}

const winner = (d: Decided<unknown>): Ref | 'default' => d.because[0]?.source ?? 'default'
const said = (source: Ref | 'default'): string => (source === 'default' ? 'the default' : formatRef(source))
const through = (outcome: Verdict['outcome']): Verdict => ({ outcome, blocked: null, provided: null })

function block(w: Words, at: 'client' | 'server', why: string, source: Ref | 'default', fix: readonly string[]): Verdict {
  const symptom = w.hasClientSidecar && w.http && !w.applicationTls ? answered(w.grpc, 503, 'caller', { flag: 'flags UC, upstream connection termination' }) : 'the connection is closed before any answer'
  return { outcome: 'blocked', blocked: { at, why, symptom, source, fix }, provided: null }
}

/** TLS that no sidecar ends: the application must. */
function toApplication(w: Words, behind: string): string {
  return `the application of ${w.name} ends TLS on port ${w.port} itself: ${behind}. One that speaks plaintext there can’t read it, and the caller sees ${w.hasClientSidecar && w.http && !w.applicationTls ? '503 (response flag UF)' : 'the handshake fail'}`
}

export function withoutServerSidecar(w: Words): Verdict {
  if (w.tls.value === 'DISABLE') return through('plaintext')
  if (w.tls.value !== 'ISTIO_MUTUAL') return { ...through('tls'), provided: toApplication(w, w.bare.source === 'default' ? 'no sidecar stands before it' : `its sidecar does not get the port (${said(w.bare.source)})`) }
  const source = winner(w.tls)
  return block(w, 'client', `${said(source)} asks for mesh mutual TLS, and ${w.name} ${w.bare.why}`, source, [...changeTls(w.tls), w.bare.fix])
}

/** A Sidecar's ingress that ends TLS by a certificate of its own, which it may where mesh mTLS is off. */
function atOwnTls(decision: InboundDecision, w: Words, tls: ServerTls, source: Ref | 'default', where: string): Verdict | undefined {
  const own = `its Sidecar’s ingress ends TLS there by a certificate of its own, ${tls.certificate}`
  if (decision.kind === 'no-chain') return block(w, 'server', `${where} takes TLS alone, and the client sends plaintext: ${own}`, source, ['originate TLS: a DestinationRule with mode SIMPLE or MUTUAL', 'speak https:// from the application'])
  if (decision.kind !== 'taken' && decision.kind !== 'no-certificate') return undefined
  if (w.tls.value === 'ISTIO_MUTUAL') return block(w, 'client', `the client expects a certificate of the mesh, and ${where} shows another: ${own}`, winner(w.tls), [...changeTls(w.tls, 'SIMPLE'), `remove tls from the Sidecar’s ingress of ${w.name}`])
  if (tls.mode === 'MUTUAL' && w.tls.value === 'SIMPLE') return block(w, 'server', `${where} asks for a client’s certificate (${own}, mode MUTUAL), and the client shows none`, source, changeTls(w.tls, 'MUTUAL'))
  const trusts = `the client takes the certificate ${tls.certificate} that ${where} shows`
  return { outcome: 'tls', blocked: null, provided: tls.mode === 'MUTUAL' ? `${trusts}, and shows one that ${tls.caCertificates ?? 'the system’s authorities'} vouches for` : trusts }
}

export function inboundVerdict(decision: InboundDecision, w: Words, { mtls, port, tls: ownServerTls }: InboundPort, authorization: Authorization | undefined): Verdict {
  const source = winner(mtls)
  const where = port === null ? w.name : `${w.name} port ${port}`
  const ownTls = w.applicationTls && w.tls.value === 'DISABLE'
  const ended = ownServerTls === undefined ? undefined : atOwnTls(decision, w, ownServerTls, source, where)
  if (ended !== undefined) return ended
  switch (decision.kind) {
    case 'taken':
      if (decision.chain.tls === null && w.tls.value !== 'DISABLE') return { ...through('tls'), provided: toApplication(w, `${source === 'default' ? '' : `with ${mtls.value} (${said(source)}) `}its sidecar passes on TLS that is not the mesh’s as it is`) }
      return through(decision.chain.tls === null ? (w.tls.value === 'DISABLE' ? 'plaintext' : 'tls') : w.identity !== '' ? 'mtls' : 'tls')
    case 'no-certificate':
      return block(w, 'server', `${where} is ${mtls.value}, and the ${ownTls ? 'application’s own' : 'client’s'} TLS shows no certificate of the mesh`, source, ownTls ? callPlainly(w, true) : changeTls(w.tls))
    case 'foreign-name':
      return block(w, 'server', `${where} takes certificates of its own trust domain and its aliases alone, and the caller’s is of another`, source, ['name the caller’s trust domain in meshConfig.trustDomainAliases'])
    case 'tls-unended':
      if (w.tls.value === 'ISTIO_MUTUAL') return block(w, 'server', `${said(source)} turns mutual TLS off on ${where}, so nobody ends the client’s TLS`, source, [...changeTls(w.tls), 'let the server take mutual TLS: PERMISSIVE or STRICT'])
      return block(w, 'server', `${where} takes plaintext HTTP only (${said(source)}), and the ${ownTls ? 'application' : 'client'} sends TLS`, source, ownTls ? callPlainly(w, false) : changeTls(w.tls))
    case 'path-refused':
      return { outcome: 'blocked', blocked: { at: 'server', why: 'the path can’t be read: it holds a null byte or a fragment', symptom: answered(w.grpc, 400, 'server'), source: 'default', fix: ['send a path that RFC 3986 knows'] }, provided: null }
    case 'method-refused':
      return { outcome: 'blocked', blocked: { at: 'server', why: 'the method has small letters: no policy on methods would see it, so sidecars refuse it', symptom: answered(w.grpc, 400, 'server'), source: 'default', fix: ['write the method in capitals'] }, provided: null }
    case 'token-refused':
      // tokenVerdict has its words.
      return block(w, 'server', `the token is refused at ${where}`, 'default', [])
    case 'denied':
      return denied(w, where, decision.chain.terminal.kind === 'http', accessReasons(authorization, decision.access))
    case 'no-chain':
      if (w.tls.value !== 'DISABLE' || ownTls) return block(w, 'server', `${where} carries HTTP: TLS that is not the mesh’s own is closed there`, source, ownTls ? callPlainly(w, mtls.value === 'STRICT') : changeTls(w.tls))
      return block(w, 'server', `${where} is STRICT and the client sends plaintext`, source, fixPlaintext(w))
  }
}

function denied(w: Words, where: string, http: boolean, decided: Decided<'allow' | 'deny'>): Verdict {
  const source = winner(decided)
  const none = decided.because[0]?.rule === 'authorization.none-allows'
  const caller = w.identity === '' ? 'a caller without a certificate of the mesh' : w.identity.replace('spiffe://', '')
  const why = none ? `no ALLOW rule of ${where} lets ${caller} make this call` : `${said(source)} denies this call to ${where}`
  const name = `${said(source)}`
  const fix = w.identity === '' && none
    ? [`${w.joins}, and name its service account in a rule under ${name}`, `write a rule there that asks for no principal and no namespace: a plaintext caller has none`]
    : [none ? `let ${caller} in: a rule under ${name} that names it and this call` : `change ${name}`]
  return { outcome: 'blocked', blocked: { at: 'server', why, symptom: http ? answered(w.grpc, 403, 'server', { message: 'RBAC: access denied' }) : 'the connection is closed once the first bytes arrive', source, fix }, provided: null }
}

/** The server's certificate names nobody whom the client expects. */
export function clientDoubts(w: Words, expected: readonly string[], presented: string): Verdict {
  const source = winner(w.tls)
  return block(w, 'client', `the client expects ${expected.join(' or ')}, and ${w.name}’s certificate names ${presented}`, source, [source === 'default' ? 'let the Service’s pods run under the accounts that the client knows' : `change subjectAltNames in ${formatRef(source)}`])
}

function callPlainly(w: Words, strict: boolean): string[] {
  if (w.hasClientSidecar || !strict) return ['speak plain http:// from the application; the sidecars make the TLS']
  return [`${w.joins}, and speak plain http:// from the application`, `or let ${w.name} take other connections too: a PeerAuthentication with mode PERMISSIVE for this workload or port`]
}

function changeTls(tls: Decided<WireTls>, to: WireTls = tls.value === 'ISTIO_MUTUAL' ? 'DISABLE' : 'ISTIO_MUTUAL'): string[] {
  const source = winner(tls)
  return source === 'default' ? [] : [`change ${formatRef(source)}: remove it (mutual TLS is automatic) or write ${to}`]
}

function fixPlaintext(w: Words): string[] {
  if (!w.hasClientSidecar) return [w.joins, `or let ${w.name} take plaintext from it: a PeerAuthentication with mode PERMISSIVE for this workload or port`]
  return changeTls(w.tls)
}
