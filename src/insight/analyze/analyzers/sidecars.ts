// IST0101, IST0110, IST0111: Sidecars that select nobody, or somebody whom another selects too. IST0167: workloads without sidecars.
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext } from '../context.ts'
import { selectorConflicts } from '../selector-conflicts.ts'

export function sidecars(context: AnalysisContext): Problem[] {
  return selectorConflicts(context, {
    objects: context.all('Sidecar'), plural: 'Sidecars', path: 'spec.workloadSelector.labels', conflict: 'IST0110', several: 'IST0111', emptyIsNone: true, needsSidecars: true,
    selectorOf: ({ spec }) => (spec.workloadSelector === undefined ? undefined : (spec.workloadSelector.labels ?? {})),
  })
}
