// IST0127: policies that reach no pod of the mesh. IST0101: namespaces that a rule names and nobody has.
import type { AuthorizationPolicySpec } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, selectorText, type AnalysisContext, type Labels } from '../context.ts'
import { notFound, say } from '../problem.ts'

export function authorizationPolicies(context: AnalysisContext): Problem[] {
  const inMesh = new Map<string, Labels[]>()
  for (const workload of context.workloads) {
    const { namespace, labels, annotations } = workload
    if (!context.inMesh(workload) && annotations['ambient.istio.io/redirection'] !== 'enabled') continue
    const list = inMesh.get(namespace)
    if (list === undefined) inMesh.set(namespace, [labels])
    else list.push(labels)
  }
  const namespaces = context.all('Namespace').map((n) => n.metadata.name)
  return context.all('AuthorizationPolicy').flatMap((policy): Problem[] => {
    const spec = policy.spec as AuthorizationPolicySpec
    const problems: Problem[] = []
    const isRoot = policy.metadata.namespace === context.rootNamespace
    const pods = isRoot ? [...inMesh.values()].flat() : (inMesh.get(policy.metadata.namespace) ?? [])
    const selector = spec.selector?.matchLabels
    if (spec.selector === undefined ? !isRoot && pods.length === 0 : !pods.some((labels) => covers(selector ?? {}, labels))) {
      problems.push(say('IST0127', 'warning', policy, spec.selector === undefined ? '' : 'spec.selector', `No matching workloads for this resource with the following labels: ${selectorText(selector ?? {})}`))
    }
    spec.rules?.forEach((rule, i) => rule.from?.forEach(({ source }, j) => {
      for (const list of ['namespaces', 'notNamespaces'] as const) {
        source?.[list]?.forEach((name, k) => {
          if (!namespaces.some((n) => namespaceMatches(n, name))) problems.push(notFound(policy, `spec.rules[${i}].from[${j}].source.${list}[${k}]`, 'namespace', name))
        })
      }
    }))
    return problems
  })
}

function namespaceMatches(name: string, pattern: string): boolean {
  if (pattern === '*') return true
  if (pattern.startsWith('*')) return name.endsWith(pattern.slice(1))
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name.toLowerCase() === pattern.toLowerCase()
}
