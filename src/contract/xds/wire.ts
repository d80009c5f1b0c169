// Discovery messages, delta and state of the world, ↔ bytes; and the gRPC methods that carry them.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { MethodDefinition } from '@grpc/grpc-js'
import { message } from '#proto'
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from '../../../generated/types/envoy/service/discovery/v3/discovery_pb.ts'
import type { Node } from '../../../generated/types/envoy/config/core/v3/base_pb.ts'
import type { DeltaRequest, DeltaResponse } from './delta-server.ts'
import type { SotwRequest, SotwResponse } from './sotw-server.ts'

const requestSchema = message<DeltaDiscoveryRequest>('envoy.service.discovery.v3.DeltaDiscoveryRequest')
const responseSchema = message<DeltaDiscoveryResponse>('envoy.service.discovery.v3.DeltaDiscoveryResponse')
const sotwRequestSchema = message<DiscoveryRequest>('envoy.service.discovery.v3.DiscoveryRequest')
const sotwResponseSchema = message<DiscoveryResponse>('envoy.service.discovery.v3.DiscoveryResponse')
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
  return {
    ...readNode(m.node), typeUrl: m.typeUrl, subscribe: m.resourceNamesSubscribe, unsubscribe: m.resourceNamesUnsubscribe, initialVersions: m.initialResourceVersions, nonce: m.responseNonce, ...readError(m.errorDetail),
  }
}

function readNode(node: Node | undefined): { node?: XdsNode } {
  return node === undefined ? {} : { node: { id: node.id, cluster: node.cluster, metadata: (node.metadata ?? {}) as Record<string, unknown> } }
}

function readError(detail: { readonly message: string } | undefined): { error?: string } {
  return detail === undefined ? {} : { error: detail.message === '' ? 'refused' : detail.message }
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

export interface SotwWireRequest extends SotwRequest {
  /** In a stream's first request. */
  readonly node?: XdsNode
}

export function decodeSotwRequest(bytes: Buffer): SotwWireRequest {
  const m = fromBinary(sotwRequestSchema, bytes)
  return { ...readNode(m.node), typeUrl: m.typeUrl, names: m.resourceNames, nonce: m.responseNonce, ...readError(m.errorDetail) }
}

export function encodeSotwRequest(r: SotwWireRequest): Buffer {
  const node = r.node === undefined ? {} : { node: create(nodeSchema, { id: r.node.id, cluster: r.node.cluster, metadata: r.node.metadata as never }) }
  const error = r.error === undefined ? {} : { errorDetail: { code: 3, message: r.error } }
  return Buffer.from(toBinary(sotwRequestSchema, create(sotwRequestSchema, { ...node, typeUrl: r.typeUrl, resourceNames: [...r.names], responseNonce: r.nonce, ...error })))
}

export function encodeSotwResponse(r: SotwResponse): Buffer {
  return Buffer.from(toBinary(sotwResponseSchema, create(sotwResponseSchema, { typeUrl: r.typeUrl, nonce: r.nonce, versionInfo: r.version, resources: r.resources.map((x) => x.any) })))
}

/** Bytes alone: names and versions of single resources are not in the message. */
export function decodeSotwResponse(bytes: Buffer): SotwResponse {
  const m = fromBinary(sotwResponseSchema, bytes)
  return { typeUrl: m.typeUrl, nonce: m.nonce, version: m.versionInfo, resources: m.resources.map((any, i) => ({ type: m.typeUrl, name: String(i), version: m.versionInfo, any })) }
}

function sotwMethodAt(path: string): MethodDefinition<SotwWireRequest, SotwResponse> {
  return { path, requestStream: true, responseStream: true, requestSerialize: encodeSotwRequest, requestDeserialize: decodeSotwRequest, responseSerialize: encodeSotwResponse, responseDeserialize: decodeSotwResponse }
}

/** envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources */
export const sotwMethod = sotwMethodAt('/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources')

/** envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets */
export const secretsMethod = sotwMethodAt('/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets')
