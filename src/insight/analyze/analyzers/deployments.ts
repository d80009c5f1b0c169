// IST0116, IST0137: Services that select the same Deployment and disagree about its ports.
import type { ApiObject, ServiceSpec } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, fullName, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

export function deployments(context: AnalysisContext): Problem[] {
  const services = servicesByLabel(context)
  return context.all('Deployment').flatMap((deployment): Problem[] => {
    const template = deployment.spec.template
    const { namespace, name, labels } = deployment.metadata
    const podLabels = template?.metadata?.labels ?? {}
    if (labels['gateway.istio.io/managed'] === 'istio.io-mesh-controller' || !context.inMesh({ labels: podLabels, annotations: template?.metadata?.annotations ?? {}, namespace, spec: template?.spec })) return []
    const own = Object.entries(podLabels).flatMap(([k, v]) => services.get(`${namespace}\0${k}\0${v}`) ?? []).filter((s) => covers(s.spec.selector ?? {}, podLabels))
    return [
      ...conflicts(own, (p) => p.port, (p) => p.protocol ?? 'TCP').map(({ key, values, names }) =>
        say('IST0116', 'warning', deployment, 'metadata.name', `This deployment ${name} is associated with multiple services using port ${key} but different protocols (${values.join(', ')}): ${names.join(', ')}`)),
      ...conflicts(own, (p) => p.targetPort ?? p.port, (p) => p.port).map(({ key, values, names }) =>
        say('IST0137', 'warning', deployment, 'metadata.name', `This deployment ${name} is associated with multiple services ${names.join(', ')} that lead to targetPort ${key} from different ports: ${values.join(', ')}`)),
    ]
  })
}

/** Services under one of their selector's labels: a pod that they cover has it. */
function servicesByLabel(context: AnalysisContext): ReadonlyMap<string, ApiObject<string, ServiceSpec>[]> {
  const found = new Map<string, ApiObject<string, ServiceSpec>[]>()
  for (const service of context.all('Service')) {
    const first = Object.entries(service.spec.selector ?? {})[0]
    if (first === undefined) continue
    const key = `${service.metadata.namespace}\0${first[0]}\0${first[1]}`
    const list = found.get(key)
    if (list === undefined) found.set(key, [service])
    else list.push(service)
  }
  return found
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
