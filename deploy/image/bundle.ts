// What runs in every pod, as a few files instead of three hundred: the agent and the init container start in half the time, and a sidecar is some megabytes smaller.
// Law: names and comments that say which file a line is from stay, so that a stack trace can be read.
import { build } from 'esbuild'
import { join, relative } from 'node:path'
import { esmBanner } from '../../scripts/esm-banner.ts'
import type { TarEntry } from './tar.ts'

const home = join(import.meta.dirname, '../..')
const entries = ['src/data-plane/agent/main.ts', 'src/data-plane/agent/command.ts', 'src/data-plane/redirect/main.ts']

/** Each stands beside its source, with `.js`. What is loaded later stays apart and is loaded later; it lies as deep as the sources, which find generated/ from there. */
export async function bundles(): Promise<TarEntry[]> {
  const { outputFiles } = await build({
    absWorkingDir: home, entryPoints: entries, outdir: join(home, 'out'), outbase: '.', chunkNames: 'src/data-plane/agent/[name]-[hash]', bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node26', banner: { js: esmBanner },
    legalComments: 'none', logLevel: 'silent', write: false,
  })
  return outputFiles.map((f): TarEntry => ({ path: `opt/kith/${relative(join(home, 'out'), f.path)}`, kind: 'file', content: f.contents }))
}
