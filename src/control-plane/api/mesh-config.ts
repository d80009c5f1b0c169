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

/** Fields that are read and change nothing, with what that means for who set them. */
const nobodys: Readonly<Partial<Record<keyof MeshConfigSpec, string>>> = {
  caCertificates: 'sidecars trust the mesh’s own roots alone; to trust another root beside them, put it into root-cert.pem of the Secret cacerts',
  pathNormalization: 'paths are normalised as by BASE, whatever is set: policies on paths see no merged or decoded slashes',
  tlsDefaults: 'TLS outside the mesh keeps the proxy’s own versions and ciphers', verifyCertificateAtClient: 'a server outside the mesh is verified where its DestinationRule names whom to believe',
  extensionProviders: 'no tracing, access log or authorization service is called', enableTracing: 'no traces are sent', defaultProviders: 'no tracing, access log or authorization service is called',
  certificates: 'no certificates are made for names of your own', configSources: 'objects are read from the cluster’s API server, or from the files that were named',
  serviceSettings: 'every Service is the cluster’s own', proxyListenPort: 'sidecars listen on 15001', proxyInboundListenPort: 'sidecars listen on 15006', proxyHttpPort: 'there is no port for explicit HTTP proxying', accessLogEncoding: 'the access log is text',
}

export function unservedMeshConfig(config: MeshConfigSpec): readonly { readonly field: string; readonly meaning: string }[] {
  return Object.entries(nobodys).flatMap(([field, meaning]) => (isUsual(config[field as keyof MeshConfigSpec]) ? [] : [{ field, meaning }]))
}

/** As if it were not there. */
function isUsual(value: unknown): boolean {
  const normalization = (value as { normalization?: unknown } | undefined)?.normalization
  if (normalization === 'DEFAULT' || normalization === 'BASE') return true
  return value === undefined || value === null || value === false || value === '' || value === 'TEXT' || (Array.isArray(value) && value.length === 0) || (typeof value === 'object' && Object.keys(value).length === 0)
}
