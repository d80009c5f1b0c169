// What becomes of the bytes at one place: the server's own chains, by the engine, with the plan's reasons.
import { invariant } from '#lib/errors.ts'
import { formatRef } from '#lib/problem.ts'
import type { Decided, Reason } from '#lib/decided.ts'
import { notRedirectedBy, redirectsInbound, sidecarPorts, type Workload } from '#mesh'
import { decideMtls, inboundFor } from '#plan'
import { decideInbound, inboundConfig, vouched, type FirstBytes, type OnTheWire } from '../simulate/index.ts'
import type { Question } from './question.ts'
import { meetsOwnSidecar, podsAt } from './redirection.ts'
import type { Blocked, ServerSide, WireTls } from './types.ts'
import { accessReasons } from './access.ts'
import { keysNeeded, principalOf, tokenVerdict } from './token.ts'
import { clientDoubts, inboundVerdict, withoutServerSidecar, type Verdict, type Words } from './verdict.ts'

export interface Sent {
  readonly tls: Decided<WireTls>
  /** What arrives first. */
  readonly bytes: FirstBytes
  /** As the engine made it; absent without a client's sidecar. */
  readonly onTheWire?: OnTheWire
  /** Path and authority as they arrive. */
  readonly request?: { readonly path: string; readonly authority: string }
}

export interface Arrived {
  readonly server: ServerSide | null
  readonly outcome: Verdict['outcome']
  readonly blocked: Blocked | null
  readonly provided: string | null
}

export function arrive(q: Question, sent: Sent, address: string, port: number): Arrived {
  const workload = q.mesh.workloadByAddress.get(address)
  const { tls } = sent
  if (workload === undefined) return { server: null, outcome: outcomeBeyond(tls.value), blocked: null, provided: null }
  const redirected = workload.sidecar.value ? arrivesAtSidecar(q, workload, address, port) : null
  const words: Words = {
    tls, name: `${workload.name}.${workload.namespace}`, port, hasClientSidecar: q.bySidecar, http: q.target.scheme !== 'tcp' && sent.request !== undefined, grpc: q.target.scheme === 'grpc', applicationTls: q.bytes.tls !== undefined, identity: tls.value === 'ISTIO_MUTUAL' ? q.client.identity : '',
    joins: q.way?.fix[0] ?? 'give the caller a sidecar', bare: bareness(workload, port, redirected),
  }
  const side = (more: Partial<ServerSide>): ServerSide => ({
    workload: `${workload.namespace}/${workload.name}`, sidecar: workload.sidecar, identity: workload.sidecar.value ? workload.identity : null, port, mtls: null, authorization: null, requestPrincipal: null, redirected, ...more,
  })
  if (redirected?.value !== true) return { server: side({}), ...withoutServerSidecar(words) }
  return atSidecar(q, sent, workload, address, port, words, side)
}

/** What arrives from outside the pod, what the pod's application sends itself, and what its sidecar does: three ways in. */
function arrivesAtSidecar(q: Question, workload: Workload, address: string, port: number): Decided<boolean> {
  const decided = (value: boolean, rule: string, source: Reason['source']): Decided<boolean> => ({ value, because: [{ rule, source, effect: 'chosen' }] })
  if (q.target.scheme === 'udp') return decided(false, 'capture.udp', 'default')
  if (q.way?.own === true && !q.bySidecar) return q.way.asInbound ? decided(true, 'capture.redirected', 'default') : { value: false, because: q.way.redirected.because }
  const ownPod = q.bySidecar && q.client === workload && podsAt(workload) === 1
  const redirected = ownPod ? meetsOwnSidecar(workload, address, port) : redirectsInbound(workload, port)
  if (!redirected && sidecarPorts.includes(port)) return decided(false, 'endpoint.sidecar-port', 'default')
  return redirected ? decided(true, 'capture.redirected', 'default') : decided(false, 'endpoint.not-redirected', notRedirectedBy(workload, port))
}

function bareness(workload: Workload, port: number, redirected: Decided<boolean> | null): Words['bare'] {
  const source = redirected?.because[0]?.source ?? 'default'
  const name = `${workload.name}.${workload.namespace}`
  if (redirected === null) return { why: 'has no sidecar to answer it', fix: `inject a sidecar into ${name}`, source: 'default' }
  const by = source === 'default' ? '' : ` (${formatRef(source)})`
  return { why: `keeps port ${port} from its sidecar${by}, so that the application itself answers`, fix: `let the pod’s rules lead port ${port} of ${name} to its sidecar`, source }
}

function outcomeBeyond(wire: WireTls): Verdict['outcome'] {
  return wire === 'DISABLE' ? 'plaintext' : wire === 'ISTIO_MUTUAL' ? 'mtls' : 'tls'
}

function atSidecar(q: Question, sent: Sent, workload: Workload, address: string, port: number, words: Words, side: (more: Partial<ServerSide>) => ServerSide): Arrived {
  const plan = q.serverPlan(workload)
  const inbound = inboundFor(plan.inbound, port)
  invariant(inbound !== undefined, 'a sidecar takes every port')
  const mesh = sent.tls.value === 'ISTIO_MUTUAL'
  const { http } = q.bytes
  const request = http === undefined ? undefined : { ...q.request, ...sent.request, header: (name: string) => q.request.header(name) }
  const call = { original: { address, port }, source: q.source, bytes: sent.bytes, principal: mesh ? q.client.identity : '', ...(q.nowMs === undefined ? {} : { nowMs: q.nowMs }), ...(request === undefined ? {} : { request }) }
  const decision = decideInbound(inboundConfig(plan), call, mesh)
  const doubted = mesh && 'chain' in decision && decision.chain.tls !== null && !vouched(sent.onTheWire?.tls?.validation, workload.identity)
  const verdict = doubted ? clientDoubts(words, (sent.onTheWire?.tls?.validation?.sans ?? []).map((s) => s.text), workload.identity) : tokenVerdict(decision, words, plan.authentication) ?? inboundVerdict(decision, words, inbound, plan.authorization)
  const authorization = decision.kind === 'denied' || decision.kind === 'taken' ? accessReasons(plan.authorization, decision.access) : null
  const claims = 'claims' in decision ? decision.claims : undefined
  const needs = claims === undefined || verdict.blocked !== null ? null : keysNeeded(claims, plan.authentication)
  const provided = [verdict.provided, needs].filter((p) => p !== null).join('; ')
  return { server: side({ mtls: decideMtls(q.mesh, workload, port), authorization, requestPrincipal: claims === undefined ? null : principalOf(claims) }), ...verdict, provided: provided === '' ? null : provided }
}
