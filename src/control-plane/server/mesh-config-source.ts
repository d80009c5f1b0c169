// MeshConfig, now and after each change, from a file or from the ConfigMap `istio`. Law: one with a fault is refused whole; the last good one goes on.
import { readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { decodeMeshConfig, isRecord, unservedMeshConfig, type MeshConfigSpec, type Origin } from '#api'
import { followObject, parseYaml, watchFiles } from '#sources'

export interface MeshConfigSource {
  current(): MeshConfigSpec
  close(): void
}

export function fixedMeshConfig(config: MeshConfigSpec): MeshConfigSource {
  return { current: () => config, close() {} }
}

/** At start a fault takes only its field along: there is no last good one. */
export function fileMeshConfig(path: string, log: Logger, onChange: () => void): MeshConfigSource {
  const read = (): string => readFileSync(path, 'utf8')
  const held = new HeldMeshConfig(log)
  held.take(read(), { file: path })
  const watch = watchFiles([path], () => {
    try {
      if (held.take(read(), { file: path })) onChange()
    } catch (error) {
      log.error({ file: path, reason: (error as Error).message }, 'meshConfig can not be read, the last one goes on')
    }
  })
  return { current: () => held.config, close: () => watch.close() }
}

/** Resolves when the ConfigMap was read, or is known not to be there: then the defaults hold until it is. */
export async function clusterMeshConfig(client: Pick<KubernetesClient, 'pages' | 'watch'>, at: { readonly namespace: string; readonly name: string }, log: Logger, onChange: () => void): Promise<MeshConfigSource> {
  const held = new HeldMeshConfig(log)
  let settled = false
  const followed = followObject(client, { apiVersion: 'v1', kind: 'ConfigMap', ...at }, log, (object) => {
    const data = object?.['data']
    const text = isRecord(data) && typeof data['mesh'] === 'string' ? data['mesh'] : undefined
    if (object === undefined) return log.warn(at, 'the meshConfig ConfigMap is gone, the last one goes on')
    if (text === undefined) return log.error(at, 'the meshConfig ConfigMap has no text under mesh, the last one goes on')
    if (held.take(text, {}) && settled) onChange()
  })
  await followed.settled
  settled = true
  // Defaults by guess would give out identities of another trust domain, and open what its owner closed.
  const why = followed.unread()
  if (why !== undefined) {
    followed.close()
    throw new KithError('MESH_CONFIG_UNREADABLE', `the ConfigMap ${at.namespace}/${at.name} can't be read: ${why}`)
  }
  if (followed.current() === undefined) log.warn(at, 'there is no meshConfig ConfigMap, the defaults hold')
  return { current: () => held.config, close: () => followed.close() }
}

class HeldMeshConfig {
  readonly #log: Logger
  #text: string | undefined
  config: MeshConfigSpec = {}

  constructor(log: Logger) {
    this.#log = log
  }

  /** True where another one holds now. */
  take(text: string, origin: Origin): boolean {
    if (text === this.#text) return false
    const isFirst = this.#text === undefined
    const parsed = parseYaml(text, origin.file ?? 'meshConfig')
    const document = parsed.documents[0]
    const { config, problems } = document === undefined ? { config: {}, problems: [] } : decodeMeshConfig(meshText(document.value), document.origin)
    const all = [...parsed.problems, ...problems]
    for (const p of all) this.#log.warn({ problem: p.message, field: p.ref.path, line: p.ref.line, help: p.help }, 'meshConfig has a fault')
    if (!isFirst && all.some((p) => p.severity === 'error')) {
      this.#log.error({}, 'meshConfig refused, the last one goes on')
      return false
    }
    this.#text = text
    this.config = config
    for (const { field, meaning } of unservedMeshConfig(config)) this.#log.warn({ field, meaning }, 'meshConfig has a field that is not served')
    if (!isFirst) this.#log.info({}, 'meshConfig changed')
    return !isFirst
  }
}

/** The ConfigMap `istio` itself may stand in the file. */
function meshText(value: unknown): unknown {
  if (!isRecord(value) || value['kind'] !== 'ConfigMap' || !isRecord(value['data'])) return value
  return parseYaml(String(value['data']['mesh'] ?? ''), 'mesh').documents[0]?.value
}
