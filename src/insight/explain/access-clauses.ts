// Which test of an access rule a call does not meet, in a sentence. Law: a test is asked of the engine, alone in a rule of its own; nothing is compared here.
import { claimAt, lastForwarded, type Claims } from '#engine'
import { principalOf } from './token.ts'
import { formatRef } from '#lib/problem.ts'
import { claimPath, inboundFor, type AccessPolicy, type AccessRule, type AccessTest, type ProxyPlan } from '#plan'
import type { Workload } from '#mesh'
import { decideInbound, inboundConfig, type InboundCall } from '../simulate/index.ts'
import type { Question } from './question.ts'
import { asRead } from './target.ts'
import type { Explanation, NotApplied } from './types.ts'

/** A rule that the call does not match. */
export interface ClauseNotMet extends NotApplied {
  /** What would make it match. */
  readonly fix: string
}

/** For each rule of the server's policies that did not decide: the first test that fails. */
export function accessNotMet(q: Question, answer: Explanation, server: Workload): NotApplied[] {
  const plan = q.serverPlan(server)
  const decided = answer.server?.authorization?.because[0]?.source
  const chosen = decided === undefined || decided === 'default' ? '' : `${decided.namespace}/${decided.name} ${decided.path}`
  if (plan.authorization === undefined || answer.server === null || answer.server.authorization === null) return []
  const call = asArrived(q, answer, server, answer.server.port)
  const arrived = decideInbound(inboundConfig(plan), call, call.principal !== '')
  const claims = 'claims' in arrived ? arrived.claims : undefined
  const { audit = [], deny, allow } = plan.authorization
  return clausesNotMet(q, plan, [...audit, ...deny, ...allow], call, { claims, joins: '' }).filter(({ source: r }) => `${r.namespace}/${r.name} ${r.path}` !== chosen).map(({ source, why }) => ({ source, why }))
}

interface Arriving {
  readonly claims: Claims | undefined
  /** How the caller comes to show a certificate of the mesh. */
  readonly joins: string
}

export function clausesNotMet(q: Question, plan: ProxyPlan, policies: readonly AccessPolicy[], call: InboundCall, arriving: Arriving): ClauseNotMet[] {
  return policies.flatMap((policy) => policy.rules.flatMap((rule): ClauseNotMet[] => {
    const failed = firstFailed(plan, policy, rule, call)
    return failed === undefined ? [] : [{ source: rule.ref, why: sentence(failed, q, call, arriving), fix: remedy(failed, q, call, rule, plan, arriving) }]
  }))
}

function asArrived(q: Question, answer: Explanation, server: Workload, port: number): InboundCall {
  const mesh = answer.client.tls?.value === 'ISTIO_MUTUAL'
  const to = answer.client.destination
  const sni = to === null ? '' : `outbound_.${to.port}_.${to.subset ?? ''}_.${to.host}`
  const { path, authority } = answer.client.route.value
  const request = q.bytes.http === undefined ? {} : { request: { ...q.request, path: asRead(path ?? q.request.path, q.mesh), ...(authority === undefined ? {} : { authority }), header: (name: string) => q.request.header(name) } }
  return {
    ...(q.nowMs === undefined ? {} : { nowMs: q.nowMs }),
    original: { address: server.addresses[0] ?? '', port }, source: q.source, principal: mesh ? q.client.identity : '', ...request,
    bytes: mesh ? { tls: { serverName: sni, alpn: [q.bytes.http === undefined ? 'istio' : 'istio-http/1.1', 'istio'] } } : q.bytes,
  }
}

function firstFailed(plan: ProxyPlan, policy: AccessPolicy, rule: AccessRule, call: InboundCall): AccessTest | undefined {
  const one = inboundFor(plan.inbound, call.original.port)
  const holds = (part: Pick<AccessRule, 'callers' | 'calls'>): boolean => {
    const authorization = { deny: [], allow: [{ ...policy, dryRun: false, rules: [{ ref: rule.ref, ...part }] }] }
    return decideInbound(inboundConfig({ ...plan, inbound: one === undefined ? [] : [one], authorization }), call, call.principal !== '').kind === 'taken'
  }
  const unmet = (alternatives: readonly (readonly AccessTest[])[], alone: (test: AccessTest) => boolean): AccessTest | undefined => {
    const failed = alternatives.map((tests) => tests.find((t) => !alone(t)))
    return failed.includes(undefined) ? undefined : failed[0]
  }
  return unmet(rule.callers, (t) => holds({ callers: [[t]], calls: [[]] })) ?? unmet(rule.calls, (t) => holds({ callers: [[]], calls: [[t]] }))
}

const names: Readonly<Record<string, string>> = {
  'source.principal': 'the caller’s principal', 'source.namespace': 'the caller’s namespace', 'source.serviceAccount': 'the caller’s service account', 'source.trustDomain': 'the caller’s trust domain', 'source.ip': 'the caller’s address',
  'request.auth.principal': 'the token’s principal', 'request.auth.audiences': 'the token’s audience', 'request.auth.presenter': 'the token’s presenter',
  'remote.ip': 'the caller’s address', 'request.method': 'the method', 'request.path': 'the path', 'request.host': 'the Host', 'destination.port': 'the container’s port', 'destination.ip': 'the server’s address', 'connection.sni': 'the server name (SNI)',
}

/** What the user writes for it. Of any other attribute: a `when` with this key. */
const fields: Readonly<Record<string, string>> = {
  'source.principal': 'principals', 'source.namespace': 'namespaces', 'source.serviceAccount': 'serviceAccounts', 'source.ip': 'ipBlocks', 'remote.ip': 'remoteIpBlocks',
  'request.auth.principal': 'requestPrincipals', 'request.method': 'methods', 'request.path': 'paths', 'request.host': 'hosts', 'destination.port': 'ports',
}

function remedy(test: AccessTest, q: Question, call: InboundCall, rule: AccessRule, plan: ProxyPlan, { claims, joins }: Arriving): string {
  const at = formatRef(rule.ref)
  const token = test.attribute.startsWith('request.auth.')
  const have = token ? ofToken(test.attribute, { claims }) : valueOf(test.attribute, q, call)
  const field = fields[test.attribute] ?? `the values of ${test.attribute}`
  if (call.request === undefined && test.attribute.startsWith('request.')) return `take ${field} out of ${at}, or declare the port as HTTP: on TCP such a rule allows nobody`
  if (token && claims === undefined) return plan.authentication === undefined || plan.authentication.length === 0 ? `add a RequestAuthentication for this workload and send a token that it verifies: ${at} asks for one` : `send a token that ${formatRef(plan.authentication[0]?.ref ?? rule.ref)} verifies: ${at} asks for one`
  if (have === undefined && test.attribute.startsWith('source.')) return `${joins}, so that it shows the certificate that ${at} asks for`
  if (have === undefined) return `send ${names[test.attribute] ?? test.attribute} with the request: ${at} asks for it`
  const or = test.attribute.startsWith('request.') && !token ? `, or send ${test.values.slice(0, 3).join(' or ')}` : ''
  return test.values.length > 0 ? `add ${JSON.stringify(have)} to ${field} of ${at}${or}` : `take ${JSON.stringify(have)} out of what ${at} rules out (${test.notValues.join(', ')})`
}

/** What a token says, as text; undefined: nothing. */
function ofToken(attribute: string, { claims }: { readonly claims: Claims | undefined }): string | undefined {
  if (claims === undefined) return undefined
  if (attribute === 'request.auth.principal') return principalOf(claims)
  const value = claimAt(claims, claimPath(attribute) ?? [])
  return value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value)
}

function sentence(test: AccessTest, q: Question, call: InboundCall, answer: Pick<Arriving, 'claims'>): string {
  const what = names[test.attribute] ?? test.attribute
  const have = test.attribute.startsWith('request.auth.') ? ofToken(test.attribute, answer) : valueOf(test.attribute, q, call)
  if (call.request === undefined && test.attribute.startsWith('request.')) return `it asks for ${what}, and this is no HTTP: on TCP the rule allows nobody`
  if (have === undefined && test.attribute.startsWith('request.auth.') && answer.claims === undefined) return 'the request brings no token that a RequestAuthentication verifies, so it has no principal of its own'
  if (have === undefined) return test.attribute.startsWith('source.') ? 'the caller shows no certificate of the mesh, so it has no principal and no namespace' : `${what} is missing`
  const listed = test.values.length > 0 ? `is not ${test.values.length === 1 ? '' : 'one of '}${test.values.join(', ')}` : `is ruled out: not ${test.notValues.join(', ')}`
  return `${what} ${JSON.stringify(have)} ${listed}`
}

/** What the call shows; undefined: nothing. */
function valueOf(attribute: string, { client, source }: Question, call: InboundCall): string | undefined {
  const [, domain, namespace, account] = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/(.+)$/.exec(call.principal) ?? []
  switch (attribute) {
    case 'source.principal':
      return call.principal === '' ? undefined : call.principal.slice('spiffe://'.length)
    case 'source.namespace':
      return namespace
    case 'source.serviceAccount':
      return account === undefined ? undefined : `${client.namespace}/${account}`
    case 'source.trustDomain':
      return domain
    case 'source.ip':
      return source
    case 'remote.ip':
      return lastForwarded(call.request?.header('x-forwarded-for')) ?? source
    case 'request.method':
      return call.request?.method
    case 'request.path':
      return call.request?.path.split('?')[0]
    case 'request.host':
      return call.request?.authority
    case 'destination.port':
      return String(call.original.port)
    case 'destination.ip':
      return call.original.address
    case 'connection.sni':
      return call.bytes.tls?.serverName ?? ''
    default: {
      const value = call.request?.header(/^request\.headers\[(.+)\]$/.exec(attribute)?.[1]?.toLowerCase() ?? '')
      return value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8')
    }
  }
}
