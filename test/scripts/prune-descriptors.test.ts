// The descriptors that Kith starts with: smaller than protoc's, and the messages read and write the same.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { pruneDescriptors } from '../../scripts/prune-descriptors.ts'

const file = (name: string, over: object) => create(FileDescriptorProtoSchema, { name, package: 'p', syntax: 'proto3', ...over })
const field = (name: string, number: number, over: object = {}) => ({ name, jsonName: name, number, type: Type.INT32, label: Label.OPTIONAL, ...over })

const set = create(FileDescriptorSetSchema, {
  file: [
    file('notes.proto', { messageType: [{ name: 'Note' }] }),
    file('far.proto', { messageType: [{ name: 'Far', nestedType: [{ name: 'In' }], field: [field('a', 1, { options: { deprecated: true } })] }] }),
    file('root.proto', {
      dependency: ['notes.proto', 'far.proto'],
      options: { javaPackage: 'x' },
      service: [{ name: 'S' }],
      messageType: [{
        name: 'Root',
        field: [
          field('far', 1, { type: Type.MESSAGE, typeName: '.p.Far.In' }),
          field('loose', 2, { label: Label.REPEATED, options: { packed: false } }),
          field('map', 3, { type: Type.MESSAGE, label: Label.REPEATED, typeName: '.p.Root.MapEntry' }),
        ],
        nestedType: [{ name: 'MapEntry', options: { mapEntry: true }, field: [field('key', 1), field('value', 2)] }],
      }],
    }),
  ],
})

test('what the roots use stays, in its order; options, services and what only options used go', () => {
  const pruned = fromBinary(FileDescriptorSetSchema, pruneDescriptors(toBinary(FileDescriptorSetSchema, set), ['root.proto']))
  assert.deepEqual(pruned.file.map((f) => [f.name, f.dependency, f.service.length, f.options]), [['far.proto', [], 0, undefined], ['root.proto', ['far.proto'], 0, undefined]])
})

test('every field reads as before: maps are maps, and numbers are packed or not as they were', () => {
  const bytes = toBinary(FileDescriptorSetSchema, set)
  const shape = (of: Uint8Array) => createFileRegistry(fromBinary(FileDescriptorSetSchema, of)).getMessage('p.Root')?.fields.map((f) => [f.name, f.fieldKind, f.fieldKind === 'list' && f.packed, f.fieldKind === 'map' && f.mapKey, f.message?.typeName])
  assert.deepEqual(shape(pruneDescriptors(bytes, ['root.proto'])), shape(bytes))
})
