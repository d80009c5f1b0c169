// meshConfig.discoverySelectors: which namespaces belong to this mesh, by their labels. Pure. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
// Law: none written chooses all; the control plane's own namespace always belongs; a selector that can't be read chooses nothing.
import { selectorHolds, type LabelSelector } from '#lib/kubernetes/label-selector.ts'
import { isRecord, type ApiObject, type MeshConfigSpec } from '#api'

type Labels = Readonly<Record<string, string>>

export function isChosen(config: MeshConfigSpec, own: string, name: string, labels: Labels): boolean {
  const selectors = config.discoverySelectors ?? []
  return selectors.length === 0 || name === own || selectors.some((s) => isRecord(s) && selectorHolds(selectorOf(s), labels))
}

/** Objects of the chosen namespaces, and what belongs to no namespace. */
export function objectsOf(objects: readonly ApiObject[], config: MeshConfigSpec, own: string): readonly ApiObject[] {
  if ((config.discoverySelectors ?? []).length === 0) return objects
  const chosen = new Set(objects.filter((o) => o.kind === 'Namespace' && isChosen(config, own, o.metadata.name, o.metadata.labels)).map((o) => o.metadata.name))
  return objects.filter((o) => (o.kind === 'Namespace' ? chosen.has(o.metadata.name) : o.metadata.namespace === '' || chosen.has(o.metadata.namespace)))
}

/** As far as it can be read; what can't be holds for nothing. */
function selectorOf(raw: Readonly<Record<string, unknown>>): LabelSelector {
  const expressions = Array.isArray(raw['matchExpressions']) ? (raw['matchExpressions'] as unknown[]) : []
  return {
    matchLabels: isRecord(raw['matchLabels']) ? (raw['matchLabels'] as Record<string, string>) : {},
    matchExpressions: expressions.map((e) => (isRecord(e) && typeof e['key'] === 'string' ? { key: e['key'], operator: String(e['operator']), values: Array.isArray(e['values']) ? (e['values'] as string[]) : [] } : { key: '', operator: '' })),
  }
}
