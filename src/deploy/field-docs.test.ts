import assert from 'node:assert/strict'
import { test } from 'node:test'
import { istioKinds, type SchemaNode } from '#api'
import { docLines, fieldDoc } from './field-docs.ts'

function paths(node: SchemaNode, path: string): string[] {
  if (node.type === 'list') return paths(node.item, path)
  if (node.type === 'map') return paths(node.value, path)
  return node.type === 'object' ? Object.entries(node.fields).flatMap(([name, field]) => [`${path}.${name}`, ...paths(field, `${path}.${name}`)]) : []
}
const all = Object.entries(istioKinds).flatMap(([kind, { spec }]) => paths(spec, kind))

test('every field of the kinds in everyday use says what it is for', () => {
  const everyday = all.filter((p) => /^(PeerAuthentication|AuthorizationPolicy|RequestAuthentication|DestinationRule|VirtualService|ServiceEntry|WorkloadEntry)\./.test(p))
  assert.ok(everyday.length > 400)
  assert.deepEqual([...new Set(everyday.filter((p) => fieldDoc(p) === undefined))], [])
})

test('every line is of some field, and stands there once', () => {
  const used = new Set(all.map((p) => docLines.find(({ end }) => p === end || p.endsWith(`.${end}`))))
  assert.deepEqual(docLines.filter((l) => !used.has(l)).map((l) => l.end), [])
  assert.equal(new Set(docLines.map((l) => l.end)).size, docLines.length)
  assert.ok(docLines.every((l) => l.text !== ''))
})
