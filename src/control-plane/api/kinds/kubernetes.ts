// Kubernetes' kinds as far as a mesh reads them; decoded leniently: what Kith does not know stays the API server's business.

export interface ContainerPort { readonly name?: string; readonly containerPort: number; readonly protocol?: string; readonly hostPort?: number }
export interface Probe {
  readonly httpGet?: { readonly path?: string; readonly port: number | string; readonly host?: string; readonly scheme?: string; readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[] }
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string }
  readonly grpc?: { readonly port: number; readonly service?: string }
  readonly exec?: { readonly command: readonly string[] }
  readonly initialDelaySeconds?: number
  readonly periodSeconds?: number
  readonly timeoutSeconds?: number
  readonly failureThreshold?: number
  readonly successThreshold?: number
}
export interface EnvVar { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }
export interface Container {
  readonly name: string
  readonly image?: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly ports?: readonly ContainerPort[]
  readonly env?: readonly EnvVar[]
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
  readonly startupProbe?: Probe
  readonly restartPolicy?: string
  readonly workingDir?: string
  readonly securityContext?: SecurityContext
}
/** Of a container, and of a pod for all containers that say nothing of their own. */
export interface SecurityContext { readonly runAsUser?: number; readonly runAsGroup?: number }
export interface PodSpec {
  readonly containers?: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly serviceAccountName?: string
  readonly serviceAccount?: string
  readonly hostNetwork?: boolean
  readonly restartPolicy?: string
  readonly nodeName?: string
  readonly hostname?: string
  readonly subdomain?: string
  readonly os?: { readonly name?: string }
  readonly securityContext?: SecurityContext
}
export interface PodStatus {
  readonly phase?: string
  readonly podIP?: string
  readonly podIPs?: readonly { readonly ip: string }[]
  readonly conditions?: readonly { readonly type: string; readonly status: string }[]
}
export interface PodTemplate { readonly metadata?: { readonly name?: string; readonly labels?: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> }; readonly spec?: PodSpec }
export interface WorkloadSpec {
  readonly replicas?: number
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly template?: PodTemplate
  readonly serviceName?: string
}
export interface CronJobSpec { readonly jobTemplate?: { readonly metadata?: PodTemplate['metadata']; readonly spec?: WorkloadSpec } }
export interface ServicePortSpec { readonly name?: string; readonly port: number; readonly targetPort?: number | string; readonly protocol?: string; readonly appProtocol?: string; readonly nodePort?: number }
export interface ServiceSpec {
  readonly type?: string
  readonly selector?: Readonly<Record<string, string>>
  readonly ports?: readonly ServicePortSpec[]
  readonly clusterIP?: string
  readonly clusterIPs?: readonly string[]
  readonly externalName?: string
  readonly externalIPs?: readonly string[]
  readonly publishNotReadyAddresses?: boolean
}
export interface EndpointSliceBody {
  readonly addressType?: string
  readonly endpoints?: readonly { readonly addresses?: readonly string[]; readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean }; readonly targetRef?: { readonly kind?: string; readonly name?: string; readonly namespace?: string }; readonly hostname?: string }[]
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string; readonly appProtocol?: string }[]
}
