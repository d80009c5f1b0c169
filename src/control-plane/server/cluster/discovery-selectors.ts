// meshConfig.discoverySelectors: which namespaces belong to this mesh, by their labels. Pure. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
// Law: none written chooses all; the control plane's own namespace always belongs; a selector that can't be read chooses nothing.
import { isRecord, type ApiObject, type MeshConfigSpec } from '#api'

type Labels = Readonly<Record<string, string>>

export function isChosen(config: MeshConfigSpec, own: string, name: string, labels: Labels): boolean {
  const selectors = config.discoverySelectors ?? []
  return selectors.length === 0 || name === own || selectors.some((s) => isRecord(s) && matches(s, labels))
}

/** Objects of the chosen namespaces, and what belongs to no namespace. */
export function objectsOf(objects: readonly ApiObject[], config: MeshConfigSpec, own: string): readonly ApiObject[] {
  if ((config.discoverySelectors ?? []).length === 0) return objects
  const chosen = new Set(objects.filter((o) => o.kind === 'Namespace' && isChosen(config, own, o.metadata.name, o.metadata.labels)).map((o) => o.metadata.name))
  return objects.filter((o) => (o.kind === 'Namespace' ? chosen.has(o.metadata.name) : o.metadata.namespace === '' || chosen.has(o.metadata.namespace)))
}

function matches(selector: Readonly<Record<string, unknown>>, labels: Labels): boolean {
  const wanted = isRecord(selector['matchLabels']) ? selector['matchLabels'] : {}
  const expressions = Array.isArray(selector['matchExpressions']) ? selector['matchExpressions'] : []
  return Object.entries(wanted).every(([k, v]) => labels[k] === v) && expressions.every((e) => isRecord(e) && holds(e, labels))
}

function holds({ key, operator, values }: Readonly<Record<string, unknown>>, labels: Labels): boolean {
  const value = typeof key === 'string' ? labels[key] : undefined
  const listed = Array.isArray(values) && value !== undefined && values.includes(value)
  switch (operator) {
    case 'In': return listed
    case 'NotIn': return !listed
    case 'Exists': return value !== undefined
    case 'DoesNotExist': return value === undefined
    default: return false
  }
}
