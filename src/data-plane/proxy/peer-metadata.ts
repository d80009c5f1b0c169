// Sidecars tell each other who they are in two headers, as Istio's do: base64 of a protobuf Struct. Law: believed only over mTLS, never shown to an application.
import { create, fromBinary, toBinary, type JsonObject } from '@bufbuild/protobuf'
import { StructSchema, ValueSchema, type Struct, type Value } from '@bufbuild/protobuf/wkt'
import type { ProxyIdentity } from './options.ts'

export interface PeerMetadata {
  readonly workload: string
  readonly namespace: string
  readonly app: string
  readonly version: string
  readonly cluster: string
  readonly canonicalService: string
  readonly canonicalRevision: string
}

export const unknownPeer: PeerMetadata = { workload: 'unknown', namespace: 'unknown', app: 'unknown', version: 'unknown', cluster: 'unknown', canonicalService: 'unknown', canonicalRevision: 'latest' }

const maxBytes = 8192

export function metadataOf(identity: ProxyIdentity): PeerMetadata {
  const { labels } = identity
  return {
    workload: identity.workload,
    namespace: identity.namespace,
    app: labels['app'] ?? 'unknown',
    version: labels['version'] ?? 'unknown',
    cluster: identity.cluster === '' ? 'unknown' : identity.cluster,
    canonicalService: labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? identity.workload,
    canonicalRevision: labels['service.istio.io/canonical-revision'] ?? labels['app.kubernetes.io/version'] ?? labels['version'] ?? 'latest',
  }
}

/** Only the labels that metrics need: the header rides on every request. */
export function encodeMetadata(identity: ProxyIdentity): { value: string; id: string } {
  const own = metadataOf(identity)
  const labels: Record<string, string> = { 'service.istio.io/canonical-name': own.canonicalService, 'service.istio.io/canonical-revision': own.canonicalRevision }
  for (const key of ['app', 'version']) if (identity.labels[key] !== undefined) labels[key] = identity.labels[key]
  const json: JsonObject = {
    NAME: identity.pod,
    NAMESPACE: identity.namespace,
    WORKLOAD_NAME: identity.workload,
    CLUSTER_ID: own.cluster,
    LABELS: labels,
    ...(identity.owner === undefined ? {} : { OWNER: identity.owner }),
  }
  return { value: Buffer.from(toBinary(StructSchema, toStruct(json))).toString('base64'), id: identity.nodeId }
}

function toStruct(json: JsonObject): Struct {
  const fields: Record<string, Value> = {}
  for (const [key, value] of Object.entries(json)) {
    fields[key] = create(ValueSchema, { kind: typeof value === 'string' ? { case: 'stringValue', value } : { case: 'structValue', value: toStruct(value as JsonObject) } })
  }
  return create(StructSchema, { fields })
}

/** undefined where it can't be read; a peer's nonsense harms nobody. */
export function decodeMetadata(base64: string): PeerMetadata | undefined {
  if (base64.length > maxBytes) return undefined
  try {
    const { fields } = fromBinary(StructSchema, Buffer.from(base64, 'base64'))
    const text = (of: Record<string, Value> | undefined, key: string, otherwise: string): string => {
      const kind = of?.[key]?.kind
      return kind?.case === 'stringValue' && kind.value !== '' ? kind.value.slice(0, 256) : otherwise
    }
    const nested = fields['LABELS']?.kind
    const labels = nested?.case === 'structValue' ? nested.value.fields : undefined
    const app = text(labels, 'app', 'unknown')
    const workload = text(fields, 'WORKLOAD_NAME', 'unknown')
    return {
      workload,
      namespace: text(fields, 'NAMESPACE', 'unknown'),
      app,
      version: text(labels, 'version', 'unknown'),
      cluster: text(fields, 'CLUSTER_ID', 'unknown'),
      canonicalService: text(labels, 'service.istio.io/canonical-name', app === 'unknown' ? workload : app),
      canonicalRevision: text(labels, 'service.istio.io/canonical-revision', 'latest'),
    }
  } catch {
    return undefined
  }
}
