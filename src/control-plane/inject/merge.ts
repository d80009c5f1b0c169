// Kubernetes' strategic merge, as far as pods need it: maps merge, lists with a merge key merge by it, other lists are replaced; null deletes, `$patch` replaces or deletes.
import { isRecord } from '#api'

/** patchMergeKey of the lists in a pod. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name', initContainers: 'name', ephemeralContainers: 'name', volumes: 'name', env: 'name', ports: 'containerPort', volumeMounts: 'mountPath', volumeDevices: 'devicePath', imagePullSecrets: 'name', hostAliases: 'ip', topologySpreadConstraints: 'topologyKey', resourceClaims: 'name', ownerReferences: 'uid',
}

export function strategicMerge(base: unknown, patch: unknown, field = ''): unknown {
  if (isRecord(patch) && !Array.isArray(patch)) {
    const { $patch: directive, ...rest } = patch
    if (directive === 'replace' || !isRecord(base)) return withoutNulls(rest)
    const out: Record<string, unknown> = { ...base }
    for (const [key, value] of Object.entries(rest)) {
      if (value === null || (isRecord(value) && value['$patch'] === 'delete')) delete out[key]
      else out[key] = strategicMerge(out[key], value, key)
    }
    return out
  }
  const key = Object.hasOwn(mergeKeys, field) ? mergeKeys[field] : undefined
  if (Array.isArray(base) && Array.isArray(patch) && key !== undefined) return mergeLists(base, patch, key)
  return Array.isArray(patch) ? (patch as unknown[]).filter((i) => !isRecord(i) || i['$patch'] === undefined) : patch
}

function mergeLists(base: readonly unknown[], patch: readonly unknown[], key: string): unknown[] {
  const replaces = patch.some((i) => isRecord(i) && i['$patch'] === 'replace' && i[key] === undefined)
  const out: unknown[] = replaces ? [] : [...base]
  for (const item of patch) {
    if (isRecord(item) && item['$patch'] === 'replace' && item[key] === undefined) continue
    const at = out.findIndex((o) => isRecord(o) && isRecord(item) && o[key] === item[key])
    if (isRecord(item) && item['$patch'] === 'delete') {
      if (at !== -1) out.splice(at, 1)
    } else if (at === -1) out.push(strategicMerge(undefined, item))
    else out[at] = strategicMerge(out[at], item)
  }
  return out
}

function withoutNulls(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, v]) => v !== null).map(([k, v]) => [k, strategicMerge(undefined, v, k)]))
}
