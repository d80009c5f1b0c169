// KITH0120: VirtualServices and ServiceEntries that decide where other namespaces' clients send calls to a host of another namespace (ISTIO-SECURITY-2026-002).
import type { Problem } from '#lib/problem.ts'
import { foreignHostProblem, foreignHosts } from '#mesh'
import type { AnalysisContext } from '../context.ts'

export function hostsOfOthers(context: AnalysisContext): Problem[] {
  if (context.all('VirtualService').length + context.all('ServiceEntry').length === 0) return []
  const { mesh } = context
  return foreignHosts(mesh).map((found) => foreignHostProblem(found, mesh.options))
}
