// The image, without Docker: `npm run image -- --out kith.tar [--hub kith.dev] [--tag 0.1.0]`, or `--rootfs DIR` for its files alone (what the Containerfile takes).
// One image under two names, as Istio's charts expect them: proxyv2 (sidecar and init container) and pilot (control plane).
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundles } from './bundle.ts'
import { compileCache, writeTree } from './compile-cache.ts'
import { billOfMaterials } from '../../scripts/sbom.ts'
import { architecture, dependenciesLayer, kithLayer, nodeBinary, runtimeComponents, runtimeLayer } from './contents.ts'
import { ociArchive, type ImageConfig } from './oci.ts'

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string }
const { values } = parseArgs({ options: { out: { type: 'string' }, rootfs: { type: 'string' }, hub: { type: 'string', default: 'kith.dev' }, tag: { type: 'string', default: version } } })
if ((values.out === undefined) === (values.rootfs === undefined)) throw new Error('either --out FILE or --rootfs DIR is needed')

/** Young generation at its smallest and one malloc arena: a sidecar shall be small before it is fast. */
const config: ImageConfig = {
  architecture, user: '1337:1337',
  entrypoint: ['/usr/bin/node', '--disable-warning=ExperimentalWarning', '--max-semi-space-size=1', '/opt/kith/entry.js'],
  environment: ['PATH=/usr/local/bin:/usr/bin', 'MALLOC_ARENA_MAX=1', 'NODE_COMPILE_CACHE=/opt/kith/cache', 'NODE_COMPILE_CACHE_PORTABLE=1'],
  labels: { 'org.opencontainers.image.title': 'kith', 'org.opencontainers.image.version': version, 'org.opencontainers.image.licenses': 'Apache-2.0' },
}

const [runtime, dependencies, kith] = [runtimeLayer(), dependenciesLayer(), [...kithLayer(), ...(await bundles())]]
const layers = [runtime, dependencies, [...kith, ...await compileCache([dependencies, kith], nodeBinary)]]
if (values.rootfs !== undefined) writeTree(layers.flat(), values.rootfs)
if (values.out !== undefined) {
  const names = ['proxyv2', 'pilot'].map((name) => `${values.hub}/${name}:${values.tag}`)
  const { bytes, digest, layerBytes } = ociArchive(layers, config, names)
  const aside = `${values.out}.${process.pid}`
  mkdirSync(dirname(values.out), { recursive: true })
  writeFileSync(aside, bytes)
  renameSync(aside, values.out)
  const bom = `${values.out.replace(/\.tar$/, '')}.cdx.json`
  writeFileSync(bom, billOfMaterials(runtimeComponents(runtime)))
  const unpacked = layers.flat().reduce((sum, e) => sum + (e.kind === 'file' ? e.content.length : 0), 0)
  const megabytes = (n: number): string => `${(n / 1e6).toFixed(1)} MB`
  process.stdout.write(`${names.join('\n')}\n${digest}\n${megabytes(layerBytes)} packed, ${megabytes(unpacked)} unpacked\nbill of materials: ${bom}\n`)
}
