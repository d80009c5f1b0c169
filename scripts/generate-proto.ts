// Makes generated/: Envoy's v3 API as TypeScript types and as one pruned descriptor set, from the .proto files that npm packages ship.
// Runs at install (`prepare`) and before tests; does nothing where the result is newer than its inputs.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'

const home = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(home, 'generated')
const own = join(home, 'src/contract/proto')
const deps = join(home, 'node_modules/@grpc/grpc-js-xds/deps')
const roots = readFileSync(join(own, 'roots.txt'), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'))

function upToDate(): boolean {
  const done = join(out, 'done')
  if (!existsSync(done)) return false
  const made = statSync(done).mtimeMs
  return [join(own, 'roots.txt'), join(own, 'istio-ca.proto'), fileURLToPath(import.meta.url), join(deps, '..', 'package.json')].every((f) => statSync(f).mtimeMs < made)
}

/** grpc-js-xds's copy of validate.proto lacks one field that Envoy's files use; everything else of it is taken as it is. */
function patchedValidate(): string {
  const folder = join(out, 'patched')
  mkdirSync(join(folder, 'validate'), { recursive: true })
  const text = readFileSync(join(deps, 'protoc-gen-validate/validate/validate.proto'), 'utf8')
  const patched = text.includes('ignore_empty = 26') ? text : text.replace('message StringRules {', 'message StringRules {\n    optional bool ignore_empty = 26;')
  writeFileSync(join(folder, 'validate/validate.proto'), patched)
  return folder
}

export function generateProto(): void {
  if (upToDate()) return
  if (!existsSync(deps)) throw new Error('the development dependencies are missing: run npm ci first')
  rmSync(out, { recursive: true, force: true })
  const validate = patchedValidate()
  mkdirSync(join(out, 'types'), { recursive: true })
  const protoc = join(home, 'node_modules/protoc/protoc.cjs')
  const plugin = join(out, 'protoc-gen-es')
  writeFileSync(plugin, `#!/bin/sh\nexec "${process.execPath}" "${join(home, 'node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es')}" "$@"\n`, { mode: 0o755 })
  const includes = [validate, join(deps, 'envoy-api'), join(deps, 'googleapis'), join(deps, 'xds'), join(deps, 'protoc-gen-validate'), join(home, 'node_modules/protoc/include'), own]
  const run = (...args: string[]) => execFileSync(process.execPath, [protoc, ...includes.map((p) => `-I${p}`), ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  const descriptors = join(out, 'envoy.binpb')
  run('--include_imports', `--descriptor_set_out=${descriptors}`, ...roots)
  const files = fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)).file.map((f) => f.name)
  run(`--plugin=protoc-gen-es=${plugin}`, `--es_out=${join(out, 'types')}`, '--es_opt=target=ts,import_extension=ts,erasable_syntax=true', ...files.filter((f) => !f.startsWith('google/protobuf/')))
  writeFileSync(join(out, 'done'), '')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) generateProto()
