// Who may call a workload: the AuthorizationPolicies that reach it, their rules as tests of the caller and of the call.
// Istio: pilot/pkg/security/authz. Law: what can't be decided here is never let pass for that.
import type { Problem } from '#lib/problem.ts'
import { refTo, unserved, type AuthorizationPolicy, type RequestAuthentication } from '#api'
import { selectorCovers, type Mesh, type Workload } from '#mesh'
import type { PlanContext } from './context.ts'
import type { AccessPolicy, AccessRule, AccessTest, Authorization } from './types.ts'

type Reached = Pick<Workload, 'namespace' | 'labels'>
type Rule = NonNullable<AuthorizationPolicy['spec']['rules']>[number]

/** For the plan: nothing at all where nobody has said anything. */
export function authorized(context: PlanContext): { readonly authorization?: Authorization } {
  const reaching = context.mesh.authorizationPolicies.filter((p) => policyReaches(p, context.mesh, context.client))
  const of = (...actions: string[]): AccessPolicy[] => reaching.filter((p) => actions.includes(p.spec.action ?? 'ALLOW')).map((p) => accessPolicy(p, context.mesh))
  const [audit, deny, allow] = [of('AUDIT'), of('DENY', 'CUSTOM'), of('ALLOW')]
  return audit.length + deny.length + allow.length === 0 ? {} : { authorization: { ...(audit.length === 0 ? {} : { audit }), deny, allow } }
}

/** Of the root namespace and the workload's own, with selectors in both. A targetRef names a gateway or a waypoint, never a sidecar. */
export function policyReaches(policy: AuthorizationPolicy | RequestAuthentication, mesh: Mesh, workload: Reached): boolean {
  const { namespace } = policy.metadata
  if (namespace !== mesh.options.rootNamespace && namespace !== workload.namespace) return false
  if (policy.spec.targetRef !== undefined || (policy.spec.targetRefs ?? []).length > 0) return false
  return selectorCovers(policy.spec.selector?.matchLabels ?? {}, workload.labels)
}

function accessPolicy(policy: AuthorizationPolicy, mesh: Mesh): AccessPolicy {
  const dryRun = /^(?:1|t|T|true|TRUE|True)$/.test(policy.metadata.annotations['istio.io/dry-run'] ?? '')
  return { ref: refTo(policy, 'spec'), dryRun, rules: (policy.spec.rules ?? []).map((rule, i) => ({ ref: refTo(policy, `spec.rules[${i}]`), ...accessRule(rule, policy.metadata.namespace, mesh) })) }
}

function accessRule(rule: Rule, namespace: string, mesh: Mesh): Omit<AccessRule, 'ref'> {
  const when = (rule.when ?? []).map((w) => test(w.key ?? '', w.values, w.notValues, namespace, mesh))
  const [ofCall, ofCaller] = [when.filter((t) => isOfCall(t.attribute)), when.filter((t) => !isOfCall(t.attribute))]
  const said = (...tests: AccessTest[]): AccessTest[] => tests.filter((t) => t.values.length + t.notValues.length > 0)
  const callers = (rule.from ?? [{}]).map(({ source: s = {} }) => [
    ...said(
      test('source.principal', s.principals, s.notPrincipals, namespace, mesh), test('source.serviceAccount', s.serviceAccounts, s.notServiceAccounts, namespace, mesh), test('source.trustDomain', s.trustDomains, s.notTrustDomains, namespace, mesh),
      test('request.auth.principal', s.requestPrincipals, s.notRequestPrincipals, namespace, mesh), test('source.namespace', s.namespaces, s.notNamespaces, namespace, mesh),
      test('remote.ip', s.remoteIpBlocks, s.notRemoteIpBlocks, namespace, mesh), test('source.ip', s.ipBlocks, s.notIpBlocks, namespace, mesh),
    ), ...ofCaller,
  ])
  const calls = (rule.to ?? [{}]).map(({ operation: o = {} }) => [
    ...said(test('request.host', o.hosts, o.notHosts, namespace, mesh), test('request.method', o.methods, o.notMethods, namespace, mesh), test('request.path', o.paths, o.notPaths, namespace, mesh), test('destination.port', o.ports, o.notPorts, namespace, mesh)),
    ...ofCall,
  ])
  return { callers, calls }
}

const isOfCall = (attribute: string): boolean => attribute.startsWith('destination.') || attribute === 'connection.sni' || attribute.startsWith('experimental.')

function test(attribute: string, values: readonly string[] = [], notValues: readonly string[] = [], namespace: string, mesh: Mesh): AccessTest {
  const whole = (list: readonly string[]): readonly string[] =>
    attribute === 'source.principal' ? list.flatMap((v) => inOurDomains(v, mesh)) : attribute === 'source.serviceAccount' ? list.map((v) => (v.includes('/') ? v : `${namespace}/${v}`)) : list
  return { attribute, values: whole(values), notValues: whole(notValues) }
}

/** A principal of one of the mesh's trust domains stands for the same one in each of them; cluster.local is the mesh's own. */
function inOurDomains(principal: string, { options }: Mesh): string[] {
  const slash = principal.indexOf('/')
  const ours = [options.trustDomain, ...options.trustDomainAliases]
  const domain = principal.slice(0, Math.max(0, slash))
  return ours.includes(domain) || domain === 'cluster.local' ? ours.map((d) => d + principal.slice(slash)) : [principal]
}

/** Policies that reach the workload and are not carried out as they are meant. */
export function unservedPolicies({ mesh, client }: PlanContext): Problem[] {
  return [...mesh.authorizationPolicies, ...mesh.requestAuthentications].filter((p) => policyReaches(p, mesh, client)).flatMap(unserved)
}
