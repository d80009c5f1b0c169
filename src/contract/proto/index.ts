// In: the pruned descriptor set of generated/. Out: typed message schemas, made without loading the generated modules (30 MB less a process).
// Law: generated, never edited. Types are imported with `import type` only.
// Read first: message() below; roots.txt for what is there.
import { createFileRegistry, fromBinary, type DescMessage, type FileRegistry, type Message } from '@bufbuild/protobuf'
import type { GenMessage } from '@bufbuild/protobuf/codegenv2'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { existsSync, readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'

function load(): FileRegistry {
  // Beside src/ in a checkout, one folder higher in the built package.
  const found = ['../../../generated/envoy.binpb', '../../../../generated/envoy.binpb'].map((p) => new URL(p, import.meta.url)).find((u) => existsSync(u))
  if (found === undefined) throw new KithError('PROTO_MISSING', 'generated/envoy.binpb is missing: run "npm run prepare" in the package')
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(found)))
}

/** Every message of Envoy's API that Kith uses; also resolves `google.protobuf.Any` in JSON. */
export const registry: FileRegistry = load()

/** The schema of a message by its full name: `message<Cluster>('envoy.config.cluster.v3.Cluster')`. */
export function message<T extends Message>(typeName: string): GenMessage<T> {
  const found: DescMessage | undefined = registry.getMessage(typeName)
  if (found === undefined) throw new KithError('PROTO_UNKNOWN', `no message ${typeName} in generated/envoy.binpb: add its file to roots.txt`)
  return found as unknown as GenMessage<T>
}
