import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { applyPatch } from 'rfc6902'
import { jsonPatch } from './json-patch.ts'

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('what is added, changed, taken away or moved is said as such, and nothing else', () => {
  const pod = { metadata: { annotations: { 'a/b': '1' } }, spec: { containers: [{ name: 'web', image: 'x' }, { name: 'log', env: [{ name: 'A', value: '1' }] }], hostname: 'h' } }
  assert.deepEqual(jsonPatch(pod, plain(pod)), [])
  const after = {
    metadata: { annotations: { 'a/b': '2', 'c~d': '3' } },
    spec: { containers: [{ name: 'istio-proxy' }, { name: 'web', image: 'x' }, { name: 'log', env: [{ name: 'A', value: '1' }, { name: 'B' }] }], volumes: [{ name: 'v' }] },
  }
  assert.deepEqual(jsonPatch(pod, after), [
    { op: 'replace', path: '/metadata/annotations/a~1b', value: '2' }, { op: 'add', path: '/metadata/annotations/c~0d', value: '3' },
    { op: 'remove', path: '/spec/hostname' }, { op: 'add', path: '/spec/containers/0', value: { name: 'istio-proxy' } }, { op: 'add', path: '/spec/containers/2/env/-', value: { name: 'B' } },
    { op: 'add', path: '/spec/volumes', value: [{ name: 'v' }] },
  ])
  assert.deepEqual(jsonPatch([{ name: 'a' }, { name: 'b' }], [{ name: 'b' }, { name: 'a' }]), [{ op: 'move', from: '/1', path: '/0' }])
})

test('applied by another’s implementation of RFC 6902, the patch gives just the second document', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 4 }, fc.constantFrom(null, 0, 1, 'x', true, ''), fc.array(tie('any'), { maxLength: 4 }), fc.uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), v: tie('any') }), { selector: (o) => o.name, maxLength: 4 }), fc.dictionary(fc.constantFrom('a', 'b/c', 'd~e', '~1', '0', '-'), tie('any'), { maxKeys: 4, noNullPrototype: true })),
  })).any
  const object = fc.dictionary(fc.constantFrom('a', 'b/c', 'd~e'), value, { noNullPrototype: true })
  fc.assert(fc.property(object, object, (before, after) => {
    const patched = plain(before)
    for (const error of applyPatch(patched, jsonPatch(before, after) as never)) assert.equal(error, null)
    assert.deepEqual(patched, plain(after))
  }), { numRuns: 500 })
})
