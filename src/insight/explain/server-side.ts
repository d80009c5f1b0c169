// What becomes of the bytes at one place: the server's own chains, by the engine, with the plan's reasons.
import { invariant } from '#lib/errors.ts'
import { formatRef } from '#lib/problem.ts'
import type { Decided, Reason } from '#lib/decided.ts'
import { refTo } from '#api'
import { notRedirectedBy, redirectsInbound, sidecarPorts, type Workload } from '#mesh'
import { decideMtls, inboundFor, type Authorization } from '#plan'
import {
  decideInbound,
  inboundConfig,
  vouched,
  type FirstBytes,
  type InboundCall,
  type OnTheWire,
} from '../simulate/index.ts'
import { accessReasons } from './access.ts'
import { clausesNotMet } from './access-clauses.ts'
import { clientTls } from './client-tls.ts'
import { plainPort } from './plain-port.ts'
import type { Question } from './question.ts'
import { meetsOwnSidecar, podsAt } from './redirection.ts'
import { denied } from './refused.ts'
import { keysNeeded, principalOf, tokenVerdict } from './token.ts'
import type { Blocked, ServerSide, WireTls } from './types.ts'
import { whyUnknown } from './unknown.ts'
import {
  clientDoubts,
  inboundVerdict,
  tlsInTls,
  withoutServerSidecar,
  type Verdict,
  type Words,
} from './verdict.ts'

export interface Sent {
  readonly tls: Decided<WireTls>
  /** What arrives first. */
  readonly bytes: FirstBytes
  /** As the engine made it; absent without a client's sidecar. */
  readonly onTheWire?: OnTheWire
  /** Path and authority as they arrive. */
  readonly request?: { readonly path: string; readonly authority: string }
  /** Which service it was sent to, as the caller's sidecar names it. */
  readonly destination?: { readonly host: string; readonly port: number }
}

export interface Arrived {
  readonly server: ServerSide | null
  readonly outcome: Verdict['outcome']
  readonly blocked: Blocked | null
  readonly provided: string | null
}

export function arrive(q: Question, sent: Sent, address: string, port: number): Arrived {
  const workload = q.mesh.workloadByAddress.get(address)
  if (workload === undefined) return beyond(q, sent)
  const redirected = workload.sidecar.value ? arrivesAtSidecar(q, workload, address, port) : null
  const side = (more: Partial<ServerSide>): ServerSide => ({
    workload: `${workload.namespace}/${workload.name}`,
    sidecar: workload.sidecar,
    identity: workload.sidecar.value ? workload.identity : null,
    port,
    mtls: null,
    authorization: null,
    requestPrincipal: null,
    redirected,
    ...more,
  })
  const words = wordsFor(q, sent, workload, port, redirected)
  if (redirected?.value !== true) return { server: side({}), ...withoutServerSidecar(words) }
  return atSidecar(q, sent, workload, address, port, words, side)
}

function wordsFor(
  q: Question,
  sent: Sent,
  workload: Workload,
  port: number,
  redirected: Decided<boolean> | null,
): Words {
  const { tls } = sent
  const joins = q.way?.fix[0] ?? 'give the caller a sidecar'
  return {
    tls,
    name: `${workload.name}.${workload.namespace}`,
    port,
    hasClientSidecar: q.bySidecar,
    http: q.target.scheme !== 'tcp' && sent.request !== undefined,
    grpc: q.target.scheme === 'grpc',
    path: sent.request?.path ?? q.request.path,
    method: q.request.method,
    applicationTls: q.bytes.tls !== undefined,
    identity: tls.value === 'ISTIO_MUTUAL' ? q.client.identity : '',
    joins,
    bare: bareness(workload, port, redirected),
    declared: declaredBy(q, sent, workload, port),
    destination: plainPort(q, sent.destination),
    get sends() {
      const unknown = whyUnknown(q, 'default')
      return clientTls(tls, joins, {
        why: `the caller’s sidecar does not know the destination: ${unknown.what}`,
        fix:
          unknown.hint ??
          'call the Service by its own name and port, so that the caller’s sidecar knows what its endpoints take',
      })
    },
  }
}

/**
 * The Service's port, whose name or appProtocol says what it carries; else what takes the workload's mode.
 */
function declaredBy(q: Question, { destination }: Sent, workload: Workload, port: number): Reason['source'] {
  const service = destination === undefined ? undefined : q.mesh.servicesByHost.get(destination.host)?.[0]
  const index = service?.ports.findIndex((p) => p.number === destination?.port) ?? -1
  if (service !== undefined && index !== -1) return refTo(service.object, `spec.ports[${index}]`)
  const { service: at } = inboundFor(q.serverPlan(workload).inbound, port) ?? {}
  const own = q.mesh.servicesByHost.get(at?.host ?? '')?.[0]
  const n = own?.ports.findIndex((p) => p.number === at?.port) ?? -1
  return own === undefined || n === -1 ? refTo(workload.object, '') : refTo(own.object, `spec.ports[${n}]`)
}

/**
 * What arrives from outside the pod, what the pod's application sends itself, and what its sidecar does:
 * three ways in.
 */
function arrivesAtSidecar(q: Question, workload: Workload, address: string, port: number): Decided<boolean> {
  const decided = (value: boolean, rule: string, source: Reason['source']): Decided<boolean> => ({
    value,
    because: [{ rule, source, effect: 'chosen' }],
  })
  if (q.target.scheme === 'udp') return decided(false, 'capture.udp', 'default')
  if (q.way?.own === true && !q.bySidecar)
    return q.way.asInbound
      ? decided(true, 'capture.redirected', 'default')
      : { value: false, because: q.way.redirected.because }
  const ownPod = q.bySidecar && q.client === workload && podsAt(workload) === 1
  const redirected = ownPod ? meetsOwnSidecar(workload, address, port) : redirectsInbound(workload, port)
  if (!redirected && sidecarPorts.includes(port)) return decided(false, 'endpoint.sidecar-port', 'default')
  return redirected
    ? decided(true, 'capture.redirected', 'default')
    : decided(false, 'endpoint.not-redirected', notRedirectedBy(workload, port))
}

function bareness(workload: Workload, port: number, redirected: Decided<boolean> | null): Words['bare'] {
  const source = redirected?.because[0]?.source ?? 'default'
  const name = `${workload.name}.${workload.namespace}`
  if (redirected === null)
    return { why: 'has no sidecar to answer it', fix: `inject a sidecar into ${name}`, source: 'default' }
  const by = source === 'default' ? '' : ` (${formatRef(source)})`
  return {
    why: `keeps port ${port} from its sidecar${by}, so that the application itself answers`,
    fix: `let the pod’s rules lead port ${port} of ${name} to its sidecar`,
    source,
  }
}

/** Nothing of the mesh is at the other end. */
function beyond(q: Question, { tls, destination }: Sent): Arrived {
  const outcome = tls.value === 'DISABLE' ? 'plaintext' : tls.value === 'ISTIO_MUTUAL' ? 'mtls' : 'tls'
  if (outcome === 'plaintext' || q.bytes.tls === undefined)
    return { server: null, outcome, blocked: null, provided: null }
  return {
    server: null,
    outcome: 'blocked',
    blocked: tlsInTls({ tls, destination: plainPort(q, destination) }),
    provided: null,
  }
}

function atSidecar(
  q: Question,
  sent: Sent,
  workload: Workload,
  address: string,
  port: number,
  words: Words,
  side: (more: Partial<ServerSide>) => ServerSide,
): Arrived {
  const plan = q.serverPlan(workload)
  const inbound = inboundFor(plan.inbound, port)
  invariant(inbound !== undefined, 'a sidecar takes every port')
  const mesh = sent.tls.value === 'ISTIO_MUTUAL'
  const { http } = q.bytes
  const request =
    http === undefined
      ? undefined
      : { ...q.request, ...sent.request, header: (name: string) => q.request.header(name) }
  const call: InboundCall = {
    original: { address, port },
    source: q.source,
    bytes: sent.bytes,
    principal: mesh ? q.client.identity : '',
    ...(q.nowMs === undefined ? {} : { nowMs: q.nowMs }),
    ...(request === undefined ? {} : { request }),
  }
  const decision = decideInbound(inboundConfig(plan), call, mesh)
  const doubted =
    mesh &&
    'chain' in decision &&
    decision.chain.tls !== null &&
    !vouched(sent.onTheWire?.tls?.validation, workload.identity)
  const authorization =
    decision.kind === 'denied' || decision.kind === 'taken'
      ? accessReasons(plan.authorization, decision.access)
      : null
  const claims = 'claims' in decision ? decision.claims : undefined
  const failed = () =>
    clausesNotMet(
      q,
      plan,
      (plan.authorization?.allow ?? []).filter((p) => !p.dryRun),
      call,
      { claims, joins: words.sends.fix('ISTIO_MUTUAL')[0] ?? words.joins },
    ).map(({ source, why, fix }) => ({ rule: formatRef(source), why, fix }))
  const refused = (where: string): Verdict | undefined =>
    tokenVerdict(decision, words, plan.authentication) ??
    (decision.kind === 'denied' && authorization !== null
      ? denied(words, where, decision.chain.terminal.kind === 'http', authorization, failed)
      : undefined)
  const verdict = doubted
    ? clientDoubts(
        words,
        (sent.onTheWire?.tls?.validation?.sans ?? []).map((s) => s.text),
        workload.identity,
      )
    : inboundVerdict(decision, words, inbound, refused)
  const needs =
    claims === undefined || verdict.blocked !== null ? null : keysNeeded(claims, plan.authentication)
  const provided = [verdict.provided, needs, forgeable(request, plan.authorization)].filter((p) => p !== null).join('; ')
  return {
    server: side({
      mtls: decideMtls(q.mesh, workload, port),
      authorization,
      requestPrincipal: claims === undefined ? null : principalOf(claims),
    }),
    ...verdict,
    provided: provided === '' ? null : provided,
  }
}

/** Rules that go by a header which the caller writes itself. */
function forgeable(request: { header(name: string): string | undefined } | undefined, authorization: Authorization | undefined): string | null {
  const policies = authorization === undefined ? [] : [...(authorization.audit ?? []), ...authorization.deny, ...authorization.allow]
  const asks = policies.some((p) => p.rules.some((r) => r.callers.some((tests) => tests.some((t) => t.attribute === 'remote.ip'))))
  if (!asks || request?.header('x-forwarded-for') === undefined) return null
  return 'X-Forwarded-For arrives as it was given here: remoteIpBlocks goes by its last address, and any caller can write this header (ipBlocks goes by the connection)'
}
