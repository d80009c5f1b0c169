// What bundles of the commands have in common: which commands, which files they are made of, and that each file finds its neighbours from where it was.
import type { Loader, Plugin } from 'esbuild'
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commands } from '../src/cli/commands.ts'
import { madeFolder, type Stamp } from '../src/cli/made.ts'

export const home = join(dirname(fileURLToPath(import.meta.url)), '..')
export const outdir = join(home, madeFolder)
export const answering = commands.filter((c) => c.answers === true).map((c) => c.name)

/** Of the files that decide how the rest is read. */
export function firstStamps(): Map<string, Stamp> {
  return new Map(['package.json', 'tsconfig.json', 'generated/envoy.binpb', ...['commands-as-written', 'bundle-commands', 'esm-banner', 'snapshot-commands'].map((f) => `scripts/${f}.ts`)].map((path) => [path, stampOf(path)]))
}

function stampOf(path: string): Stamp {
  const { mtimeMs, size } = statSync(join(home, path))
  return [mtimeMs, size]
}

/** Stamps are taken before the file is read. `here`: an expression for the URL of a file, given by its path from home. Commands other than `wanted` are left out. */
export function asWritten(wanted: readonly string[], stamps: Map<string, Stamp>, here: (path: string) => string): Plugin {
  return {
    name: 'as-written',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^\.\/commands\/.*\.ts$/ }, ({ path, importer }) => {
        const name = path.slice('./commands/'.length, -'.ts'.length)
        return importer === join(home, 'src/cli/commands.ts') && !wanted.includes(name) ? { path: `../../src/cli/commands/${name}.ts`, external: true } : undefined
      })
      onLoad({ filter: /\.([cm]?js|ts|json)$/, namespace: 'file' }, ({ path }) => {
        const own = relative(home, path)
        stamps.set(own, stampOf(own))
        return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', here(own)), loader: extname(path).replace(/^\.[cm]?/, '') as Loader, resolveDir: dirname(path) }
      })
    },
  }
}

/** Whole or not at all. */
export function write(name: string, content: Uint8Array | string): void {
  mkdirSync(outdir, { recursive: true })
  const aside = join(outdir, `.${name}.${process.pid}`)
  writeFileSync(aside, content)
  renameSync(aside, join(outdir, name))
}
