// The running mesh as a program holds it: what `startMesh` and `attachMesh` return.
import type { ApiObject } from '#api'
import type { Handshake } from '#identity'
import type { Problem } from '#lib/problem.ts'
import type { RawDocument } from '#sources'
import type { ApplyResult, ExecOptions, ExecResult, LocalMode, LogOptions, MeshEvent, PodReference, PodView } from './types.ts'

export interface MeshHandle {
  readonly dir: string
  readonly mode: LocalMode
  /** Why not the other mode, where the machine decided. */
  readonly modeReason?: string
  /** Where sockets, logs and the objects of this mesh are kept while it runs. */
  readonly stateDir: string
  /** Resolves when every pod is ready (Jobs: done); rejects with MESH_NOT_READY, naming who is not and why. Default 60 s. */
  waitReady(timeoutMs?: number): Promise<void>
  ps(): Promise<readonly PodView[]>
  /** Runs a program inside the pod's container, as kubectl exec does. Never rejects because the program failed. */
  exec(pod: PodReference, argv: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** As kubectl apply. `origin` is the file's name for problems and explanations. Resolves once every sidecar has what follows from it. */
  apply(yamlText: string, origin?: string): Promise<ApplyResult>
  /** Removes the objects that the text names. Objects of the folder's own files are refused: their file is the truth. */
  delete(yamlText: string, origin?: string): Promise<ApplyResult>
  logs(pod: PodReference, options?: LogOptions): Promise<string>
  /** The sidecar's access log, a line an entry. */
  accessLog(pod: PodReference): Promise<readonly string[]>
  /** The last mutual TLS handshakes of the pod's sidecar, the latest first; none where it has no sidecar; null: its sidecar keeps no record of them (Envoy). */
  handshakes(pod: PodReference): Promise<readonly Handshake[] | null>
  /** A page of the sidecar's admin, as JSON. @throws KithError ADMIN_SILENT, NO_SIDECAR, NO_SUCH_POD */
  sidecarPage(pod: PodReference, path: string): Promise<unknown>
  /** A page of the control plane's status port, as JSON. */
  controlPlanePage(path: string): Promise<unknown>
  /** The documents that the control plane reads, those that it refuses too, and the pods that run. */
  documents(): Promise<{ readonly documents: readonly RawDocument[]; readonly problems: readonly Problem[] }>
  /** Every object as the control plane sees it, with the file and line where the user wrote it. */
  objects(): Promise<readonly ApiObject[]>
  /** Of these what users wrote: templates in place of the pods that run. */
  written(): Promise<readonly ApiObject[]>
  /** Events from now on; returns the way to stop. */
  onEvent(listener: (event: MeshEvent) => void): () => void
  /** Resolves when the mesh has gone, whoever ended it. */
  readonly ended: Promise<void>
  /** Why the mesh ended by itself; undefined: it runs, or was told to end. Only of a mesh that this process started. */
  lost?(): Promise<Error | undefined>
  /** Takes everything down and resolves when nothing is left. An attached mesh is left running: see `stopMesh`. */
  down(why?: string): Promise<void>
}
