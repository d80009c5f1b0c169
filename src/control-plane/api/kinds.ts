// Every kind that Kith knows by name: its group, the versions that Istio serves, its schema.
import type { ApiObject } from './object.ts'
import type { AuthorizationPolicySpec, PeerAuthenticationSpec, RequestAuthenticationSpec } from './kinds/security.ts'
import * as security from './kinds/security.ts'
import type { DestinationRuleSpec, GatewaySpec, ServiceEntrySpec, SidecarSpec, WorkloadEntrySpec } from './kinds/networking.ts'
import * as networking from './kinds/networking.ts'
import { proxyConfig, telemetry } from './kinds/telemetry.ts'
import { virtualService, type VirtualServiceSpec } from './kinds/virtual-service.ts'
import type { CronJobSpec, PodSpec, ServiceSpec, WorkloadSpec } from './kinds/kubernetes.ts'
import type { SchemaNode } from './schema.ts'

export type PeerAuthentication = ApiObject<'PeerAuthentication', PeerAuthenticationSpec>
export type AuthorizationPolicy = ApiObject<'AuthorizationPolicy', AuthorizationPolicySpec>
export type RequestAuthentication = ApiObject<'RequestAuthentication', RequestAuthenticationSpec>
export type DestinationRule = ApiObject<'DestinationRule', DestinationRuleSpec>
export type VirtualService = ApiObject<'VirtualService', VirtualServiceSpec>
export type ServiceEntry = ApiObject<'ServiceEntry', ServiceEntrySpec>
export type WorkloadEntry = ApiObject<'WorkloadEntry', WorkloadEntrySpec>
export type Sidecar = ApiObject<'Sidecar', SidecarSpec>
export type Gateway = ApiObject<'Gateway', GatewaySpec>
export type Namespace = ApiObject<'Namespace', unknown>
export type Service = ApiObject<'Service', ServiceSpec>
export type Pod = ApiObject<'Pod', PodSpec>
export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'ReplicaSet' | 'ReplicationController' | 'Job'
export type WorkloadObject = ApiObject<WorkloadKind, WorkloadSpec>
export type CronJob = ApiObject<'CronJob', CronJobSpec>

export interface IstioKind {
  readonly group: string
  readonly versions: readonly string[]
  readonly spec: SchemaNode
  /** The CRD refuses an object without `spec`. */
  readonly specRequired?: true
  /** In which version the API server keeps objects; default: the first. */
  readonly storage?: string
}

const all = ['v1', 'v1beta1', 'v1alpha3']
const net = (spec: SchemaNode, versions: readonly string[] = all): IstioKind => ({ group: 'networking.istio.io', versions, spec })
const sec = (spec: SchemaNode): IstioKind => ({ group: 'security.istio.io', versions: ['v1', 'v1beta1'], spec })

export const istioKinds: Readonly<Record<string, IstioKind>> = {
  PeerAuthentication: sec(security.peerAuthentication),
  AuthorizationPolicy: sec(security.authorizationPolicy),
  RequestAuthentication: sec(security.requestAuthentication),
  DestinationRule: net(networking.destinationRule),
  VirtualService: net(virtualService),
  ServiceEntry: { ...net(networking.serviceEntry), specRequired: true },
  WorkloadEntry: { ...net(networking.workloadEntry), specRequired: true },
  WorkloadGroup: { ...net(networking.workloadGroup), specRequired: true },
  Sidecar: net(networking.sidecar),
  Gateway: net(networking.gateway),
  EnvoyFilter: net(networking.envoyFilter, ['v1alpha3']),
  ProxyConfig: net(proxyConfig, ['v1beta1']),
  Telemetry: { group: 'telemetry.istio.io', versions: ['v1', 'v1alpha1'], spec: telemetry, storage: 'v1alpha1' },
}

/** Istio's API groups. */
export const istioGroups: ReadonlySet<string> = new Set(['networking.istio.io', 'security.istio.io', 'telemetry.istio.io', 'extensions.istio.io'])

/** Kubernetes kinds without a namespace. */
export const clusterScoped: ReadonlySet<string> = new Set([
  'Namespace', 'Node', 'ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition', 'MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration', 'PersistentVolume', 'StorageClass', 'GatewayClass', 'IngressClass', 'PriorityClass',
])

export function istioKindOf(apiVersion: string, kind: string): IstioKind | undefined {
  const known = istioKinds[kind]
  return known !== undefined && apiVersion.startsWith(known.group + '/') ? known : undefined
}
