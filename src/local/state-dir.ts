// Where a running mesh keeps its socket, objects and tokens: one folder a mesh folder, private to the user, gone when the mesh is.
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { KithError, systemRefusal } from '#lib/errors.ts'
import { writeFile } from './replace-file.ts'

export interface StatePaths {
  readonly root: string
  readonly socket: string
  /** One line of JSON about the mesh: `MeshRecord`. */
  readonly record: string
  /** What an API server would hold of this mesh: pods and services' addresses. */
  readonly objects: string
  /** What `kith apply` brought, a file an object. */
  readonly applied: string
  readonly pods: string
  /** What sidecars see as /var/run/secrets/istio: the root certificate, nothing else. */
  readonly rootCert: string
  readonly lock: string
}

/** What is known of a mesh from outside, whether it runs or crashed. */
export interface MeshRecord {
  readonly dir: string
  readonly mode: 'namespaced' | 'explicit'
  readonly startedAt: string
  /** The process that stands for the mesh: ending it ends everything (namespaced). */
  readonly pid: number
  readonly configPaths: readonly string[]
  readonly meshConfigFile?: string
}

export function statePaths(root: string): StatePaths {
  return { root, socket: join(root, 'control.sock'), record: join(root, 'mesh.json'), objects: join(root, 'objects'), applied: join(root, 'applied'), pods: join(root, 'pods'), rootCert: join(root, 'root-cert'), lock: join(root, 'lock') }
}

/** The user's folder of all meshes: below XDG_RUNTIME_DIR where there is one, else below the temporary folder. */
export function stateHome(): string {
  const runtime = process.env['XDG_RUNTIME_DIR']
  const uid = process.getuid?.() ?? 0
  return runtime !== undefined && runtime !== '' && existsSync(runtime) ? join(runtime, 'kith') : join(tmpdir(), `kith-${uid}`)
}

/** Short, since a socket's path may have 107 bytes. @throws KithError NO_SUCH_FOLDER */
export function stateDirOf(dir: string): string {
  let real: string
  try {
    real = realpathSync(dir)
  } catch (cause) {
    throw new KithError('NO_SUCH_FOLDER', `there is no folder ${dir}`, { cause })
  }
  const name = basename(real).replace(/[^A-Za-z0-9_-]/g, '').slice(0, 20)
  return join(stateHome(), `${name}-${createHash('sha256').update(real).digest('hex').slice(0, 8)}`)
}

/**
 * Takes the folder for this process alone. @throws KithError STATE_UNWRITABLE, MESH_RUNS where another process that lives has it, STATE_NOT_PRIVATE
 * where the user's state folder belongs to somebody else
 */
export function lockState(root: string): StatePaths {
  const paths = statePaths(root)
  for (const folder of [dirname(root), root]) makePrivate(folder)
  for (const folder of [dirname(root), root]) {
    if (!isPrivate(folder)) throw new KithError('STATE_NOT_PRIVATE', `${folder} belongs to another user, or others may write to it; remove it, or set XDG_RUNTIME_DIR to a folder of your own`)
  }
  for (let attempt = 0; ; attempt++) {
    try {
      writeFile(paths.lock, `${process.pid} ${startOf(process.pid)}\n`, { flag: 'wx', mode: 0o600 })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw error
      const holder = lockHolder(paths)
      if (holder !== undefined) throw new KithError('MESH_RUNS', `this folder's mesh runs already (process ${holder}, state in ${root}); use it with kith ps, exec, apply, or end it with kith down`)
      rmSync(paths.lock, { force: true })
    }
  }
  for (const path of [paths.socket, paths.record, paths.objects, paths.applied, paths.pods, paths.rootCert]) rmSync(path, { recursive: true, force: true })
  for (const path of [paths.objects, paths.applied, paths.pods, paths.rootCert]) mkdirSync(path, { recursive: true, mode: 0o755 })
  return paths
}

/** The process that holds the lock, if it lives. */
export function lockHolder(paths: StatePaths): number | undefined {
  const [pid = '', start = ''] = readText(paths.lock)?.trim().split(' ') ?? []
  return pid !== '' && startOf(Number(pid)) === start && start !== '' ? Number(pid) : undefined
}

export function readRecord(paths: StatePaths): MeshRecord | undefined {
  const text = readText(paths.record)
  return text === undefined || text === '' ? undefined : (JSON.parse(text) as MeshRecord)
}

/** When a process started, in clock ticks since boot: a number that a process of the same id does not share. '' where it has gone. */
export function startOf(pid: number): string {
  const text = readText(`/proc/${pid}/stat`)
  if (text !== undefined) return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  try {
    process.kill(pid, 0)
    return process.platform === 'linux' ? '' : 'alive'
  } catch {
    return ''
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** @throws KithError STATE_UNWRITABLE */
function makePrivate(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return
    throw new KithError('STATE_UNWRITABLE', `what a running mesh keeps has no place: ${systemRefusal(cause)?.message ?? String(cause)}; set XDG_RUNTIME_DIR or TMPDIR to a folder that is there and yours`, { cause })
  }
}

/** A folder of our own (no link to one), that nobody else may write to: the temporary folder is everybody's. */
function isPrivate(path: string): boolean {
  const { uid, mode } = lstatSync(path)
  return lstatSync(path).isDirectory() && (process.getuid === undefined || uid === process.getuid()) && (mode & 0o022) === 0
}
