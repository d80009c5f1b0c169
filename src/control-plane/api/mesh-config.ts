// MeshConfig from a document: bare, or inside the ConfigMap `istio` (whose YAML text the caller has parsed).
import type { Problem } from '#lib/problem.ts'
import { decodeValue, type Decoding } from './decode-fields.ts'
import { meshConfig, type MeshConfigSpec } from './kinds/mesh-config.ts'
import { refTo, type Origin } from './object.ts'

export function decodeMeshConfig(raw: unknown, origin: Origin): { readonly config: MeshConfigSpec; readonly problems: readonly Problem[] } {
  const decoding: Decoding = { faults: [], root: meshConfig, snakeCase: true }
  const config = (decodeValue(meshConfig, raw ?? {}, '', decoding) ?? {}) as MeshConfigSpec
  const object = { kind: 'MeshConfig', metadata: { name: 'istio', namespace: 'istio-system' }, origin }
  const problems: Problem[] = decoding.faults.map((f) => ({ code: 'IST0106', severity: f.kind === 'unknown-field' ? 'warning' : 'error', ref: refTo(object, f.path), message: f.message, ...(f.help === undefined ? {} : { help: f.help }) }))
  const { compat } = config
  if (compat?.clusterDomain === undefined || isDomain(compat.clusterDomain)) return { config, problems }
  problems.push({ code: 'IST0106', severity: 'error', ref: refTo(object, 'compat.clusterDomain'), message: `${JSON.stringify(compat.clusterDomain)} is no DNS domain`, help: 'small letters, digits, dashes and dots, as in cluster.local, without a dot at the end' })
  const { clusterDomain: _, ...rest } = compat
  return { config: { ...config, compat: rest }, problems }
}

/** Where the names of the cluster's services end; Istio's default. */
export const usualClusterDomain = 'cluster.local'

export function clusterDomainOf(config: MeshConfigSpec): string {
  return config.compat?.clusterDomain ?? usualClusterDomain
}

/** RFC 1123. */
function isDomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(text)
}
