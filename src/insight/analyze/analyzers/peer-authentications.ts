// KITH0101, KITH0102, KITH0103: PeerAuthentications that count nowhere, or for another port than their author thinks.
import type { PeerAuthentication } from '#api'
import type { Problem } from '#lib/problem.ts'
import { targetPortOn, type Workload } from '#mesh'
import { policiesFor, servicesSelecting } from '#plan'
import { covers, fullName, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

const selectorOf = (policy: PeerAuthentication): Readonly<Record<string, string>> => policy.spec.selector?.matchLabels ?? {}
const isGeneral = (policy: PeerAuthentication): boolean => Object.keys(selectorOf(policy)).length === 0

export function peerAuthentications(context: AnalysisContext): Problem[] {
  if (context.all('PeerAuthentication').length === 0) return []
  const { mesh } = context
  const problems: Problem[] = []
  const root = mesh.options.rootNamespace
  // The snapshot holds them oldest first: the first of each scope wins.
  const winners = new Map<string, PeerAuthentication>()
  const lost = new Map<PeerAuthentication, Problem>()
  const lose = (loser: PeerAuthentication, winner: PeerAuthentication, where: string): void => {
    if (!lost.has(loser)) lost.set(loser, say('KITH0101', 'warning', loser, '', `counts for nothing ${where}: ${fullName(winner)} is at the same scope and older (or first by name), and the two are not merged`, 'merge them into one'))
  }
  for (const policy of mesh.peerAuthentications) {
    const { namespace } = policy.metadata
    if (namespace === root && !isGeneral(policy)) {
      problems.push(say('KITH0102', 'warning', policy, 'spec.selector', `a PeerAuthentication of the root namespace ${root} with a selector counts nowhere`, 'put it into the workload’s namespace, or leave the selector out'))
      continue
    }
    if (!isGeneral(policy)) continue
    const winner = winners.get(namespace)
    if (winner === undefined) winners.set(namespace, policy)
    else lose(policy, winner, namespace === root ? 'in the mesh' : `in ${namespace}`)
  }
  for (const workload of mesh.workloads) {
    const [winner, ...rivals] = policiesFor(context.mtls.policiesOf(workload.namespace), workload).workload
    for (const rival of rivals) lose(rival, winner as PeerAuthentication, `for ${workload.namespace}/${workload.name}`)
  }
  return [...problems, ...lost.values()]
}

export function portLevelServicePorts(context: AnalysisContext): Problem[] {
  const policies = context.all('PeerAuthentication').filter((p) => p.apiVersion.startsWith('security.istio.io/') && Object.keys((p as PeerAuthentication).spec.portLevelMtls ?? {}).length > 0) as PeerAuthentication[]
  return policies.flatMap((policy) => {
    const workloads = context.mesh.workloads.filter((w) => w.namespace === policy.metadata.namespace && covers(selectorOf(policy), w.labels))
    return Object.keys(policy.spec.portLevelMtls ?? {}).flatMap((key): Problem[] => {
      for (const workload of workloads) {
        const right = containerPortFor(context, workload, Number(key))
        if (right !== undefined) {
          return [say('KITH0103', 'warning', policy, `spec.portLevelMtls.${key}`, `portLevelMtls takes the container’s port: ${key} is the port of Service ${right.service}, which leads to ${right.port} of ${workload.namespace}/${workload.name}`, `write ${right.port}`)]
        }
      }
      return []
    })
  })
}

/** Where `port` is a Service port that leads elsewhere, and no container port: the container port it leads to. */
function containerPortFor(context: AnalysisContext, workload: Workload, port: number): { readonly service: string; readonly port: number } | undefined {
  const services = servicesSelecting(context, workload)
  if (workload.ports.some((p) => p.port === port) || services.some((s) => s.ports.some((p) => targetPortOn(workload, p) === port))) return undefined
  for (const service of services) {
    const named = service.ports.find((p) => p.number === port)
    const target = named === undefined ? undefined : targetPortOn(workload, named)
    if (target !== undefined && target !== port) return { service: service.name, port: target }
  }
  return undefined
}
