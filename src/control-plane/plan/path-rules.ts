// meshConfig.pathNormalization as what a proxy does to paths before it reads policies.
// Source: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ProxyPathNormalization
import type { Mesh } from '#mesh'

export interface PathRules {
  /** RFC 3986: unreserved escapes decoded, dot segments resolved, `\` read as `/`. */
  readonly normalizePath: boolean
  /** `//` is `/`. */
  readonly mergeSlashes: boolean
  /** FORWARD: `%2F` and `%5C` are slashes, for policies and for the application. */
  readonly escapedSlashes: 'KEEP' | 'FORWARD'
}

export const basePaths: PathRules = { normalizePath: true, mergeSlashes: false, escapedSlashes: 'KEEP' }

/** Default: BASE. */
export function pathRules({ options }: Pick<Mesh, 'options'>): PathRules {
  const normalization = options.config.pathNormalization?.normalization ?? 'DEFAULT'
  const decodes = normalization === 'DECODE_AND_MERGE_SLASHES'
  return { normalizePath: normalization !== 'NONE', mergeSlashes: decodes || normalization === 'MERGE_SLASHES', escapedSlashes: decodes ? 'FORWARD' : 'KEEP' }
}
