// Makes generated/commands/: the commands that answer and end as a few files instead of four hundred, which is most of what their start costs.
// Law: a cache. src/cli/start.ts takes it only while every file it was made of is as it was; without it the sources run, a little slower.
import { build, type Metafile, type Plugin } from 'esbuild'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commands } from '../src/cli/commands.ts'
import { isCurrent, madeFile, type Made, type Stamp } from '../src/cli/made.ts'

const home = join(dirname(fileURLToPath(import.meta.url)), '..')
const outdir = join(home, 'generated/commands')
const entry = 'src/cli/main.ts'
/** What decides how the rest is read. */
const always = ['package.json', 'tsconfig.json', 'scripts/bundle-commands.ts']
const answering = commands.filter((c) => c.answers === true).map((c) => c.name)
/** Libraries that are no ES modules ask for Node's own by `require`. */
const banner = 'import { createRequire as requireOf } from \'node:module\'; const require = requireOf(import.meta.url);'

/** Does nothing where what is there is current. */
export async function bundleCommands(): Promise<void> {
  if (answering.every((name) => isCurrent(home, name))) return
  const stamps = new Map(always.map((path) => [path, stampOf(path)]))
  const { outputFiles, metafile } = await build({
    absWorkingDir: home, entryPoints: [entry], outdir, entryNames: '[name]-[hash]', chunkNames: '[name]-[hash]', bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node26',
    banner: { js: banner }, legalComments: 'none', logLevel: 'silent', write: false, metafile: true, plugins: [asWritten(stamps)],
  })
  const files = new Map<string, Uint8Array | string>(outputFiles.map((f) => [relative(outdir, f.path), f.contents]))
  for (const name of answering) files.set(madeFile(name), JSON.stringify(madeOf(metafile, name, stamps)))
  mkdirSync(outdir, { recursive: true })
  for (const [name, content] of files) {
    const aside = join(outdir, `.${name}.${process.pid}`)
    writeFileSync(aside, content)
    renameSync(aside, join(outdir, name))
  }
  // What was there before may be in use yet: it goes when it is an hour old.
  for (const name of readdirSync(outdir)) if (!files.has(name) && statSync(join(outdir, name)).mtimeMs < Date.now() - 3_600_000) rmSync(join(outdir, name))
}

function stampOf(path: string): Stamp {
  const { mtimeMs, size } = statSync(join(home, path))
  return [mtimeMs, size]
}

/** Each file's stamp is taken before the file is read; it goes on finding its neighbours from where it was; the commands that stay are left out. */
function asWritten(stamps: Map<string, Stamp>): Plugin {
  return {
    name: 'as-written',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^\.\/commands\/.*\.ts$/ }, ({ path, importer }) => {
        const name = path.slice('./commands/'.length, -'.ts'.length)
        return importer === join(home, 'src/cli/commands.ts') && !answering.includes(name) ? { path: `../../src/cli/commands/${name}.ts`, external: true } : undefined
      })
      onLoad({ filter: /\.([cm]?js|ts|json)$/ }, ({ path }) => {
        const own = relative(home, path)
        stamps.set(own, stampOf(own))
        const text = readFileSync(path, 'utf8')
        const ending = /\.(?:[cm]?(js)|(ts)|(json))$/.exec(path) as RegExpExecArray
        const contents = text.replaceAll('import.meta.url', `new URL(${JSON.stringify(`../../${own}`)}, import.meta.url).href`)
        return { contents, loader: (ending[1] ?? ending[2] ?? ending[3]) as 'js' | 'ts' | 'json', resolveDir: dirname(path) }
      })
    },
  }
}

/** The way in, and every file that may be loaded for this command, now or later in its run. */
function madeOf({ outputs }: Metafile, command: string, stamps: ReadonlyMap<string, Stamp>): Made {
  const start = Object.keys(outputs).find((o) => outputs[o]?.entryPoint === entry) as string
  const others = new Set(answering.filter((n) => n !== command).map((n) => `src/cli/commands/${n}.ts`))
  const seen = new Set<string>()
  const visit = (output: string): void => {
    const made = outputs[output]
    if (made === undefined || seen.has(output) || others.has(made.entryPoint ?? '')) return
    seen.add(output)
    for (const { path } of made.imports) visit(path)
  }
  visit(start)
  const inputs = new Set([...always, ...[...seen].flatMap((o) => Object.keys(outputs[o]?.inputs ?? {}))])
  return { entry: relative(outdir, join(home, start)), inputs: Object.fromEntries([...inputs].map((i) => [i, stamps.get(i) as Stamp])) }
}
