// Where a command's mesh comes from: files (-f), else the mesh that runs on this machine (--local).
import { KithError } from '#lib/errors.ts'
import type { Problem } from '#lib/problem.ts'
import { decodeMeshConfig, isRecord, type ApiObject, type MeshConfigSpec } from '#api'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml, readFiles } from '#sources'

export interface MeshSource {
  /** `-f`, repeatable; `-` is standard input. */
  readonly filename: readonly string[]
  /** `--local`: the mesh that runs here; with a folder where several do. */
  readonly local?: boolean | string
  readonly meshConfigFile?: string
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
  if (source.filename.length === 0) return loadLocal(source)
  const files = readFiles(source.filename)
  const missing = files.problems.find((p) => p.code === 'KITH0002')
  if (missing !== undefined && files.documents.length === 0) throw new KithError('UNREADABLE', missing.message)
  const decoded = decodeObjects(files.documents)
  const config = meshConfigOf(decoded.objects, source.meshConfigFile)
  return { mesh: buildMesh(decoded.objects, { meshConfig: config.config }), objects: decoded.objects, problems: [...files.problems, ...decoded.problems, ...config.problems] }
}

async function loadLocal(source: MeshSource): Promise<LoadedMesh> {
  const { attachFound, readMeshFile } = await import('#local')
  const dir = typeof source.local === 'string' ? source.local : process.env['KITH_DIR']
  const running = await attachFound(dir).catch((cause: unknown) => {
    if (source.local !== undefined) throw cause
    throw new KithError('NO_INPUT', 'no mesh to read: name files or folders with -f, run one here with kith up (--local), or point KUBECONFIG at a cluster (not read yet)', { cause })
  })
  const objects = await running.objects()
  const own = readMeshFile(running.dir).meshConfig
  const config = source.meshConfigFile === undefined && own !== undefined ? decodeMeshConfig(own, {}) : meshConfigOf(objects, source.meshConfigFile)
  return { mesh: buildMesh(objects, { meshConfig: config.config }), objects, problems: config.problems, localDir: running.dir }
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
