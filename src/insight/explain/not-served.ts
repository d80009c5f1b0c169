// What of the mesh's objects and settings this call would be touched by, if it were served: EnvoyFilters, Telemetries and their kin at either end, Gateways at the pods that they select.
import { unservedMeshConfigProblems, unservedSettings } from '#api'
import type { Problem } from '#lib/problem.ts'
import type { Workload } from '#mesh'
import { unservedKindsAt } from '#plan'
import type { Question } from './question.ts'

/** Fields of meshConfig that decide what becomes of calls. */
const ofCalls = /^(inboundTrafficPolicy|defaultTrafficPolicy|h2UpgradePolicy|tlsDefaults|verifyCertificateAtClient|caCertificates|defaultConfig\.proxyMetadata\.ISTIO_META_)/
/** Settings of a pod that do; the number of threads and the tags of metrics do not. */
const ofPods = /^(proxyMetadata\.ISTIO_META_|ambient\.istio\.io\/|istio\.io\/(dataplane-mode|use-waypoint)|networking\.istio\.io\/tunnel)/

/** `redirected`: the caller's sidecar gets the call. */
export function unservedAtBothEnds(q: Question, redirected: boolean, servers: readonly Workload[]): readonly Problem[] {
  const { mesh, client } = q
  const any = redirected || servers.length > 0
  return [
    ...(redirected ? [...unservedKindsAt(mesh, client, 'client'), ...settingsOf(client)] : []),
    ...servers.flatMap((w) => [...unservedKindsAt(mesh, w, 'server'), ...settingsOf(w)]),
    ...(any ? unservedMeshConfigProblems(mesh.options.config).filter((p) => ofCalls.test(p.ref.path)) : []),
  ]
}

const settingsOf = ({ object }: Workload): readonly Problem[] => unservedSettings(object).filter((p) => ofPods.test(p.message))
