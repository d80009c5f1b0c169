// What the mesh on this machine offers to commands and to other programs: plain data in and out.
import type { Problem, Ref } from '#lib/problem.ts'

export type LocalMode = 'namespaced' | 'explicit'

export interface StartMeshOptions {
  /** The folder with the YAML files and, if there is one, `kith.yaml`. */
  readonly dir: string
  /** `auto` (default): namespaced where the machine allows it, else explicit; `MeshHandle.modeReason` says why. */
  readonly mode?: LocalMode | 'auto'
  /** What runs as sidecar. Default: `spec.proxy` of kith.yaml, else kith. */
  readonly proxy?: 'kith' | 'envoy'
  /** Everything that happens; may be called before `startMesh` resolves. */
  readonly onEvent?: (event: MeshEvent) => void
}

/** Something that happened, for people and for `-o json`. `at`: RFC 3339. */
export type MeshEvent = { readonly at: string } & (
  | { readonly event: 'started'; readonly mode: LocalMode; readonly reason?: string; readonly stateDir: string }
  | { readonly event: 'problem'; readonly problem: Problem }
  | { readonly event: 'control-plane'; readonly status: 'ready' | 'restarted' | 'failed'; readonly detail?: string }
  /** One line of the control plane's log, from level info on: what changed for whom, what was refused. */
  | { readonly event: 'control-plane-log'; readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly event: 'pod'; readonly pod: PodView; readonly detail?: string }
  | { readonly event: 'ready'; readonly pods: number; readonly afterMs: number }
  /** A file that was refused can be read again. */
  | { readonly event: 'mended'; readonly file: string }
  | { readonly event: 'applied'; readonly changes: readonly AppliedChange[] }
  | { readonly event: 'stopping'; readonly why: string }
)

export interface ContainerView {
  readonly name: string
  readonly ready: boolean
  readonly restarts: number
  /** `Running`, `Completed`, `Error`, `CrashLoopBackOff`, `ErrImagePull`, `ContainerCreating` */
  readonly status: string
  /** Why, in a sentence, where it does not run. */
  readonly detail?: string
}

/** A pod as `kubectl get pods` shows it. */
export interface PodView {
  readonly namespace: string
  readonly name: string
  /** The workload it belongs to: `Deployment/httpbin`, `Pod/opted-out`. */
  readonly owner: string
  readonly containers: readonly ContainerView[]
  readonly ready: boolean
  readonly status: string
  readonly restarts: number
  /** RFC 3339. */
  readonly createdAt: string
  readonly ip: string
  readonly node: string
  readonly serviceAccount: string
  readonly injected: boolean
}

export interface AppliedChange {
  readonly action: 'created' | 'configured' | 'unchanged' | 'deleted' | 'not found'
  readonly ref: Ref
  /** What the user should know besides: that an object of the folder's files is overridden. */
  readonly note?: string
}

export interface ApplyResult {
  readonly changes: readonly AppliedChange[]
  /** Faults of what was given; with an error among them nothing was applied. */
  readonly problems: readonly Problem[]
}

export interface ExecOptions {
  /** Default: the pod's first application container. */
  readonly container?: string
  readonly input?: string | Uint8Array
  /** Ends the command with SIGKILL after so long; default: never. */
  readonly timeoutMs?: number
}

export interface ExecResult {
  /** 128 + n where signal n ended it; 127 where the command was not found. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** `sleep.foo`, `deploy/sleep.foo`, `pod/sleep-7d4-x.foo`, or the parts. Of several replicas the first ready one is taken. */
export type PodReference = string | { readonly namespace: string; readonly name: string; readonly kind?: string }

export interface LogOptions {
  /** Default: the first application container; `istio-proxy` is the sidecar. */
  readonly container?: string
  /** The last so many lines; default: all that is kept. */
  readonly tail?: number
  /** `stdout` alone is, for a sidecar, its access log. Default both. */
  readonly stream?: 'stdout' | 'stderr' | 'both'
}
