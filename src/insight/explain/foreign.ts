// Objects of other namespaces that claim the host of a call: which of them this call meets, and which are refused.
import { refTo } from '#api'
import type { Problem } from '#lib/problem.ts'
import { foreignHostProblem, foreignHosts, hostCovers, refusesForeignHosts, type ForeignHost } from '#mesh'
import type { Question } from './question.ts'
import type { NotApplied } from './types.ts'

/** Is this what KITH0120 says of an object that claims the call's host? */
export function claimsHostOf(q: Question, problem: Problem): boolean {
  const { kind, namespace, name, path } = problem.ref
  return claims(q).some(({ object, path: at }) => object.kind === kind && object.metadata.namespace === namespace && object.metadata.name === name && at === path)
}

/** With `compat.foreignHosts: refuse`: why the object has no say. */
export function refusedClaims(q: Question): NotApplied[] {
  if (!refusesForeignHosts(q.mesh.options)) return []
  return claims(q).map((f) => ({ source: refTo(f.object, f.path), why: foreignHostProblem(f, q.mesh.options).message }))
}

function claims(q: Question): readonly ForeignHost[] {
  const { service, addresses } = q.resolved
  const names = [q.target.host, ...(service === undefined ? [] : [service.host, `${service.name}.${service.namespace}`]), ...addresses].map((n) => n.toLowerCase())
  return foreignHosts(q.mesh).filter((f) => names.some((n) => hostCovers(f.host, n)))
}
