// IST0101, IST0110, IST0111: Sidecars that select nobody, or somebody whom another selects too.
import type { Sidecar } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, selectorText, type AnalysisContext } from '../context.ts'
import { notFound, say } from '../problem.ts'

export function sidecars(context: AnalysisContext): Problem[] {
  const problems: Problem[] = []
  const byPod = new Map<string, Sidecar[]>()
  const general = new Map<string, Sidecar[]>()
  const add = (to: Map<string, Sidecar[]>, key: string, sidecar: Sidecar): void => void to.set(key, [...(to.get(key) ?? []), sidecar])
  for (const sidecar of context.all('Sidecar')) {
    const { namespace } = sidecar.metadata
    if (sidecar.spec.workloadSelector === undefined) add(general, namespace, sidecar)
    const selector = sidecar.spec.workloadSelector?.labels ?? {}
    if (Object.keys(selector).length === 0) continue
    const pods = context.all('Pod').filter((p) => p.metadata.namespace === namespace && covers(selector, p.metadata.labels))
    if (pods.length === 0) problems.push(notFound(sidecar, 'spec.workloadSelector.labels', 'selector', selectorText(selector)))
    for (const pod of pods) add(byPod, `${namespace}/${pod.metadata.name}`, sidecar)
  }
  const names = (list: readonly Sidecar[]): string => list.map((s) => s.metadata.name).join(', ')
  const said = new Set<Sidecar>()
  for (const [pod, list] of byPod) {
    if (list.length < 2) continue
    for (const sidecar of list) {
      if (said.has(sidecar)) continue
      said.add(sidecar)
      problems.push(say('IST0110', 'error', sidecar, 'spec.workloadSelector', `The Sidecars ${names(list)} select the same pod ${pod}, which can lead to undefined behavior`))
    }
  }
  for (const [namespace, list] of general) {
    if (list.length > 1) for (const sidecar of list) problems.push(say('IST0111', 'error', sidecar, 'metadata.name', `The Sidecars ${names(list)} in namespace ${namespace} have no workload selector, which can lead to undefined behavior`))
  }
  return problems
}
