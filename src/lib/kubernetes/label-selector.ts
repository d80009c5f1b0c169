// Kubernetes' label selector: all of its parts must hold. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
// Law: a label is what an object has of its own; an operator that is not known holds for nothing. What an empty selector means is for whoever asks: this one holds.

export interface LabelRequirement {
  readonly key: string
  /** In, NotIn, Exists, DoesNotExist. */
  readonly operator: string
  readonly values?: readonly string[]
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly LabelRequirement[]
}

export function isEmptySelector(selector: LabelSelector): boolean {
  return Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0
}

export function selectorHolds(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector.matchLabels ?? {}).every(([k, v]) => labels[k] === v) && (selector.matchExpressions ?? []).every((e) => requirementHolds(e, labels))
}

function requirementHolds(e: LabelRequirement, labels: Readonly<Record<string, string>>): boolean {
  const value = Object.hasOwn(labels, e.key) ? labels[e.key] : undefined
  const listed = value !== undefined && (e.values ?? []).includes(value)
  switch (e.operator) {
    case 'In': return listed
    case 'NotIn': return !listed
    case 'Exists': return value !== undefined
    case 'DoesNotExist': return value === undefined
    default: return false
  }
}
