// Makes generated/: Envoy's v3 API as TypeScript types and as one pruned descriptor set, from the .proto files that npm packages ship.
// Runs at install (`prepare`) and before tests; does nothing where the result is newer than its inputs.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { pruneDescriptors } from './prune-descriptors.ts'

const home = join(dirname(fileURLToPath(import.meta.url)), '..')
const generated = join(home, 'generated')
/** Made aside, so that whoever runs meanwhile finds the old ones whole. */
const out = join(home, `node_modules/.generated-${process.pid}`)
const own = join(home, 'src/contract/proto')
const deps = join(home, 'node_modules/@grpc/grpc-js-xds/deps')
const roots = readFileSync(join(own, 'roots.txt'), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'))

function upToDate(): boolean {
  const done = join(generated, 'done')
  if (!existsSync(done)) return false
  const made = statSync(done).mtimeMs
  return [join(own, 'roots.txt'), join(own, 'istio-ca.proto'), join(own, 'transport-socket-matching.proto'), fileURLToPath(import.meta.url), join(home, 'scripts/prune-descriptors.ts'), join(deps, '..', 'package.json')].every((f) => statSync(f).mtimeMs < made)
}

interface Patch {
  readonly file: string
  /** Where this stands already, nothing is missing. */
  readonly missing: string
  readonly after: string
  readonly insert: string
}

const sourcedMetadata = '\n\nenum MetadataSource {\n  DYNAMIC = 0;\n  ROUTE = 1;\n}\n\nmessage SourcedMetadata {\n  type.matcher.v3.MetadataMatcher metadata_matcher = 1;\n  MetadataSource metadata_source = 2;\n}\n'

/** What grpc-js-xds's copies lack: a field that Envoy's files use, and two that Envoy has had since. Everything else of them is taken as it is. */
const patches: readonly Patch[] = [
  { file: 'protoc-gen-validate/validate/validate.proto', missing: 'ignore_empty = 26', after: 'message StringRules {', insert: '\n    optional bool ignore_empty = 26;' },
  { file: 'envoy-api/envoy/config/cluster/v3/cluster.proto', missing: 'transport_socket_matcher = 59', after: '\n  PreconnectPolicy preconnect_policy = 50;', insert: '\n  xds.type.matcher.v3.Matcher transport_socket_matcher = 59;' },
  { file: 'envoy-api/envoy/config/cluster/v3/cluster.proto', missing: 'xds/type/matcher/v3/matcher.proto', after: 'import "xds/core/v3/collection_entry.proto";', insert: '\nimport "xds/type/matcher/v3/matcher.proto";' },
  { file: 'envoy-api/envoy/config/rbac/v3/rbac.proto', missing: 'sourced_metadata = 13', after: '\n    type.matcher.v3.FilterStateMatcher filter_state = 12;', insert: '\n    SourcedMetadata sourced_metadata = 13;' },
  { file: 'envoy-api/envoy/config/rbac/v3/rbac.proto', missing: 'message SourcedMetadata', after: 'option (udpa.annotations.file_status).package_version_status = ACTIVE;', insert: sourcedMetadata },
]

/** A folder with the patched files, to be looked into first. */
function patched(): string {
  const folder = join(out, 'patched')
  for (const { file, missing, after, insert } of patches) {
    const target = join(folder, file.slice(file.indexOf('/') + 1))
    const text = readFileSync(existsSync(target) ? target : join(deps, file), 'utf8')
    if (!text.includes(missing) && !text.includes(after)) throw new Error(`${file} has changed: the patch of ${missing} finds no place`)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text.includes(missing) ? text : text.replace(after, after + insert))
  }
  return folder
}

export function generateProto(): void {
  if (upToDate()) return
  if (!existsSync(deps)) throw new Error('the development dependencies are missing: run npm ci first')
  rmSync(out, { recursive: true, force: true })
  const first = patched()
  mkdirSync(join(out, 'types'), { recursive: true })
  const protoc = join(home, 'node_modules/protoc/protoc.cjs')
  const plugin = join(out, 'protoc-gen-es')
  writeFileSync(plugin, `#!/bin/sh\nexec "${process.execPath}" "${join(home, 'node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es')}" "$@"\n`, { mode: 0o755 })
  const includes = [first, join(deps, 'envoy-api'), join(deps, 'googleapis'), join(deps, 'xds'), join(deps, 'protoc-gen-validate'), join(home, 'node_modules/protoc/include'), own]
  const run = (...args: string[]) => execFileSync(process.execPath, [protoc, ...includes.map((p) => `-I${p}`), ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  const descriptors = join(out, 'envoy.binpb')
  run('--include_imports', `--descriptor_set_out=${descriptors}`, ...roots)
  const whole = readFileSync(descriptors)
  const files = fromBinary(FileDescriptorSetSchema, whole).file.map((f) => f.name)
  writeFileSync(descriptors, pruneDescriptors(whole, roots))
  run(`--plugin=protoc-gen-es=${plugin}`, `--es_out=${join(out, 'types')}`, '--es_opt=target=ts,import_extension=ts,erasable_syntax=true', ...files.filter((f) => !f.startsWith('google/protobuf/')))
  writeFileSync(join(out, 'done'), '')
  const old = `${out}-old`
  if (existsSync(generated)) renameSync(generated, old)
  renameSync(out, generated)
  rmSync(old, { recursive: true, force: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) generateProto()
