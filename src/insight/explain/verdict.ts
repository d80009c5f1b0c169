// What the engine decided at one endpoint, as outcome, reason and remedy. Law: words alone; the decision has
// been made.
import type { Decided } from '#lib/decided.ts'
import { InvariantError } from '#lib/errors.ts'
import { formatRef, type Ref } from '#lib/problem.ts'
import type { InboundPort, ServerTls } from '#plan'
import type { InboundDecision } from '../simulate/index.ts'
import type { ClientTls } from './client-tls.ts'
import { blockedBy, type End, type Ends, type Source } from './ends.ts'
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
  /** Why the client sends it. */
  readonly sends: ClientTls
  /** `httpbin.bar` */
  readonly name: string
  /** Container port. */
  readonly port: number
  /** What the caller sees: its own proxy's 503, or a closed connection. */
  readonly hasClientSidecar: boolean
  readonly http: boolean
  readonly grpc: boolean
  /** As it arrives. */
  readonly path: string
  readonly method: string
  /** The application speaks TLS by itself. */
  readonly applicationTls: boolean
  /** How the caller's sidecar comes to take part in the call. */
  readonly joins: string
  /** Why no sidecar of the server's ends its TLS there: `has no sidecar`, or what keeps the port from it. */
  readonly bare: { readonly why: string; readonly fix: string; readonly source: Ref | 'default' }
  /** What the caller's certificate says; '' = it shows none. */
  readonly identity: string
  /** What declares the port's protocol. */
  readonly declared: Source
  /**
   * The destination as the application calls it, and a port of it where plaintext gets TLS of the sidecar's.
   */
  readonly destination: { readonly host: string; readonly port: number; readonly http: string | null }
}

const winner = (d: Decided<unknown>): Source => d.because[0]?.source ?? 'default'
const said = (source: Source): string => (source === 'default' ? 'the default' : formatRef(source))
const through = (outcome: Verdict['outcome']): Verdict => ({ outcome, blocked: null, provided: null })

function block<K extends End>(w: Words, at: 'client' | 'server', end: K, facts: Ends[K]): Verdict {
  const symptom =
    w.hasClientSidecar && w.http && !w.applicationTls
      ? answered(w.grpc, 503, 'caller', { flag: 'flags UC, upstream connection termination' })
      : 'the connection is closed before any answer'
  return { outcome: 'blocked', blocked: blockedBy(end, at, symptom, facts), provided: null }
}

/** TLS that no sidecar ends: the application must. */
function toApplication(w: Words, behind: string): string {
  return `the application of ${w.name} ends TLS on port ${w.port} itself: ${behind}. One that speaks plaintext there can’t read it, and the caller sees ${w.hasClientSidecar && w.http && !w.applicationTls ? '503 (response flag UF)' : 'the handshake fail'}`
}

/** The application's TLS inside of TLS that the caller's sidecar originates, and that no sidecar ends. */
export function tlsInTls(w: Pick<Words, 'tls' | 'destination'>): Blocked {
  const { host, port, http } = w.destination
  return blockedBy(
    'tls-in-tls',
    'client',
    'the handshake fails: “wrong version number”, or the connection is closed',
    { host, port, mode: w.tls.value, http, source: winner(w.tls) },
  )
}

export function withoutServerSidecar(w: Words): Verdict {
  if (w.tls.value === 'DISABLE') return through('plaintext')
  if (w.tls.value !== 'ISTIO_MUTUAL') {
    if (w.applicationTls) return { outcome: 'blocked', blocked: tlsInTls(w), provided: null }
    return {
      ...through('tls'),
      provided: toApplication(
        w,
        w.bare.source === 'default'
          ? 'no sidecar stands before it'
          : `its sidecar does not get the port (${said(w.bare.source)})`,
      ),
    }
  }
  return block(w, 'client', 'mesh-tls-without-sidecar', {
    server: w.name,
    bare: w.bare.why,
    by: w.sends.because,
    fix: [...w.sends.fix('DISABLE'), w.bare.fix],
    source: winner(w.tls),
  })
}

/** A Sidecar's ingress that ends TLS by a certificate of its own, which it may where mesh mTLS is off. */
function atOwnTls(
  decision: InboundDecision,
  w: Words,
  tls: ServerTls,
  source: Source,
  where: string,
): Verdict | undefined {
  const { certificate } = tls
  if (decision.kind === 'no-chain')
    return block(w, 'server', 'plaintext-to-own-tls', { where, certificate, source })
  if (decision.kind !== 'taken' && decision.kind !== 'no-certificate') return undefined
  if (w.tls.value === 'ISTIO_MUTUAL')
    return block(w, 'client', 'mesh-tls-to-own-tls', {
      where,
      certificate,
      fix: [
        `${w.sends.fix('DISABLE')[0] ?? 'write a DestinationRule'}, or mode SIMPLE`,
        `remove tls from the Sidecar’s ingress of ${w.name}`,
      ],
      source: winner(w.tls),
    })
  if (tls.mode === 'MUTUAL' && w.tls.value === 'SIMPLE')
    return block(w, 'server', 'no-client-certificate', {
      where,
      certificate,
      fix: [`write MUTUAL with a clientCertificate and a privateKey in ${said(winner(w.tls))}`],
      source,
    })
  const trusts = `the client takes the certificate ${certificate} that ${where} shows`
  return {
    outcome: 'tls',
    blocked: null,
    provided:
      tls.mode === 'MUTUAL'
        ? `${trusts}, and shows one that ${tls.caCertificates ?? 'the system’s authorities'} vouches for`
        : trusts,
  }
}

/** `refused`: what the policies of access and tokens said; undefined: they let it in. */
export function inboundVerdict(
  decision: InboundDecision,
  w: Words,
  { mtls, port, tls: ownServerTls }: InboundPort,
  refused: (where: string) => Verdict | undefined,
): Verdict {
  const source = winner(mtls)
  const where = port === null ? w.name : `${w.name} port ${port}`
  const ownTls = w.applicationTls && w.tls.value === 'DISABLE'
  const who = ownTls ? 'application’s own' : 'client’s'
  const ended = ownServerTls === undefined ? undefined : atOwnTls(decision, w, ownServerTls, source, where)
  const byPolicy = ended ?? refused(where)
  if (byPolicy !== undefined) return byPolicy
  switch (decision.kind) {
    case 'taken':
      return taken(decision.chain.tls !== null, w, mtls)
    case 'denied':
    case 'token-refused':
      throw new InvariantError(`no words for a call that is ${decision.kind}`)
    case 'no-certificate':
      return block(w, 'server', 'foreign-tls-to-strict', {
        where,
        mode: mtls.value,
        who,
        fix: ownTls ? callPlainly(w, true) : w.sends.fix('ISTIO_MUTUAL'),
        source,
      })
    case 'foreign-name':
      return block(w, 'server', 'other-trust-domain', { where, identity: w.identity, source: 'default' })
    case 'tls-unended':
      if (w.tls.value === 'ISTIO_MUTUAL')
        return block(w, 'server', 'mesh-tls-to-plaintext', {
          where,
          fix: [
            ...w.sends.fix('DISABLE'),
            `let ${where} take mutual TLS: PERMISSIVE or STRICT in ${said(source)}`,
          ],
          source,
        })
      return block(w, 'server', 'foreign-tls-to-http', {
        where,
        who: `${ownTls ? 'application' : 'client'}`,
        fix: ownTls ? callPlainly(w, false) : w.sends.fix('ISTIO_MUTUAL'),
        source: w.declared,
      })
    case 'method-refused': {
      const blocked = blockedBy('refused-method', 'server', answered(w.grpc, 400, 'server'), {
        method: w.method,
        source: 'default',
      })
      return { outcome: 'blocked', blocked, provided: null }
    }
    case 'expression-refused':
      return {
        outcome: 'blocked',
        blocked: blockedBy('costly-expression', 'server', answered(w.grpc, 400, 'server'), { where: `the sidecar of ${w.name}`, source: 'default' }),
        provided: null,
      }
    case 'path-refused':
      return {
        outcome: 'blocked',
        blocked: blockedBy('unreadable-path', 'server', answered(w.grpc, 400, 'server'), {
          path: w.path,
          where: `the sidecar of ${w.name}`,
          source: 'default',
        }),
        provided: null,
      }
    case 'no-chain':
      if (w.tls.value !== 'DISABLE' || ownTls)
        return block(w, 'server', 'foreign-tls-to-http', {
          where,
          who: `${ownTls ? 'application' : 'client'}`,
          fix: ownTls ? callPlainly(w, mtls.value === 'STRICT') : w.sends.fix('ISTIO_MUTUAL'),
          source: w.declared,
        })
      return block(w, 'server', 'plaintext-to-strict', {
        where,
        because: w.sends.because,
        fix: [...w.sends.fix('ISTIO_MUTUAL'), takePlaintext(w, source)],
        source,
      })
  }
}

function taken(endsTls: boolean, w: Words, mtls: InboundPort['mtls']): Verdict {
  const source = winner(mtls)
  if (endsTls) return through(w.identity !== '' ? 'mtls' : 'tls')
  if (w.tls.value === 'DISABLE') return through('plaintext')
  if (w.applicationTls) return { outcome: 'blocked', blocked: tlsInTls(w), provided: null }
  return {
    ...through('tls'),
    provided: toApplication(
      w,
      `${source === 'default' ? '' : `with ${mtls.value} (${said(source)}) `}its sidecar passes on TLS that is not the mesh’s as it is`,
    ),
  }
}

/** The server's certificate names nobody whom the client expects. */
export function clientDoubts(w: Words, expected: readonly string[], presented: string): Verdict {
  return block(w, 'client', 'unexpected-identity', {
    server: w.name,
    expected: expected.join(' or '),
    presented,
    source: winner(w.tls),
  })
}

function callPlainly(w: Words, strict: boolean): string[] {
  if (w.hasClientSidecar || !strict)
    return ['speak plain http:// from the application; the sidecars make the TLS']
  return [
    `${w.joins}, and speak plain http:// from the application`,
    `or let ${w.name} take other connections too: a PeerAuthentication with mode PERMISSIVE for this workload or port`,
  ]
}

function takePlaintext(w: Words, source: Source): string {
  return `or let ${w.name} take plaintext: mode PERMISSIVE ${source === 'default' ? 'in a PeerAuthentication for this workload or port' : `instead of STRICT in ${said(source)}, or in a PeerAuthentication for this workload or port`}`
}
