// Kubernetes' strategic merge, as far as containers need it: maps merge, lists with a merge key merge by it, other lists are replaced.
import { isRecord } from '#api'

/** patchMergeKey of the lists in a pod. */
const mergeKeys: Readonly<Record<string, string>> = { containers: 'name', initContainers: 'name', volumes: 'name', env: 'name', ports: 'containerPort', volumeMounts: 'mountPath', volumeDevices: 'devicePath', imagePullSecrets: 'name', hostAliases: 'ip' }

export function strategicMerge(base: unknown, patch: unknown, field = ''): unknown {
  if (isRecord(base) && isRecord(patch)) {
    const out: Record<string, unknown> = { ...base }
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) delete out[key]
      else out[key] = key in out ? strategicMerge(out[key], value, key) : value
    }
    return out
  }
  const key = mergeKeys[field]
  if (Array.isArray(base) && Array.isArray(patch) && key !== undefined) {
    const out: unknown[] = [...base]
    for (const item of patch as unknown[]) {
      const at = out.findIndex((o) => isRecord(o) && isRecord(item) && o[key] === item[key])
      if (at === -1) out.push(item)
      else out[at] = strategicMerge(out[at], item)
    }
    return out
  }
  return patch
}
