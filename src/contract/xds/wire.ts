// Delta discovery messages ↔ bytes, and the gRPC method that carries them.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { MethodDefinition } from '@grpc/grpc-js'
import { message } from '#proto'
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../../../generated/types/envoy/service/discovery/v3/discovery_pb.ts'
import type { Node } from '../../../generated/types/envoy/config/core/v3/base_pb.ts'
import type { DeltaRequest, DeltaResponse } from './delta-server.ts'

const requestSchema = message<DeltaDiscoveryRequest>('envoy.service.discovery.v3.DeltaDiscoveryRequest')
const responseSchema = message<DeltaDiscoveryResponse>('envoy.service.discovery.v3.DeltaDiscoveryResponse')
const nodeSchema = message<Node>('envoy.config.core.v3.Node')

export interface WireRequest extends DeltaRequest {
  /** In a stream's first request. */
  readonly node?: XdsNode
}

export interface XdsNode {
  /** `sidecar~<ip>~<pod>.<namespace>~<namespace>.svc.cluster.local` */
  readonly id: string
  readonly cluster: string
  readonly metadata: Readonly<Record<string, unknown>>
}

export function encodeRequest(r: WireRequest): Buffer {
  const node = r.node === undefined ? {} : { node: create(nodeSchema, { id: r.node.id, cluster: r.node.cluster, metadata: r.node.metadata as never }) }
  const error = r.error === undefined ? {} : { errorDetail: { code: 3, message: r.error } }
  return Buffer.from(toBinary(requestSchema, create(requestSchema, {
    ...node, typeUrl: r.typeUrl, resourceNamesSubscribe: [...r.subscribe], resourceNamesUnsubscribe: [...r.unsubscribe], initialResourceVersions: { ...r.initialVersions }, responseNonce: r.nonce, ...error,
  })))
}

export function decodeRequest(bytes: Buffer): WireRequest {
  const m = fromBinary(requestSchema, bytes)
  const node = m.node === undefined ? {} : { node: { id: m.node.id, cluster: m.node.cluster, metadata: (m.node.metadata ?? {}) as Record<string, unknown> } }
  return {
    ...node, typeUrl: m.typeUrl, subscribe: m.resourceNamesSubscribe, unsubscribe: m.resourceNamesUnsubscribe, initialVersions: m.initialResourceVersions, nonce: m.responseNonce,
    ...(m.errorDetail === undefined ? {} : { error: m.errorDetail.message === '' ? 'refused' : m.errorDetail.message }),
  }
}

export function encodeResponse(r: DeltaResponse): Buffer {
  return Buffer.from(toBinary(responseSchema, create(responseSchema, {
    typeUrl: r.typeUrl, nonce: r.nonce, removedResources: [...r.removed], resources: r.resources.map((x) => ({ name: x.name, version: x.version, resource: x.any })),
  })))
}

export function decodeResponse(bytes: Buffer): DeltaResponse {
  const m = fromBinary(responseSchema, bytes)
  const resources = m.resources.flatMap((x) => (x.resource === undefined ? [] : [{ type: m.typeUrl, name: x.name, version: x.version, any: x.resource }]))
  return { typeUrl: m.typeUrl, nonce: m.nonce, resources, removed: m.removedResources }
}

/** envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources */
export const deltaMethod: MethodDefinition<WireRequest, DeltaResponse> = {
  path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources', requestStream: true, responseStream: true,
  requestSerialize: encodeRequest, requestDeserialize: decodeRequest, responseSerialize: encodeResponse, responseDeserialize: decodeResponse,
}
