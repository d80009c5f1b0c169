// IST0116, IST0137: Services that select the same Deployment and disagree about its ports.
import type { ApiObject, ServiceSpec } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, fullName, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

export function deployments(context: AnalysisContext): Problem[] {
  return context.all('Deployment').flatMap((deployment): Problem[] => {
    const template = deployment.spec.template
    const { namespace, name, labels } = deployment.metadata
    const podLabels = template?.metadata?.labels ?? {}
    if (labels['gateway.istio.io/managed'] === 'istio.io-mesh-controller' || !context.inMesh({ labels: podLabels, annotations: template?.metadata?.annotations ?? {}, namespace, spec: template?.spec })) return []
    const services = context.all('Service').filter((s) => s.metadata.namespace === namespace && Object.keys(s.spec.selector ?? {}).length > 0 && covers(s.spec.selector ?? {}, podLabels))
    return [
      ...conflicts(services, (p) => p.port, (p) => p.protocol ?? 'TCP').map(({ key, values, names }) =>
        say('IST0116', 'warning', deployment, 'metadata.name', `This deployment ${name} is associated with multiple services using port ${key} but different protocols (${values.join(', ')}): ${names.join(', ')}`)),
      ...conflicts(services, (p) => p.targetPort ?? p.port, (p) => p.port).map(({ key, values, names }) =>
        say('IST0137', 'warning', deployment, 'metadata.name', `This deployment ${name} is associated with multiple services ${names.join(', ')} that lead to targetPort ${key} from different ports: ${values.join(', ')}`)),
    ]
  })
}

type Port = NonNullable<ServiceSpec['ports']>[number]

/** Keys for which the Services' ports have more than one value. */
function conflicts(services: readonly ApiObject<string, ServiceSpec>[], key: (port: Port) => string | number, value: (port: Port) => string | number): { key: string; values: string[]; names: string[] }[] {
  const found = new Map<string, Map<string, Set<string>>>()
  for (const service of services) {
    for (const port of Array.isArray(service.spec.ports) ? service.spec.ports : []) {
      const byValue = found.get(String(key(port))) ?? new Map<string, Set<string>>()
      found.set(String(key(port)), byValue)
      const names = byValue.get(String(value(port))) ?? new Set<string>()
      byValue.set(String(value(port)), names.add(fullName(service)))
    }
  }
  return [...found].filter(([, byValue]) => byValue.size > 1).map(([k, byValue]) => ({ key: k, values: [...byValue.keys()].sort(), names: [...new Set([...byValue.values()].flatMap((s) => [...s]))].sort() }))
}
