// From outside: a private state folder, a sandbox with the supervisor in it, and a handle. The sandbox dies with this process, however that ends.
import { spawn, type ChildProcess } from 'node:child_process'
import { realpathSync, rmSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { KithError } from '#lib/errors.ts'
import { attachState } from './attach-mesh.ts'
import { ask, openSession } from './control-client.ts'
import type { MeshHandle } from './mesh-handle.ts'
import { lockState, stateDirOf, type StatePaths } from './state-dir.ts'
import type { SupervisorOptions } from './supervisor/options.ts'
import type { LocalMode, StartMeshOptions } from './types.ts'

/**
 * Brings up the mesh of a folder; resolves when its control socket answers, pods come up behind (`waitReady`).
 * @throws KithError NO_SUCH_FOLDER, MESH_RUNS, MESH_FILE_INVALID, NAMESPACES_REFUSED (mode namespaced), SUPERVISOR_FAILED
 */
export async function startMesh(options: StartMeshOptions): Promise<MeshHandle> {
  const stateDir = stateDirOf(options.dir)
  const dir = realpathSync(options.dir)
  if (!statSync(dir).isDirectory()) throw new KithError('NO_SUCH_FOLDER', `${options.dir} is no folder`)
  const paths = lockState(stateDir)
  try {
    const { supervisor: { child: supervisor, lost }, mode, reason } = await startSupervisor(options.mode ?? 'auto', { dir, stateDir: paths.root, ...(options.proxy === undefined ? {} : { proxy: options.proxy }) })
    /** An answer, or why the mesh ended before it came. */
    const answered = <T>(asked: Promise<T>): Promise<T> =>
      asked.catch(async (error: unknown) => {
        const unanswered = error instanceof KithError && (error.code === 'MESH_UNREACHABLE' || error.code === 'MESH_NOT_RUNNING')
        throw (unanswered ? await lost() : undefined) ?? error
      })
    const attached = await answered(attachState(stateDir, dir))
    const events = options.onEvent === undefined ? undefined : await answered(forwardEvents(paths, options.onEvent))
    const ended = new Promise<void>((resolve) => supervisor.once('exit', () => resolve()))
    return {
      ...attached, mode, ended, lost,
      waitReady: (timeoutMs) => answered(attached.waitReady(timeoutMs)),
      ...(reason === undefined ? {} : { modeReason: reason }),
      async down(why) {
        if (supervisor.exitCode === null && supervisor.signalCode === null) {
          await ask(paths.socket, { op: 'down', ...(why === undefined ? {} : { why }) }).catch(() => supervisor.stdin?.end())
          const late = setTimeout(() => supervisor.kill('SIGKILL'), 10_000)
          await ended
          clearTimeout(late)
        }
        await events?.ended
        rmSync(paths.root, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(paths.root, { recursive: true, force: true })
    throw error
  }
}

/** `ended` resolves when the stream of events has ended, which it does with the mesh. */
async function forwardEvents(paths: StatePaths, listener: NonNullable<StartMeshOptions['onEvent']>): Promise<{ readonly ended: Promise<void> }> {
  const session = await openSession(paths.socket, { op: 'events' })
  session.onReply((r) => 'event' in r && listener(r.event))
  return { ended: session.closed }
}

interface Supervisor {
  readonly child: ChildProcess
  /** Why it ended by itself, once it has; undefined while it runs, or where it was told to end. */
  lost(): Promise<KithError | undefined>
}

interface Started {
  readonly supervisor: Supervisor
  readonly mode: LocalMode
  readonly reason?: string
}

async function startSupervisor(mode: LocalMode | 'auto', options: Pick<SupervisorOptions, 'dir' | 'stateDir' | 'proxy'>): Promise<Started> {
  if (mode === 'explicit') return { supervisor: await supervise({ ...options, mode: 'explicit' }), mode: 'explicit' }
  let reason: string
  if (process.platform === 'linux') {
    try {
      return { supervisor: await supervise({ ...options, mode: 'namespaced' }), mode: 'namespaced' }
    } catch (error) {
      if (!(error instanceof KithError) || error.code !== 'NAMESPACES_REFUSED' || mode === 'namespaced') throw error
      reason = error.message
    }
  } else {
    reason = `network namespaces are Linux's, and this is ${process.platform}`
    if (mode === 'namespaced') throw new KithError('NAMESPACES_REFUSED', reason)
  }
  return { supervisor: await supervise({ ...options, mode: 'explicit', modeReason: reason }), mode: 'explicit', reason }
}

const nodeFlags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=2']

/** The sandbox's first process is the supervisor: when it ends, so does everything in it, and `--kill-child` ends it with `unshare`. */
function supervise(options: Pick<SupervisorOptions, 'dir' | 'stateDir' | 'proxy' | 'mode' | 'modeReason'>): Promise<Supervisor> {
  const root = process.getuid?.() === 0
  const whole: SupervisorOptions = { ...options, programs: { controlPlane: program('control-plane/server/main'), agent: program('data-plane/agent/main') }, ownUsers: root }
  const sandbox = options.mode === 'explicit' ? [] : ['unshare', ...(root ? [] : ['--user', '--map-root-user']), '--net', '--mount', '--pid', '--mount-proc', '--fork', '--kill-child', '--']
  const [command = '', ...args] = [...sandbox, process.execPath, ...nodeFlags, program('local/supervisor/main'), JSON.stringify(whole)]
  // A session of its own: Ctrl-C is for the command, which takes the mesh down in order.
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  child.stdin?.on('error', () => undefined)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-8192)))
  let cause: KithError | undefined
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lost = async (): Promise<KithError | undefined> => {
    const left = await Promise.race([exited.then(() => true), new Promise<false>((r) => setTimeout(r, 2000, false).unref())])
    if (!left || child.exitCode === 0) return undefined
    return cause ?? failure(options.mode, said.trim(), child.exitCode ?? child.signalCode)
  }
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new KithError(options.mode === 'namespaced' ? 'NAMESPACES_REFUSED' : 'SUPERVISOR_FAILED', `${command} can't be started: ${cause.message}`, { cause })))
    child.once('exit', (code, signal) => reject(failure(options.mode, said.trim(), code ?? signal)))
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as { event: string; code?: string; message?: string }
      if (message.event === 'listening') return resolve({ child, lost })
      cause = failed(message)
      if (options.mode === 'namespaced' && machineRefuses.has(message.code ?? '')) reject(new KithError('NAMESPACES_REFUSED', `this machine refuses part of a pod's network (${message.message})`))
      else reject(cause)
    })
  })
}

function failed({ code = 'UNEXPECTED', message = 'the supervisor failed' }: { readonly code?: string; readonly message?: string }): KithError {
  return new KithError(code === 'UNEXPECTED' ? 'SUPERVISOR_FAILED' : code, message)
}

/** What the inside says where the kernel or the machine lacks something. */
const machineRefuses = new Set(['SYSTEM_CALL_FAILED', 'FFI_UNAVAILABLE', 'INTERCEPTION_UNAVAILABLE', 'NETLINK_SILENT', 'NAMESPACES_REFUSED', 'EACCES', 'EPERM', 'EROFS'])

function failure(mode: LocalMode, said: string, how: number | string | null): KithError {
  if (mode === 'namespaced' && /^unshare: /m.test(said)) return new KithError('NAMESPACES_REFUSED', `this machine refuses namespaces (${said.split('\n')[0]})`)
  return new KithError('SUPERVISOR_FAILED', `the mesh's supervisor ended (${how})${said === '' ? '' : `: ${said}`}`)
}

/** A program of this package, with the ending that this file has itself. */
function program(name: string): string {
  return fileURLToPath(new URL(`../${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
}
