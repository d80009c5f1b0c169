// Where a pod lives: what differs between a network namespace of its own and a share of the loopback.
import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'

/** Who a process is: an application (no capabilities), or the sidecar. */
export type Role = 'application' | 'sidecar'

export interface Spawn {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Whether standard input is a pipe. */
  readonly stdin?: boolean
}

export interface PodPlace {
  readonly address: string
  /** What the sidecar's environment must say besides (interception, marks, ports). */
  readonly sidecarEnv: Readonly<Record<string, string>>
  /** What an application's environment must say besides (explicit mode: HTTP_PROXY, PORT). */
  readonly applicationEnv: Readonly<Record<string, string>>
  /** For `$(PORT_80)` in commands: where the application shall listen in place of each declared port. */
  readonly variables: Readonly<Record<string, string>>
  /** Synchronous; throws where the kernel refuses. The child leads a session of its own. */
  spawn(role: Role, what: Spawn): ChildProcess
  /** A connection from inside the pod to one of its ports, for probes; `loopback`: to what listens there alone. */
  connect(port: number, loopback?: boolean): Socket
  /** A newer token in place of the old one. */
  renewToken(token: string): void
  /** Ends what is left of the pod's processes and lets go of its namespaces. */
  release(): void
}

export interface PlaceRequest {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly hostname: string
  readonly address: string
  readonly injected: boolean
  readonly annotations: Readonly<Record<string, string>>
  /** Declared container ports. */
  readonly ports: readonly number[]
  /** The pod's service-account token, for the sidecar's eyes alone. */
  readonly token?: string
  /** What the sidecar was told at its start holds no longer (explicit mode: others' ports). */
  onStale?(): void
}

export interface Sandbox {
  readonly mode: 'namespaced' | 'explicit'
  /** `ip:port` for the control plane to listen on, as the sidecars reach it. */
  readonly controlPlaneAddress: string
  readonly statusPort: number
  placePod(request: PlaceRequest): PodPlace
  /** A server outside every pod. */
  placeExternal(name: string, address: string, ports: readonly number[]): PodPlace
  /** Names and virtual addresses follow what the mesh looks like now. */
  publish(view: import('../names.ts').Names): void
  /** Runs a program of the mesh itself (the control plane): no capability but reading files. */
  spawnSystem(what: Spawn): ChildProcess
  close(): void
}
