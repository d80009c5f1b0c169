// Where a command's mesh comes from: files (-f), the mesh that runs here (--local).
import { KithError } from '#lib/errors.ts'
import type { Problem } from '#lib/problem.ts'
import { decodeMeshConfig, isRecord, type ApiObject, type MeshConfigSpec } from '#api'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml, readFiles } from '#sources'

export interface LoadedMesh {
  readonly mesh: Mesh
  readonly objects: readonly ApiObject[]
  readonly problems: readonly Problem[]
}

/** `-f` may be repeated; `-` is standard input. Throws NO_INPUT without any, UNREADABLE where a named file can't be read at all. */
export function loadMesh(paths: readonly string[], meshConfigFile?: string): LoadedMesh {
  if (paths.length === 0) throw new KithError('NO_INPUT', 'no mesh to read: name files or folders with -f, or --local for the mesh that runs here')
  const files = readFiles(paths)
  const missing = files.problems.find((p) => p.code === 'KITH0002')
  if (missing !== undefined && files.documents.length === 0) throw new KithError('UNREADABLE', missing.message)
  const decoded = decodeObjects(files.documents)
  const config = meshConfigOf(decoded.objects, meshConfigFile)
  return { mesh: buildMesh(decoded.objects, { meshConfig: config.config }), objects: decoded.objects, problems: [...files.problems, ...decoded.problems, ...config.problems] }
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
