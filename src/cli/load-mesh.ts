// Where a command's mesh comes from: files (-f), else the mesh that runs on this machine (--local), else the cluster of the kubeconfig.
import { KithError } from '#lib/errors.ts'
import type { Problem } from '#lib/problem.ts'
import { decodeMeshConfig, isRecord, type ApiObject, type MeshConfigSpec } from '#api'
import type { MeshHandle } from '#local'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml, readFiles } from '#sources'
import { namesCluster, withCluster, type ClusterOptions } from './cluster.ts'

export interface MeshSource extends ClusterOptions {
  /** `-f`, repeatable; `-` is standard input. */
  readonly filename: readonly string[]
  /** `--local`: the mesh that runs here; with a folder where several do. */
  readonly local?: boolean | string
  readonly meshConfigFile?: string
  /** Of the local mesh the templates, not the pods that came of them. */
  readonly written?: boolean
  /** Of a cluster also what makes pods, beside the pods themselves. */
  readonly templates?: boolean
}

export interface LoadedMesh {
  readonly mesh: Mesh
  readonly objects: readonly ApiObject[]
  readonly problems: readonly Problem[]
  /** Folder of the local mesh, where it is one. */
  readonly localDir?: string
}

/** Throws NO_INPUT where there is none, UNREADABLE where a named file can't be read at all. */
export async function loadMesh(source: MeshSource): Promise<LoadedMesh> {
  if (source.filename.length === 0) return loadRunning(source)
  const files = readFiles(source.filename)
  const missing = files.problems.find((p) => p.code === 'KITH0002')
  if (missing !== undefined && files.documents.length === 0) throw new KithError('UNREADABLE', missing.message)
  const decoded = decodeObjects(files.documents)
  const config = meshConfigOf(decoded.objects, source.meshConfigFile)
  return { mesh: buildMesh(decoded.objects, { meshConfig: config.config }), objects: decoded.objects, problems: [...files.problems, ...decoded.problems, ...config.problems] }
}

/** What was named; else the mesh that somebody has started here; else the cluster. */
async function loadRunning(source: MeshSource): Promise<LoadedMesh> {
  const local = source.local !== undefined || process.env['KITH_DIR'] !== undefined
  if (!local && (source.kubeconfig !== undefined || source.context !== undefined)) return loadCluster(source)
  const { attachFound } = await import('#local')
  const dir = typeof source.local === 'string' ? source.local : process.env['KITH_DIR']
  const running = await attachFound(dir).catch((cause: unknown) => {
    if (local || !(cause instanceof KithError) || cause.code !== 'MESH_NOT_RUNNING') throw cause
    if (!namesCluster(source)) throw new KithError('NO_INPUT', 'no mesh to read: name files or folders with -f, run one here with kith up (--local), or point KUBECONFIG at a cluster', { cause })
    return undefined
  })
  if (running === undefined) return loadCluster(source)
  if (!local && namesCluster(source)) process.stderr.write(`reading the mesh of ${running.dir}, which runs on this machine; --context NAME reads a cluster\n`)
  return loadLocal(source, running)
}

async function loadLocal(source: MeshSource, running: MeshHandle): Promise<LoadedMesh> {
  const { readMeshFile } = await import('#local')
  const objects = await (source.written === true ? running.written() : running.objects())
  const own = readMeshFile(running.dir).meshConfig
  const config = source.meshConfigFile === undefined && own !== undefined ? decodeMeshConfig(own, {}) : meshConfigOf(objects, source.meshConfigFile)
  return { mesh: buildMesh(objects, { meshConfig: config.config }), objects, problems: config.problems, localDir: running.dir }
}

async function loadCluster(source: MeshSource): Promise<LoadedMesh> {
  const { readCluster } = await import('./cluster-objects.ts')
  const { documents, problems } = await withCluster(source, (client) => readCluster(client, { templates: source.templates === true }))
  const decoded = decodeObjects(documents)
  const config = meshConfigOf(decoded.objects, source.meshConfigFile)
  return { mesh: buildMesh(decoded.objects, { meshConfig: config.config }), objects: decoded.objects, problems: [...problems, ...decoded.problems, ...config.problems] }
}

/** From the file, else from the ConfigMap `istio` of the root namespace (its key `mesh`), else the defaults. */
export function meshConfigOf(objects: readonly ApiObject[], file?: string): { config: MeshConfigSpec; problems: readonly Problem[] } {
  if (file !== undefined) {
    const read = readFiles([file])
    if (read.problems[0] !== undefined) throw new KithError('UNREADABLE', read.problems[0].message)
    const document = read.documents[0]
    return document === undefined ? { config: {}, problems: [] } : decodeMeshConfig(document.value, document.origin)
  }
  const map = objects.find((o) => o.kind === 'ConfigMap' && o.metadata.name === 'istio' && o.metadata.namespace === 'istio-system')
  const data = map?.raw['data']
  const text = isRecord(data) ? data['mesh'] : undefined
  if (map === undefined || typeof text !== 'string') return { config: {}, problems: [] }
  const parsed = parseYaml(text, map.origin.file ?? 'istio')
  return decodeMeshConfig(parsed.documents[0]?.value, map.origin)
}
