// The cluster as its users see it: kubectl and kith, run as they would run them. Law: what a story asserts, it has read from one of the two.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly timeoutMs?: number
}

const home = join(import.meta.dirname, '../..')
/** kith looks for meshes of this machine first: whatever else runs here is none of the lane's. */
const runtime = mkdtempSync(join(tmpdir(), 'kith-lane-run-'))
process.once('exit', () => rmSync(runtime, { recursive: true, force: true }))

function run(program: string, args: readonly string[], options: RunOptions = {}): Run {
  const done = spawnSync(program, args, { cwd: home, encoding: 'utf8', env: { ...process.env, XDG_RUNTIME_DIR: runtime }, input: options.input ?? '', timeout: options.timeoutMs ?? 120_000, maxBuffer: 1 << 27 })
  return { code: done.status ?? 124, stdout: done.stdout ?? '', stderr: done.error === undefined ? (done.stderr ?? '') : `${done.stderr ?? ''}${done.error.message}` }
}

export const tryKubectl = (args: readonly string[], options?: RunOptions): Run => run('kubectl', args, options)
export const tryKith = (args: readonly string[], options?: RunOptions): Run => run(join(home, 'bin/kith'), args, options)

function must(name: string, args: readonly string[], done: Run): string {
  if (done.code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${done.code}: ${(done.stderr.trim() || done.stdout.trim()).slice(-2000)}`)
  return done.stdout
}

/** A command line as one would type it; no quoting, no spaces within an argument. */
export function kubectl(line: string, options?: RunOptions): string {
  const args = line.split(' ').filter((a) => a !== '')
  return must('kubectl', args, tryKubectl(args, options))
}

export function kith(line: string, options?: RunOptions): string {
  const args = line.split(' ').filter((a) => a !== '')
  return must('kith', args, tryKith(args, options))
}

/** `namespace`: for objects that name none. */
export function apply(yaml: string, namespace?: string): void {
  kubectl(`apply ${namespace === undefined ? '' : `-n ${namespace}`} -f -`, { input: yaml })
}

export interface PodLine {
  readonly name: string
  /** `2/2` */
  readonly ready: string
  readonly status: string
}

/** What `kubectl get pods` shows, without those that are on their way out. */
export function pods(namespace: string, selector = ''): PodLine[] {
  const lines = kubectl(`get pods -n ${namespace} --no-headers ${selector === '' ? '' : `-l ${selector}`}`).trim().split('\n').filter((l) => l !== '')
  return lines.map((l) => l.split(/\s+/)).map(([name = '', ready = '', status = '']) => ({ name, ready, status })).filter((p) => p.status !== 'Terminating')
}

/** Asked again until `check` finds no fault; the last fault is the failure. */
export async function until(what: string, check: () => string | undefined | Promise<string | undefined>, timeoutMs = 60_000, everyMs = 250): Promise<void> {
  for (const endMs = Date.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, everyMs))) {
    const fault = await check()
    if (fault === undefined) return
    if (Date.now() > endMs) throw new Error(`${what}: after ${timeoutMs / 1000} s ${fault}`)
  }
}

/** Every pod there is Running and shows `ready`. */
export async function podsReady(namespace: string, ready: string, count: number, selector = ''): Promise<PodLine[]> {
  let seen: PodLine[] = []
  await until(`pods of ${namespace} ${selector}`, () => {
    seen = pods(namespace, selector)
    return seen.length === count && seen.every((p) => p.ready === ready && p.status === 'Running') ? undefined : `there are ${JSON.stringify(seen)}`
  }, 120_000)
  return seen
}

export const rolledOut = (namespace: string, timeoutSeconds = 120): string => kubectl(`rollout status deployment -n ${namespace} --timeout=${timeoutSeconds}s`, { timeoutMs: timeoutSeconds * 1000 + 10_000 })

/** A namespace takes pods once its account is there, a moment later. */
export function makeNamespace(name: string, labels: Readonly<Record<string, string>> = {}): void {
  apply(JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }))
  kubectl(`wait --for=create serviceaccount/default -n ${name} --timeout=30s`)
}

export function patch(what: string, namespace: string, change: object): void {
  const args = ['patch', what, '-n', namespace, '-p', JSON.stringify(change)]
  must('kubectl', args, tryKubectl(args))
}
