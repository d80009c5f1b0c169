// Which meshes of this user run here, which one a command means, and clearing up behind one that crashed.
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { KithError } from '#lib/errors.ts'
import { attachState } from './attach-mesh.ts'
import { ask } from './control-client.ts'
import type { MeshHandle } from './mesh-handle.ts'
import { lockHolder, readRecord, startOf, stateDirOf, stateHome, statePaths, type MeshRecord } from './state-dir.ts'

export interface FoundMesh {
  readonly stateDir: string
  /** undefined where it never came so far. */
  readonly record: MeshRecord | undefined
  readonly alive: boolean
}

/** All meshes of this user that have a state folder, those that crashed included. */
export function foundMeshes(): readonly FoundMesh[] {
  const home = stateHome()
  if (!existsSync(home)) return []
  return readdirSync(home).sort().map((name) => {
    const paths = statePaths(join(home, name))
    return { stateDir: paths.root, record: readRecord(paths), alive: lockHolder(paths) !== undefined }
  })
}

/**
 * The mesh that a command means: of the folder named, else of the working folder or one above it, else the only one that runs.
 * @throws KithError MESH_NOT_RUNNING, MESH_AMBIGUOUS
 */
export function findMesh(dir: string | undefined = process.env['KITH_DIR']): FoundMesh {
  const found = foundMeshes()
  if (dir !== undefined && dir !== '') {
    const stateDir = stateDirOf(dir)
    return found.find((f) => f.stateDir === stateDir) ?? fail(`no mesh runs from ${dir}; start it with: kith up ${dir}`)
  }
  for (let at = realpathSync(process.cwd()); ; at = dirname(at)) {
    const here = found.find((f) => f.alive && f.record?.dir === at)
    if (here !== undefined) return here
    if (at === dirname(at)) break
  }
  const alive = found.filter((f) => f.alive && f.record !== undefined)
  if (alive.length === 1) return alive[0] as FoundMesh
  if (alive.length > 1) throw new KithError('MESH_AMBIGUOUS', `several meshes run here; say which with --dir: ${alive.map((f) => f.record?.dir).join(', ')}`)
  return fail('no mesh runs here; start one with: kith up DIR')
}

function fail(message: string): never {
  throw new KithError('MESH_NOT_RUNNING', message)
}

/** @throws KithError as findMesh does */
export async function attachFound(dir?: string): Promise<MeshHandle> {
  const { stateDir, record } = findMesh(dir)
  return attachState(stateDir, record?.dir ?? dir ?? stateDir)
}

/** Ends a mesh, or clears up behind one that crashed. Resolves when nothing is left: true where something had been there. */
export async function stopMesh(mesh: FoundMesh): Promise<'stopped' | 'cleared'> {
  const paths = statePaths(mesh.stateDir)
  if (mesh.alive) {
    await ask(paths.socket, { op: 'down' }).catch(() => undefined)
    const until = Date.now() + 10_000
    while (existsSync(paths.record) && lockHolder(paths) !== undefined && Date.now() < until) await new Promise((r) => setTimeout(r, 30))
  }
  for (const [pid, start] of leftProcesses(paths.root)) {
    if (start === '' || startOf(pid) !== start) continue
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It went by itself.
    }
  }
  rmSync(mesh.stateDir, { recursive: true, force: true })
  return mesh.alive ? 'stopped' : 'cleared'
}

/** Explicit mode writes down what it starts, since no kernel takes it away. */
function leftProcesses(stateDir: string): (readonly [number, string])[] {
  try {
    return readFileSync(join(stateDir, 'processes'), 'utf8').split('\n').filter((l) => l !== '').map((l) => [Number(l.split(' ')[0]), l.split(' ')[1] ?? ''] as const)
  } catch {
    return []
  }
}
