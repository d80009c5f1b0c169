// What becomes of the client's bytes at one endpoint: the table of Istio's inbound chains, told as outcome and reason.
import type { Decided, Reason } from '#lib/decided.ts'
import { formatRef, type Ref } from '#lib/problem.ts'
import type { InboundPort, MtlsMode } from '#plan'
import type { Blocked, Outcome, WireTls } from './types.ts'

export interface Verdict {
  readonly outcome: Exclude<Outcome, 'mixed'>
  readonly blocked: Blocked | null
}

export interface ServerFacts {
  readonly name: string
  readonly sidecar: boolean
  readonly inbound?: InboundPort
}

const winner = (d: Decided<unknown>): Ref | 'default' => d.because[0]?.source ?? 'default'
const said = (source: Ref | 'default'): string => (source === 'default' ? 'the default' : formatRef(source))

/** `hasClientSidecar` decides what the caller sees: its own proxy's 503, or a closed connection. */
export function judge(tls: Decided<WireTls>, server: ServerFacts, hasClientSidecar: boolean, http: boolean): Verdict {
  const wire = tls.value
  const symptom = hasClientSidecar && http ? '503 from the caller’s sidecar (response flags UC, upstream connection termination)' : 'the connection is closed before any answer'
  const block = (at: 'client' | 'server', why: string, source: Ref | 'default', fix: string[]): Verdict => ({ outcome: 'blocked', blocked: { at, why, symptom, source, fix } })
  if (!server.sidecar || server.inbound === undefined) {
    if (wire === 'DISABLE') return { outcome: 'plaintext', blocked: null }
    if (wire === 'ISTIO_MUTUAL') return block('client', `${said(winner(tls))} asks for mesh mutual TLS, and ${server.name} has no sidecar to answer it`, winner(tls), [...changeTls(tls), `inject a sidecar into ${server.name}`])
    return { outcome: 'tls', blocked: null }
  }
  const { mtls, protocol, port } = server.inbound
  return judgeMode(wire, tls, mtls, protocol === 'http' || protocol === 'http2' || protocol === 'grpc', server.name, port, block)
}

function judgeMode(wire: WireTls, tls: Decided<WireTls>, mtls: Decided<MtlsMode>, http: boolean, name: string, port: number | null, block: (at: 'client' | 'server', why: string, source: Ref | 'default', fix: string[]) => Verdict): Verdict {
  const where = port === null ? name : `${name} port ${port}`
  if (mtls.value === 'DISABLE') {
    if (wire === 'DISABLE') return { outcome: 'plaintext', blocked: null }
    if (wire === 'ISTIO_MUTUAL') return block('server', `${said(winner(mtls))} turns mutual TLS off on ${where}, so nobody ends the client’s TLS`, winner(mtls), [...changeTls(tls), 'let the server take mutual TLS: PERMISSIVE or STRICT'])
    return http ? block('server', `${where} takes plaintext HTTP only (${said(winner(mtls))}), and the client sends TLS`, winner(mtls), changeTls(tls)) : { outcome: 'tls', blocked: null }
  }
  if (wire === 'ISTIO_MUTUAL') return { outcome: 'mtls', blocked: null }
  if (mtls.value === 'STRICT') {
    if (wire === 'DISABLE') return block('server', `${where} is STRICT and the client sends plaintext`, winner(mtls), fixPlaintext(tls, name))
    return block('server', `${where} is STRICT, and the client’s TLS shows no certificate of the mesh`, winner(mtls), changeTls(tls))
  }
  if (wire === 'DISABLE') return { outcome: 'plaintext', blocked: null }
  return http ? block('server', `${where} carries HTTP: TLS that is not the mesh’s own is closed there`, winner(mtls), changeTls(tls)) : { outcome: 'tls', blocked: null }
}

function changeTls(tls: Decided<WireTls>): string[] {
  const source = winner(tls)
  return source === 'default' ? [] : [`change ${formatRef(source)}: remove it (mutual TLS is automatic) or write ${tls.value === 'ISTIO_MUTUAL' ? 'DISABLE' : 'ISTIO_MUTUAL'}`]
}

function fixPlaintext(tls: Decided<WireTls>, name: string): string[] {
  const rule: Reason | undefined = tls.because[0]
  if (rule?.rule === 'tls.no-sidecar') return ['give the caller a sidecar', `or let ${name} take plaintext from it: a PeerAuthentication with mode PERMISSIVE for this workload or port`]
  return changeTls(tls)
}
