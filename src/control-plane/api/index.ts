// In: documents as parsed. Out: typed objects of Istio's and Kubernetes' kinds, or Problems with field and place.
// Law: a user's mistake is data; nothing here throws on it. Pure.
// Read first: schema.ts (how kinds are described), decode.ts; rules.ts is the catalogue of reasons.
export { decode, read, type Decoded, type Reading } from './decode.ts'
export { isRecord } from './decode-fields.ts'
export { formatDuration, parseDuration } from './duration.ts'
export { clusterScoped, istioGroups, istioKindOf, istioKinds } from './kinds.ts'
export type * from './kinds.ts'
export type * from './kinds/kubernetes.ts'
export type * from './kinds/mesh-config.ts'
export type * from './kinds/networking.ts'
export type * from './kinds/security.ts'
export type * from './kinds/telemetry.ts'
export type * from './kinds/traffic-policy.ts'
export type * from './kinds/virtual-service.ts'
export { decodeMeshConfig } from './mesh-config.ts'
export { refTo, type ApiObject, type Metadata, type Origin } from './object.ts'
export { rules, type Rule } from './rules.ts'
export type { SchemaNode } from './schema.ts'
