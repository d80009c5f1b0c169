// Makes dist/ (or the folder given), the package as npm gets it: `npm run package`, then `npm pack ./dist` or `npm publish ./dist`.
// Node strips no types below node_modules, so a package of sources would not start there: programs go as a few JavaScript files, examples with their types taken out.
import { build } from 'esbuild'
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { commands } from '../src/cli/commands.ts'
import { asWritten, home } from './commands-as-written.ts'
import { esmBanner } from './esm-banner.ts'
import { generateProto } from './generate-proto.ts'
import { billOfMaterials } from './sbom.ts'

const out = resolve(process.argv[2] ?? join(home, 'dist'))

/** What is started by its path, here (src/local/start-mesh.ts) and by bin/kith. */
const programs = ['src/cli/main.ts', 'src/local/supervisor/main.ts', 'src/control-plane/server/main.ts', 'src/data-plane/agent/main.ts']
const asTheyAre = ['bin/kith', 'generated/envoy.binpb', 'docs/schema', 'docs/analyzers.md', 'docs/explain.md', 'README.md', 'LICENSE', 'NOTICE']
const kept = ['name', 'version', 'description', 'license', 'type', 'engines', 'bin', 'dependencies', 'optionalDependencies'] as const

generateProto()
rmSync(out, { recursive: true, force: true })
const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Record<string, unknown> & { readonly dependencies: Readonly<Record<string, string>> }
await build({
  absWorkingDir: home, entryPoints: programs, outdir: out, outbase: '.', chunkNames: 'src/[name]-[hash]', bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node26', external: Object.keys(manifest.dependencies),
  banner: { js: `${esmBanner} const packageHome = import.meta.url.slice(0, import.meta.url.lastIndexOf('/src/') + 1);` }, legalComments: 'none', logLevel: 'warning', plugins: [asWritten(commands.map((c) => c.name), new Map(), (path) => `(packageHome + ${JSON.stringify(path.replace(/\.ts$/, '.js'))})`)],
})
for (const path of asTheyAre) cpSync(join(home, path), join(out, path), { recursive: true })
for (const path of globSync('examples/**/*.*', { cwd: home })) {
  const text = readFileSync(join(home, path), 'utf8')
  mkdirSync(dirname(join(out, path)), { recursive: true })
  if (path.endsWith('.ts')) writeFileSync(join(out, path.replace(/\.ts$/, '.js')), stripTypeScriptTypes(text))
  else writeFileSync(join(out, path), text.replaceAll(/(\bnode, [\w-]+)\.ts\b/g, '$1.js'))
}
writeFileSync(join(out, 'package.json'), `${JSON.stringify(Object.fromEntries(kept.map((key) => [key, manifest[key]])), undefined, 2)}\n`)
writeFileSync(join(out, 'sbom.cdx.json'), billOfMaterials())
