// IST0166: policies that select a Kubernetes Gateway's pods, which listen to targetRefs alone. IST0175: a control plane that fetches any jwksUri.
import { isRecord, type ApiObject, type AuthorizationPolicySpec } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, fullName, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

const gatewayLabel = 'gateway.networking.k8s.io/gateway-name'
type Attached = Pick<AuthorizationPolicySpec, 'selector' | 'targetRef' | 'targetRefs'>

export function ineffectiveSelectors(context: AnalysisContext): Problem[] {
  const pods = context.all('Pod').filter((p) => p.metadata.labels[gatewayLabel] !== undefined)
  if (pods.length === 0) return []
  const policies: readonly ApiObject[] = [...context.all('AuthorizationPolicy'), ...context.all('RequestAuthentication'), ...context.all('Telemetry')]
  return policies.flatMap((policy): Problem[] => {
    const { selector, targetRef, targetRefs = [] } = policy.spec as Attached
    if (selector === undefined || targetRef !== undefined || targetRefs.length > 0) return []
    const pod = pods.find((p) => p.metadata.namespace === policy.metadata.namespace && covers(selector.matchLabels ?? {}, p.metadata.labels))
    return pod === undefined ? [] : [say('IST0166', 'warning', policy, 'spec.selector', `The policy selects pods of the Kubernetes Gateway ${pod.metadata.labels[gatewayLabel] ?? ''} by their labels, which has no effect there`, 'name it in targetRefs')]
  })
}

const blockedName = 'BLOCKED_CIDRS_IN_JWKS_URIS'

export function unrestrictedJwks(context: AnalysisContext): Problem[] {
  const authentications = context.all('RequestAuthentication')
  if (authentications.length === 0) return []
  return context.all('Deployment').flatMap((deployment): Problem[] => {
    if (deployment.metadata.labels['app'] !== 'istiod') return []
    const spec = deployment.spec.template?.spec as unknown
    const containers = isRecord(spec) && Array.isArray(spec['containers']) ? spec['containers'].filter(isRecord) : []
    const set = containers.some((c) => Array.isArray(c['env']) && c['env'].filter(isRecord).some((e) => e['name'] === blockedName && (e['value'] ?? '') !== ''))
    return set ? [] : [say('IST0175', 'warning', deployment, 'spec.template.spec', `${blockedName} is not set, and ${authentications.length} RequestAuthentication(s) let the control plane fetch keys: ${authentications.map(fullName).join(', ')}`, 'name the networks that must not be asked')]
  })
}
