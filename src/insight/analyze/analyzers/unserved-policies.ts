// What objects and settings ask for and the mesh does not do: KITH0107 and KITH0110 of policies and fields, KITH0121 of kinds, KITH0122 of settings.
// A policy on a gateway or a waypoint is not ours to carry out.
import { unserved, unservedMeshConfigProblems, unservedSettings, type ApiObject } from '#api'
import { ownerName } from '#mesh'
import type { Problem } from '#lib/problem.ts'
import { isControlPlane, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { injectorValues } from './injection-image.ts'

export function unservedPolicies(context: AnalysisContext): Problem[] {
  return context.objects.flatMap(unserved)
}

export function settingsNotServed(context: AnalysisContext): Problem[] {
  const templates = new Set(context.templates.map(({ object }) => `${object.metadata.namespace}/${object.metadata.name}`))
  // What a template says is said of it, not of each of its pods.
  const isCopy = (o: ApiObject): boolean => (o.metadata.ownerReferences ?? []).length > 0 && templates.has(`${o.metadata.namespace}/${ownerName(o)}`)
  const own = context.objects.filter((o) => !isControlPlane(o.metadata.labels) && !(o.kind === 'Pod' && isCopy(o)))
  return [...unservedMeshConfigProblems(context.meshConfig), ...own.flatMap(unservedSettings), ...missingCniPlugin(context)]
}

/** `pilot.cni.enabled` in the injector's values: pods then wait for a plugin that Kith does not bring. */
function missingCniPlugin(context: AnalysisContext): Problem[] {
  if (context.all('DaemonSet').some((d) => d.metadata.labels['k8s-app'] === 'istio-cni-node' || d.metadata.name.startsWith('istio-cni'))) return []
  return context.all('ConfigMap').filter((c) => /^istio-sidecar-injector(-|$)/.test(c.metadata.name)).flatMap((map) => {
    const revision = map.metadata.name.slice('istio-sidecar-injector-'.length)
    if (injectorValues(context, revision)?.cni !== true) return []
    return [say('KITH0122', 'warning', map, 'data.values', 'pilot.cni.enabled is set, and no CNI plugin is here (Kith brings none): pods with a sidecar do not start, since their istio-validation finds no redirection', 'leave pilot.cni.enabled out')]
  })
}
