// What a security policy asks for and the mesh does not do; a policy on a gateway or a waypoint is not ours to carry out.
import { unserved } from '#api'
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext } from '../context.ts'

export function unservedPolicies(context: AnalysisContext): Problem[] {
  return context.objects.flatMap(unserved)
}
