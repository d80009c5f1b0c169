// Kith's code, compiled before it starts: half of a sidecar's start is compiling, and its root file system is read-only.
// Law: the same sources give the same bytes. So no other thread takes part, no garbage is collected meanwhile, and V8's own chance is fixed.
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { TarEntry } from './tar.ts'

const folder = 'opt/kith/cache'
/** What is loaded: the control plane, the commands, the agent's bundles. Entry points would start something; they are ways in. */
const modules = ['src/control-plane/server/**/!(main|*.test).ts', 'src/lib/kubernetes/!(*.test).ts', 'src/cli/failure.ts', 'src/cli/commands/!(*.test).ts', 'src/data-plane/agent/{sidecar,kith-data-plane,validate}-*.js']
/** Ways in, with words that end them at once: their own files are compiled too. */
const ways = [['entry.js', 'redirect', '--dry-run'], ['entry.js', 'proxy', 'sidecar'], ['entry.js', 'discovery'], ['entry.js', 'version', '--help'], ['src/data-plane/agent/command.js']]
/** None of these is part of what V8 compares when it reads the cache. */
const flags = ['--random-seed=1', '--v8-pool-size=0', '--min-semi-space-size=128', '--max-semi-space-size=128', '--disable-warning=ExperimentalWarning']
const timeoutMs = 60_000
const headBytes = 20

/** Compiled code names the folder it was made in, for stack traces: always this one (one build at a time), and as long as its name in the image, so that one can take the other's place. */
const stage = '/tmp/kith'
const inImage = '/opt/kith'

/** `layers` are staged, loaded and thrown away. */
export async function compileCache(layers: readonly (readonly TarEntry[])[], node: string): Promise<TarEntry[]> {
  await takeStage()
  try {
    writeTree(layers.flat().filter((e) => e.path.startsWith('opt/kith/')).map((e) => ({ ...e, path: e.path.slice('opt/kith/'.length) })), stage)
    const loaded = modules.flatMap((pattern) => globSync(pattern, { cwd: stage }).sort())
    const program = [...loaded.map((m) => `await import(${JSON.stringify(`./${m}`)})`), 'process.exit(0)'].join('\n')
    const env = { NODE_COMPILE_CACHE: join(stage, 'cache'), NODE_COMPILE_CACHE_PORTABLE: '1' }
    const run = spawnSync(node, [...flags, '--input-type=module', '--eval', program], { cwd: stage, env, encoding: 'utf8', timeout: timeoutMs })
    if (run.status !== 0) throw new Error(`the image’s code does not load: ${run.stderr}`)
    for (const way of ways) spawnSync(node, [...flags, ...way], { cwd: stage, env, stdio: 'ignore', timeout: timeoutMs })
    return globSync('*/*', { cwd: join(stage, 'cache') }).map((f) => ({ path: `${folder}/${f}`, kind: 'file', content: renamed(readFileSync(join(stage, 'cache', f))) }))
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
}

/** Node's entry: five numbers, the last of them a checksum of what follows (src/compile_cache.cc). */
function renamed(entry: Buffer): Buffer {
  const [from, to] = [Buffer.from(`${stage}/`), Buffer.from(`${inImage}/`)]
  for (let at = entry.indexOf(from); at !== -1; at = entry.indexOf(from, at)) to.copy(entry, at)
  entry.writeUInt32LE(crc32(entry.subarray(headBytes)), headBytes - 4)
  return entry
}

async function takeStage(): Promise<void> {
  for (const endMs = Date.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    try {
      return mkdirSync(stage, { mode: 0o700 })
    } catch (cause) {
      if (Date.now() > endMs) throw new Error(`${stage} is in the way: another build’s, or what is left of one`, { cause })
    }
  }
}

export function writeTree(entries: readonly TarEntry[], root: string): void {
  for (const entry of entries) {
    const path = join(root, entry.path)
    mkdirSync(entry.kind === 'directory' ? path : dirname(path), { recursive: true })
    if (entry.kind === 'file') writeFileSync(path, entry.content, { mode: entry.executable === true ? 0o755 : 0o644 })
    if (entry.kind === 'link') symlinkSync(entry.to, path)
  }
}
