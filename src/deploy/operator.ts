// IstioOperator, and the paths of istioctl's --set, as Helm's values: `spec.hub` → global.hub, `components.pilot.k8s.replicaCount` → pilot.replicaCount, `values.pilot.x` → pilot.x.
// Law: moves keys, checks none; what has no place among the values is returned by its path.
import { isRecord } from '#api'
import type { Values } from './default-values.ts'

/** Of `spec.components.pilot.k8s`. */
const k8sKeys: Readonly<Record<string, string>> = {
  replicaCount: 'replicaCount', resources: 'resources', nodeSelector: 'nodeSelector', tolerations: 'tolerations', affinity: 'affinity', podAnnotations: 'podAnnotations', serviceAnnotations: 'serviceAnnotations',
}

export function valuesOfOperator(given: Values): { readonly values: Values; readonly unknown: readonly string[] } {
  const isOperator = given['kind'] === 'IstioOperator' && isRecord(given['spec'])
  const source = isOperator ? (given['spec'] as Values) : given
  const unknown: string[] = []
  const out: Record<string, unknown> = {}
  const put = (path: readonly string[], value: unknown): void => {
    let at = out
    for (const key of path.slice(0, -1)) {
      const below = at[key]
      at = (at[key] = isRecord(below) ? { ...below } : {}) as Record<string, unknown>
    }
    const last = path.at(-1) as string
    const before = at[last]
    at[last] = isRecord(before) && isRecord(value) ? { ...before, ...value } : value
  }
  for (const [key, value] of Object.entries(source)) {
    if (key === 'hub' || key === 'tag') put(['global', key], value)
    else if (key === 'namespace') put(['global', 'istioNamespace'], value)
    else if (key === 'values' && isRecord(value)) for (const [name, inner] of Object.entries(value)) put([name], inner)
    else if (key === 'components' && isRecord(value)) fromComponents(value, isOperator ? 'spec.components' : 'components', put, unknown)
    else if ((isOperator && key === 'installPackagePath') || key === 'unvalidatedValues') unknown.push(isOperator ? `spec.${key}` : key)
    else put([key], value)
  }
  return { values: out, unknown }
}

function fromComponents(components: Values, path: string, put: (path: readonly string[], value: unknown) => void, unknown: string[]): void {
  for (const [name, component] of Object.entries(components)) {
    const at = `${path}.${name}`
    // The base chart (CRDs) is always part of an installation.
    if (name === 'base') continue
    if (name !== 'pilot' || !isRecord(component)) {
      if (!isOff(component)) unknown.push(at)
      continue
    }
    for (const [key, value] of Object.entries(component)) {
      if (key === 'enabled') put(['pilot', 'enabled'], value)
      else if (key === 'hub' || key === 'tag') put(['pilot', key], value)
      else if (key === 'k8s' && isRecord(value)) fromK8s(value, `${at}.k8s`, put, unknown)
      else unknown.push(`${at}.${key}`)
    }
  }
}

function fromK8s(k8s: Values, path: string, put: (path: readonly string[], value: unknown) => void, unknown: string[]): void {
  for (const [key, value] of Object.entries(k8s)) {
    const known = k8sKeys[key]
    if (known !== undefined) put(['pilot', known], value)
    else if (key === 'env' && Array.isArray(value)) put(['pilot', 'env'], Object.fromEntries(value.filter(isRecord).map((e) => [String(e['name']), e['value'] ?? ''])))
    else unknown.push(`${path}.${key}`)
  }
}

/** A component that is switched off, or a list of gateways that all are: as Kith has none, that is what it is. */
function isOff(component: unknown): boolean {
  if (Array.isArray(component)) return component.every(isOff)
  return isRecord(component) && component['enabled'] === false
}
