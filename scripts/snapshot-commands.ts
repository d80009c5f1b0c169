// Makes generated/commands/*.blob: the commands that answer and end as start-up snapshots of this machine's Node, loaded and warm: docs/decisions/0009-start-up.md.
// Law: a cache, as the bundle is. bin/kith takes it only on the processor and the Node that it was made on, and what is stale leaves itself (src/cli/snapshot).
import { build, type Plugin } from 'esbuild'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { areCurrent, type Stamps } from '../src/cli/made.ts'
import { asWritten, firstStamps, home, outdir, write } from './commands-as-written.ts'
import { questions } from './questions.ts'

/** Commands that load much the same share a snapshot, named for the first; bin/kith knows them. Each holds little else: its size is most of what a start costs. */
const groups = [['explain', 'describe'], ['analyze', 'validate', 'check-inject'], ['kube-inject']] as const
const start = 'src/cli/snapshot/main.ts'
const leaving = join(home, 'src/cli/snapshot/leave.ts')
/** Loaded later, and in the snapshot nevertheless. */
const within = /^(\.\/commands\/|yaml$)/

/** The names of the files that belong there. */
export async function snapshotCommands(node: string): Promise<readonly string[]> {
  for (const group of groups) await snapshot(node, group)
  return groups.flatMap(([name]) => Object.values(namesOf(name)))
}

/** `processor`: what bin/kith compares. V8 takes no snapshot that was made on another. */
function namesOf(name: string): Record<'blob' | 'code' | 'made' | 'processor', string> {
  return { blob: `${name}.blob`, code: `${name}.cjs`, made: `made-${name}-blob.json`, processor: `${name}.cpu` }
}

async function snapshot(node: string, group: readonly [string, ...string[]]): Promise<void> {
  const names = namesOf(group[0])
  if (Object.values(names).every((n) => existsSync(join(outdir, n))) && areCurrent(home, JSON.parse(readFileSync(join(outdir, names.made), 'utf8')) as Stamps)) return
  const stamps = firstStamps()
  const { outputFiles } = await build({
    absWorkingDir: home, entryPoints: [start], bundle: true, platform: 'node', format: 'cjs', target: 'node26', legalComments: 'none', logLevel: 'silent', write: false, minifyWhitespace: true,
    plugins: [leavesOut(), asWritten(group, stamps, (path) => JSON.stringify(pathToFileURL(join(home, path)).href))],
  })
  const folder = mkdtempSync(join(tmpdir(), 'kith-snapshot-'))
  try {
    const [plan, made] = ['plan.json', 'made.blob'].map((f) => join(folder, f)) as [string, string]
    const inputs = Object.fromEntries(stamps)
    // Kept for whoever reads a stack trace.
    write(names.code, outputFiles[0]?.contents ?? '')
    writeFileSync(plan, JSON.stringify({ home, snapshot: join(outdir, names.blob), inputs, questions: questions.filter(([command]) => group.includes(command as string)) }))
    const { status, stderr } = spawnSync(node, ['--no-warnings', '--snapshot-blob', made, '--build-snapshot', join(outdir, names.code), plan], { cwd: home, encoding: 'utf8', timeout: 60_000 })
    if (status !== 0) throw new Error(`no snapshot: ${stderr}`)
    write(names.processor, cpuFlags())
    write(names.blob, readFileSync(made))
    write(names.made, JSON.stringify(inputs))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whatever else is loaded later is loaded by who has left the snapshot. */
function leavesOut(): Plugin {
  return {
    name: 'leaves-out',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /.*/ }, ({ kind, path }) => (kind === 'dynamic-import' && !within.test(path) ? { path, namespace: 'later' } : undefined))
      onLoad({ filter: /.*/, namespace: 'later' }, () => ({ contents: `import { leave } from ${JSON.stringify(leaving)}\nleave()`, loader: 'js', resolveDir: home }))
    },
  }
}

/** As bin/kith reads it: the first line of /proc/cpuinfo that says what the processor can. */
function cpuFlags(): string {
  return existsSync('/proc/cpuinfo') ? (readFileSync('/proc/cpuinfo', 'utf8').split('\n').find((l) => /^(flags|Features)/.test(l)) ?? '') + '\n' : ''
}
