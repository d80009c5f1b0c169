// The mesh that runs on this machine, for the commands that take `--local`.
import type { MeshHandle } from '#local'
import type { ClusterOptions } from './cluster.ts'

export interface LocalOptions extends ClusterOptions {
  /** `--local`; `--local=FOLDER` where several meshes run. */
  readonly local?: boolean | string
}

/** Whether the command is about it: asked for, or named by KITH_DIR where the command line names no cluster and no files. */
export function isLocal({ local, kubeconfig, context }: LocalOptions, namesFiles = false): boolean {
  const namesAnother = namesFiles || kubeconfig !== undefined || context !== undefined
  return local !== undefined || (!namesAnother && process.env['KITH_DIR'] !== undefined)
}

/** @throws KithError MESH_NOT_RUNNING, MESH_AMBIGUOUS */
export async function attachLocal({ local }: LocalOptions): Promise<MeshHandle> {
  const { attachFound } = await import('#local')
  return attachFound(typeof local === 'string' ? local : process.env['KITH_DIR'])
}

/** `[kind/]name[.namespace]`, with the namespace of `-n` where the name has none. */
export function podNamed(pod: string, namespace: string): string {
  return pod.includes('.') || namespace === 'default' ? pod : `${pod}.${namespace}`
}
