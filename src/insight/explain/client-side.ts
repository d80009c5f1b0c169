// The caller's side of an answer: who it is, and which route took the call.
import { mapDecided, type Decided } from '#lib/decided.ts'
import type { ClusterChoice } from '../simulate/index.ts'
import type { Question } from './question.ts'
import type { ClientSide, RouteTaken } from './types.ts'

/** What the server reads, where it differs from what the application wrote. */
export function rewritten(q: Question, route: Decided<RouteTaken>, choice: ClusterChoice): Decided<RouteTaken> {
  const path = choice.path !== undefined && choice.path !== q.request.path ? { path: choice.path } : {}
  const authority = choice.authority !== undefined && choice.authority !== q.request.authority ? { authority: choice.authority } : {}
  return mapDecided(route, (r) => ({ ...r, ...path, ...authority }))
}

export function clientSide(q: Question, route: Decided<RouteTaken>): ClientSide {
  const { client } = q
  return { workload: `${client.namespace}/${client.name}`, sidecar: client.sidecar, redirected: q.way?.redirected ?? null, identity: q.bySidecar ? client.identity : null, route, destination: null, tls: null }
}
