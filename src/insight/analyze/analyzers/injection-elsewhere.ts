// KITH0123: a label for injection on the Deployment instead of its template, an annotation where a label counts, a word that is none.
// Pods without a sidecar are IST0103's, and misplaced annotations of a Deployment IST0107's: nothing is said twice.
import type { Problem } from '#lib/problem.ts'
import { injectionAskedElsewhere } from '../../injection/asked-elsewhere.ts'
import { isControlPlane, type AnalysisContext } from '../context.ts'

export function askedElsewhere(context: AnalysisContext): Problem[] {
  const ours = context.objects.filter((o) => !isControlPlane(o.metadata.labels))
  return injectionAskedElsewhere(ours).filter(({ ref }) => ref.kind !== 'Pod' || ref.path !== '').filter(({ ref }) => ref.kind !== 'Deployment' || !ref.path.startsWith('metadata.annotations.'))
}
