// In: protoc's descriptor set. Out: what is needed to read and write the messages: no options but those of maps, no services, no files that only options used.
// Law: every process of Kith reads the result at its start, so each byte of it costs each of them.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema, MessageOptionsSchema, type DescriptorProto, type EnumDescriptorProto, type FileDescriptorProto } from '@bufbuild/protobuf/wkt'

export function pruneDescriptors(bytes: Uint8Array, roots: readonly string[]): Uint8Array {
  const set = fromBinary(FileDescriptorSetSchema, bytes)
  const fileOf = new Map<string, FileDescriptorProto>()
  for (const file of set.file) {
    pruneFile(file)
    for (const name of typeNames(file)) fileOf.set(name, file)
  }
  const kept = new Set<FileDescriptorProto>()
  const keep = (file: FileDescriptorProto | undefined): void => {
    if (file === undefined || kept.has(file)) return
    kept.add(file)
    const uses = new Set(file.messageType.flatMap(typesUsed).map((name) => fileOf.get(name)).filter((f) => f !== undefined && f !== file))
    file.dependency = [...uses].map((f) => f?.name ?? '')
    uses.forEach(keep)
  }
  for (const root of roots) keep(set.file.find((f) => f.name === root))
  set.file = set.file.filter((f) => kept.has(f))
  return toBinary(FileDescriptorSetSchema, set)
}

function pruneFile(file: FileDescriptorProto): void {
  Object.assign(file, { options: undefined, extension: [], service: [], publicDependency: [], weakDependency: [] })
  file.messageType.forEach(pruneMessage)
  file.enumType.forEach(pruneEnum)
}

function pruneMessage(message: DescriptorProto): void {
  const isMap = message.options?.mapEntry === true
  Object.assign(message, { options: isMap ? create(MessageOptionsSchema, { mapEntry: true }) : undefined, extension: [], extensionRange: [], reservedName: [], reservedRange: [] })
  // A scalar that says whether it is packed says how it stands on the wire.
  for (const field of message.field) if (field.options?.packed !== true && field.options?.packed !== false) delete field.options
  for (const oneof of message.oneofDecl) delete oneof.options
  message.nestedType.forEach(pruneMessage)
  message.enumType.forEach(pruneEnum)
}

function pruneEnum(of: EnumDescriptorProto): void {
  Object.assign(of, { options: undefined, reservedName: [], reservedRange: [] })
  for (const value of of.value) delete value.options
}

function typeNames(file: FileDescriptorProto): string[] {
  const within = (message: DescriptorProto, scope: string): string[] => {
    const name = `${scope}.${message.name}`
    return [name, ...message.enumType.map((e) => `${name}.${e.name}`), ...message.nestedType.flatMap((m) => within(m, name))]
  }
  return [...file.enumType.map((e) => `.${file.package}.${e.name}`), ...file.messageType.flatMap((m) => within(m, `.${file.package}`))]
}

function typesUsed(message: DescriptorProto): string[] {
  return [...message.field.map((f) => f.typeName).filter((name) => name !== ''), ...message.nestedType.flatMap(typesUsed)]
}
