// Compiles Kith once at install, into Node's own cache, so that the first `npm start` is as quick as the second.
// Only loads modules, and asks the commands that answer and end about the examples: what V8 compiled to answer is kept with the rest. A failure costs time later, nothing else.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { questions } from './questions.ts'

/** What each process of a mesh loads; main.ts files would start something, so their parts stand here. */
const modules = ['src/cli/failure.ts', ...globSync('src/cli/commands/*.ts'), 'src/control-plane/server/control-plane.ts', 'src/data-plane/agent/sidecar.ts', 'src/data-plane/agent/kith-data-plane.ts', 'src/data-plane/agent/json-logger.ts', 'src/local/supervisor/mesh-inside.ts'].filter((m) => !m.endsWith('.test.ts'))

/** Where bin/kith keeps it. */
export function warmCache(node: string): void {
  const cache = process.env['NODE_COMPILE_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'kith/node')
  if (cache === '') return
  const run = (...args: readonly string[]): unknown => spawnSync(node, ['--disable-warning=ExperimentalWarning', ...args], { env: { ...process.env, NODE_COMPILE_CACHE: cache }, stdio: 'ignore', timeout: 30_000 })
  for (const question of questions) run('src/cli/start.ts', ...question)
  run('--input-type=module', '--eval', `${modules.map((m) => `await import(${JSON.stringify(`./${m}`)})`).join('\n')}\nprocess.exit(0)`)
}
