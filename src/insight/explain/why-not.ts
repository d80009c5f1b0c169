// For each rule that did not apply to a call: which clause ruled it out, in a sentence.
import { refTo, type PeerAuthentication } from '#api'
import type { Mesh, Workload } from '#mesh'
import { accessNotMet } from './access-clauses.ts'
import { findWorkload } from './find-workload.ts'
import { refusedClaims } from './foreign.ts'
import { askAbout } from './question.ts'
import { routesNotTaken } from './routes-not-taken.ts'
import { rulesNotApplied } from './rules-not-applied.ts'
import { parseTarget } from './target.ts'
import type { Call, Explanation, NotApplied } from './types.ts'

/** Rules for the call's host and its server that had no say. */
export function whyNot(mesh: Mesh, call: Call, answer: Explanation, namespace = 'default'): NotApplied[] {
  const client = findWorkload(mesh, call.from, namespace)
  const server = serverOf(mesh, answer)
  const target = parseTarget(call.to)
  if (target === undefined) return []
  const q = askAbout(mesh, client, target, call)
  const access = server === undefined || !server.sidecar.value ? [] : accessNotMet(q, answer, server)
  return [...routesNotTaken(q, answer), ...(client.sidecar.value ? refusedClaims(q) : []), ...rulesNotApplied(q, answer), ...(server === undefined ? [] : policiesNotInForce(mesh, server)), ...access]
}

function serverOf(mesh: Mesh, answer: Explanation): Workload | undefined {
  return mesh.workloads.find((w) => `${w.namespace}/${w.name}` === answer.server?.workload)
}

function policiesNotInForce(mesh: Mesh, server: Workload): NotApplied[] {
  return mesh.peerAuthentications.flatMap((policy: PeerAuthentication): NotApplied[] => {
    const labels = policy.spec.selector?.matchLabels ?? {}
    if (policy.metadata.namespace !== server.namespace || Object.keys(labels).length === 0) return []
    const off = Object.entries(labels).find(([k, v]) => server.labels[k] !== v)
    return off === undefined ? [] : [{ source: refTo(policy, 'spec.selector'), why: `selector: ${server.name}’s ${off[0]} is ${JSON.stringify(server.labels[off[0]] ?? 'unset')}, not ${JSON.stringify(off[1])}` }]
  })
}
