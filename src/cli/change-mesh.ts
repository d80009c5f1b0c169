// What `kith apply` and `kith delete` share: files in, one line an object out, as kubectl prints it.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { istioKinds } from '#api'
import { attachFound, type AppliedChange } from '#local'
import { ExitError } from './failure.ts'
import { formatProblem } from './problems.ts'

export interface ChangeOptions {
  readonly filename: readonly string[]
  readonly dir?: string
}

/** Reads each file and hands it to the running mesh; a fault of one does not keep the others. Exit code 1 where there was one. */
export async function changeMesh(op: 'apply' | 'delete', options: ChangeOptions): Promise<void> {
  const mesh = await attachFound(options.dir)
  let failed = false
  for (const file of options.filename.flatMap(expand)) {
    const { changes, problems } = await mesh[op](read(file), file === '-' ? 'standard input' : file)
    for (const change of changes) process.stdout.write(describe(change) + '\n')
    for (const problem of problems) process.stderr.write(formatProblem(problem) + '\n')
    failed ||= problems.some((p) => p.severity === 'error') || changes.some((c) => c.action === 'not found')
  }
  if (failed) throw new ExitError(1)
}

function expand(path: string): string[] {
  if (path === '-') return [path]
  try {
    if (!statSync(path).isDirectory()) return [path]
    return readdirSync(path).filter((n) => /\.(ya?ml|json)$/i.test(n) && !/^kith\.ya?ml$/.test(n)).sort().map((n) => join(path, n))
  } catch (error) {
    throw new ExitError(1, `kith: ${path} can't be read: ${(error as Error).message}`)
  }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new ExitError(1, `kith: ${file} can't be read: ${(error as Error).message}`)
  }
}

/** `peerauthentication.security.istio.io/default created` */
function describe({ ref, action, note }: AppliedChange): string {
  const group = istioKinds[ref.kind]?.group ?? ({ Deployment: 'apps', StatefulSet: 'apps', DaemonSet: 'apps', ReplicaSet: 'apps', Job: 'batch', CronJob: 'batch' } as Record<string, string>)[ref.kind]
  return `${ref.kind.toLowerCase()}${group === undefined ? '' : `.${group}`}/${ref.name} ${action}${note === undefined ? '' : ` (${note})`}`
}
