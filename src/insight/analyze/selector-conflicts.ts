// What Sidecars and Telemetries have in common: selectors that find no pod, two that find one pod, two that select nothing in particular.
import type { ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, selectorText, type AnalysisContext, type Labels } from './context.ts'
import { notFound, say } from './problem.ts'

export interface Selecting<O extends ApiObject> {
  readonly objects: readonly O[]
  /** `Sidecars` */
  readonly plural: string
  /** Path of the labels to select by. */
  readonly path: string
  /** undefined: none is written; {}: one that names no label. */
  selectorOf(object: O): Labels | undefined
  readonly conflict: string
  readonly several: string
  /** A selector without labels is none; else nothing is said of it. */
  readonly emptyIsNone?: true
  /** Of workloads that have no sidecar by intention, where that matters: IST0167. */
  readonly needsSidecars?: true
}

export function selectorConflicts<O extends ApiObject>(context: AnalysisContext, kind: Selecting<O>): Problem[] {
  const problems: Problem[] = []
  const byPod = new Map<string, O[]>()
  const general = new Map<string, O[]>()
  const add = (to: Map<string, O[]>, key: string, object: O): void => void to.set(key, [...(to.get(key) ?? []), object])
  for (const object of kind.objects) {
    const { namespace } = object.metadata
    const selector = kind.selectorOf(object)
    const empty = selector === undefined || Object.keys(selector).length === 0
    if (selector === undefined || (empty && kind.emptyIsNone === true)) add(general, namespace, object)
    if (empty) continue
    const pods = context.all('Pod').filter((p) => p.metadata.namespace === namespace && covers(selector, p.metadata.labels))
    if (pods.length === 0 && !context.templates.some((t) => t.namespace === namespace && covers(selector, t.labels))) problems.push(notFound(object, kind.path, 'selector', selectorText(selector)))
    const ambient = kind.needsSidecars === true ? pods.find((p) => p.metadata.annotations['ambient.istio.io/redirection'] === 'enabled') : undefined
    if (ambient !== undefined) problems.push(say('IST0167', 'warning', object, kind.path, `The policy has no impact: the selected workload ${ambient.metadata.name} is in ambient mode`))
    for (const pod of pods.filter((p) => p !== ambient)) add(byPod, `${namespace}/${pod.metadata.name}`, object)
  }
  const names = (list: readonly O[]): string => list.map((o) => o.metadata.name).join(', ')
  const said = new Set<O>()
  for (const [pod, list] of byPod) {
    if (list.length < 2) continue
    for (const object of list.filter((o) => !said.has(o))) {
      said.add(object)
      problems.push(say(kind.conflict, 'error', object, kind.path.slice(0, kind.path.lastIndexOf('.')), `The ${kind.plural} ${names(list)} select the same pod ${pod}, which can lead to undefined behavior`))
    }
  }
  for (const [namespace, list] of general) {
    if (kind.needsSidecars === true && isAmbient(context.namespaceLabels(namespace))) problems.push(...list.map((object) => say('IST0167', 'warning', object, 'metadata.namespace', `The policy has no impact: the namespace ${namespace} is in ambient mode`)))
    else if (list.length > 1) for (const object of list) problems.push(say(kind.several, 'error', object, 'metadata.name', `The ${kind.plural} ${names(list)} in namespace ${namespace} have no workload selector, which can lead to undefined behavior`))
  }
  return problems
}

function isAmbient(labels: Labels | undefined): boolean {
  return labels?.['istio.io/dataplane-mode'] === 'ambient' && labels['istio-injection'] !== 'enabled' && (labels['istio.io/rev'] ?? '') === ''
}
