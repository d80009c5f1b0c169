// MeshConfig from a document: bare, or inside the ConfigMap `istio` (whose YAML text the caller has parsed).
import type { Problem } from '#lib/problem.ts'
import { decodeValue, type Decoding } from './decode-fields.ts'
import { meshConfig, type MeshConfigSpec } from './kinds/mesh-config.ts'
import { refTo, type Origin } from './object.ts'

export function decodeMeshConfig(raw: unknown, origin: Origin): { readonly config: MeshConfigSpec; readonly problems: readonly Problem[] } {
  const decoding: Decoding = { faults: [], root: meshConfig, snakeCase: true }
  const config = (decodeValue(meshConfig, raw ?? {}, '', decoding) ?? {}) as MeshConfigSpec
  const object = { kind: 'MeshConfig', metadata: { name: 'istio', namespace: 'istio-system' }, origin }
  const problems = decoding.faults.map((f): Problem => ({ code: 'IST0106', severity: f.kind === 'unknown-field' ? 'warning' : 'error', ref: refTo(object, f.path), message: f.message, ...(f.help === undefined ? {} : { help: f.help }) }))
  return { config, problems }
}
