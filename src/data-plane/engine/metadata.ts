// Who decided: `filter_metadata.kith {rule, source}` of a filter chain, route or cluster; printed in the proxy's own log lines.
import type { JsonObject } from '@bufbuild/protobuf'
import type { Metadata } from '../../../generated/types/envoy/config/core/v3/base_pb.ts'

export interface KithMetadata {
  /** A key of the rule catalogue; '' where the resource says nothing. */
  readonly rule: string
  /** `PeerAuthentication foo/default spec.mtls.mode (policies.yaml:12)` */
  readonly source: string
}

export function kithMetadata(metadata: Metadata | undefined): KithMetadata {
  const found = metadata?.filterMetadata['kith']
  return { rule: text(found, 'rule'), source: text(found, 'source') }
}

/** `filter_metadata.kith.not_served`: what the control plane was asked for this proxy and the mesh does not do. */
export function notServedHere(metadata: Metadata | undefined): readonly string[] {
  const said = metadata?.filterMetadata['kith']?.['not_served']
  return Array.isArray(said) ? said.filter((s) => typeof s === 'string') : []
}

export interface IstioService {
  readonly host: string
  readonly name: string
  readonly namespace: string
}

/** `filter_metadata.istio.services[0]`, as Istio writes it on clusters. */
export function istioService(metadata: Metadata | undefined): IstioService | undefined {
  const services = metadata?.filterMetadata['istio']?.['services']
  const first = Array.isArray(services) ? (services[0] as JsonObject | undefined) : undefined
  return first === undefined ? undefined : { host: text(first, 'host'), name: text(first, 'name'), namespace: text(first, 'namespace') }
}

function text(object: JsonObject | undefined, key: string): string {
  const value = object?.[key]
  return typeof value === 'string' ? value : ''
}
