import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseParts, splitDocuments, writeBack } from './yaml-documents.ts'

test('a fault of YAML is told with its line alone: a second place, counted from the document, would mislead', () => {
  const [, second] = splitDocuments('a: 1\n---\nb: [\n')
  assert.ok(second)
  const { errors } = parseParts(second)
  assert.equal(errors.length > 0, true)
  for (const e of errors) assert.doesNotMatch(e.message, /at line|\n|:$/)
})

test('what stands twice under one name in a list stays two: a volume mounted at two paths, a variable set twice', () => {
  const text = 'mounts:\n  - {name: data, mountPath: /a} # first\n  - {name: data, mountPath: /b}\nenv:\n  - name: A\n    value: one\n  - name: A\n    value: two\n'
  const [part] = splitDocuments(text)
  assert.ok(part)
  const { document, value } = parseParts(part)
  assert.equal(writeBack(part, document, structuredClone(value)), text)
})
