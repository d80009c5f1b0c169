// A handle on a mesh that runs: everything goes over its control socket, so several commands may hold one at once.
import { KithError } from '#lib/errors.ts'
import type { ApiObject } from '#api'
import type { Handshake } from '#identity'
import type { Problem } from '#lib/problem.ts'
import { decodeObjects, documentKey, isOverlay, readFiles, type RawDocument } from '#sources'
import { ask, openSession } from './control-client.ts'
import { channels, type Page, type Reply, type Request } from './control-protocol.ts'
import type { MeshHandle } from './mesh-handle.ts'
import { readRecord, stateDirOf, statePaths, type MeshRecord } from './state-dir.ts'
import { readOrigins, usersOrigin, withUsersOrigin } from './supervisor/applied-files.ts'
import { formatReference } from './supervisor/find-pod.ts'
import type { ApplyResult, ExecResult, MeshEvent, PodView } from './types.ts'

/** The mesh that runs from this folder. @throws KithError MESH_NOT_RUNNING */
export async function attachMesh(dir: string): Promise<MeshHandle> {
  return attachState(stateDirOf(dir), dir)
}

/** @throws KithError MESH_NOT_RUNNING */
export async function attachState(stateDir: string, dir = stateDir): Promise<MeshHandle> {
  const { socket } = statePaths(stateDir)
  const reply = await ask(socket, { op: 'status' }).catch((cause: unknown) => {
    throw new KithError('MESH_NOT_RUNNING', `no mesh runs from ${dir}; start it with: kith up ${dir}`, { cause })
  })
  if (!('status' in reply)) throw new KithError('MESH_UNREACHABLE', 'the mesh speaks another version of the control protocol')
  const { status } = reply
  return {
    dir: status.dir, mode: status.mode, stateDir, ...(status.reason === undefined ? {} : { modeReason: status.reason }),
    async waitReady(timeoutMs = 60_000) {
      await ask(socket, { op: 'wait-ready', timeoutMs })
    },
    ps: async () => part<'pods', readonly PodView[]>(await ask(socket, { op: 'ps' }), 'pods'),
    exec: (pod, argv, options = {}) => exec(socket, { op: 'exec', pod: formatReference(pod), argv, stdin: options.input !== undefined, ...(options.container === undefined ? {} : { container: options.container }) }, options.input, options.timeoutMs),
    apply: async (text, origin = 'standard input') => (await ask(socket, { op: 'apply', text, origin })) as ApplyResult,
    delete: async (text, origin = 'standard input') => (await ask(socket, { op: 'delete', text, origin })) as ApplyResult,
    logs: (pod, options = {}) => logs(socket, { op: 'logs', pod: formatReference(pod), options }),
    async accessLog(pod) {
      const text = await logs(socket, { op: 'logs', pod: formatReference(pod), options: { container: 'istio-proxy', stream: 'stdout' } })
      return text.split('\n').filter((l) => l !== '')
    },
    handshakes: async (pod) => part<'handshakes', readonly Handshake[] | null>(await ask(socket, { op: 'handshakes', pod: formatReference(pod) }), 'handshakes'),
    sidecarPage: async (pod, path) => jsonOf(await ask(socket, { op: 'page', pod: formatReference(pod), path }), path),
    controlPlanePage: async (path) => jsonOf(await ask(socket, { op: 'page', path }), path),
    documents: async () => localDocuments(stateDir),
    objects: async () => localObjects(stateDir),
    written: async () => localObjects(stateDir, 'written'),
    onEvent(listener) {
      const session = openSession(socket, { op: 'events' })
      void session.then((s) => s.onReply((r) => 'event' in r && listener(r.event)), () => undefined)
      return () => void session.then((s) => s.socket.destroy(), () => undefined)
    },
    get ended() {
      return openSession(socket, { op: 'events' }).then((s) => s.closed, () => undefined)
    },
    down: async () => undefined,
  }
}

/** Every object as the control plane of a running mesh sees it: the user's files, what was applied, the pods that run; `written`: without these. Origins are the user's, and a pod that runs has none. */
export function localObjects(stateDir: string, which: 'all' | 'written' = 'all'): readonly ApiObject[] {
  const paths = statePaths(stateDir)
  const record = recordOf(stateDir)
  const origins = readOrigins(paths.applied)
  const files = which === 'all' ? record.configPaths : record.configPaths.filter((p) => p !== paths.objects)
  return decodeObjects(readFiles(files).documents).objects.map((o) => withUsersOrigin(o, paths, origins))
}

/** Of an object that was applied, and of a pod that runs, only that: not what the folder says of it. Addresses that are laid over Services are left out. */
function localDocuments(stateDir: string): { readonly documents: readonly RawDocument[]; readonly problems: readonly Problem[] } {
  const paths = statePaths(stateDir)
  const record = recordOf(stateDir)
  const origins = readOrigins(paths.applied)
  const { documents, problems } = readFiles(record.configPaths)
  const written = documents.filter(({ value }) => !isOverlay(value))
  const isOurs = ({ origin }: RawDocument): boolean => [paths.applied, paths.objects].some((dir) => origin.file?.startsWith(`${dir}/`) === true)
  const ours = new Set(written.filter(isOurs).map((d) => documentKey(d.value)))
  const left = written.filter((d) => isOurs(d) || !ours.has(documentKey(d.value)))
  return { documents: left.map((d) => ({ ...d, origin: usersOrigin(d.origin, paths, origins) })), problems }
}

function recordOf(stateDir: string): MeshRecord {
  const record = readRecord(statePaths(stateDir))
  if (record === undefined) throw new KithError('MESH_NOT_RUNNING', `no mesh has its state in ${stateDir}`)
  return record
}

function jsonOf(reply: Reply, path: string): unknown {
  const { status, body } = part<'page', Page>(reply, 'page')
  if (status !== 200) throw new KithError('ADMIN_SILENT', `${path} answered ${status}`)
  return JSON.parse(body) as unknown
}

function part<K extends string, T>(reply: Reply, key: K): T {
  if (!(key in reply)) throw new KithError('MESH_UNREACHABLE', 'the mesh speaks another version of the control protocol')
  return (reply as unknown as Record<K, T>)[key]
}

async function exec(socket: string, request: Extract<Request, { op: 'exec' }>, input: string | Uint8Array | undefined, timeoutMs: number | undefined): Promise<ExecResult> {
  const session = await openSession(socket, request)
  const output = { [channels.stdout]: [] as Buffer[], [channels.stderr]: [] as Buffer[] }
  let reply: Reply | undefined
  session.onBytes((channel, bytes) => {
    if (channel === channels.stdout || channel === channels.stderr) output[channel].push(bytes)
  })
  session.onReply((r) => (reply = r))
  if (input !== undefined) {
    session.write(typeof input === 'string' ? Buffer.from(input) : input)
    session.note({ eof: true })
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => session.note({ signal: 'SIGKILL' }), timeoutMs)
  await session.closed
  clearTimeout(timer)
  if (reply === undefined) throw new KithError('MESH_UNREACHABLE', 'the mesh ended while the command ran')
  if ('failure' in reply) throw new KithError(reply.failure.code, reply.failure.message)
  if (!('exit' in reply)) throw new KithError('MESH_UNREACHABLE', 'the mesh speaks another version of the control protocol')
  const stderr = Buffer.concat(output[channels.stderr]).toString('utf8')
  return { code: reply.exit, stdout: Buffer.concat(output[channels.stdout]).toString('utf8'), stderr: reply.error === undefined ? stderr : `${stderr}${reply.error}\n` }
}

async function logs(socket: string, request: Extract<Request, { op: 'logs' }>): Promise<string> {
  const session = await openSession(socket, request)
  const parts: Buffer[] = []
  let failure: KithError | undefined
  session.onBytes((_channel, bytes) => parts.push(bytes))
  session.onReply((r) => {
    if ('failure' in r) failure = new KithError(r.failure.code, r.failure.message)
  })
  await session.closed
  if (failure !== undefined) throw failure
  return Buffer.concat(parts).toString('utf8')
}

export type { MeshEvent }
