// Makes generated/commands/: the commands that answer and end as a few files instead of four hundred, which is most of what their start costs.
// Law: a cache. src/cli/start.ts takes it only while every file it was made of is as it was; without it the sources run, a little slower.
import { build, type Metafile } from 'esbuild'
import { join, relative } from 'node:path'
import { madeEntry, madeFile, type Made, type Stamp } from '../src/cli/made.ts'
import { answering, asWritten, firstStamps, home, outdir, write } from './commands-as-written.ts'
import { esmBanner } from './esm-banner.ts'

const entry = 'src/cli/main.ts'

/** Does nothing where what is there is current. Names of the files that belong there. */
export async function bundleCommands(): Promise<readonly string[] | undefined> {
  if (answering.every((name) => madeEntry(home, name) !== undefined)) return undefined
  const stamps = firstStamps()
  const always = [...stamps.keys()]
  const { outputFiles, metafile } = await build({
    absWorkingDir: home, entryPoints: [entry], outdir, entryNames: '[name]-[hash]', chunkNames: '[name]-[hash]', bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node26',
    banner: { js: esmBanner }, legalComments: 'none', logLevel: 'silent', write: false, metafile: true, plugins: [asWritten(answering, stamps, (path) => `new URL(${JSON.stringify(`../../${path}`)}, import.meta.url).href`)],
  })
  const files = new Map<string, Uint8Array | string>(outputFiles.map((f) => [relative(outdir, f.path), f.contents]))
  for (const name of answering) files.set(madeFile(name), JSON.stringify(madeOf(metafile, name, always, stamps)))
  for (const [name, content] of files) write(name, content)
  return [...files.keys()]
}

/** The way in, and every file that may be loaded for this command, now or later in its run. */
function madeOf({ outputs }: Metafile, command: string, always: readonly string[], stamps: ReadonlyMap<string, Stamp>): Made {
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
