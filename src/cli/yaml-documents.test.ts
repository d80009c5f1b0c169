import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseParts, splitDocuments } from './yaml-documents.ts'

test('a fault of YAML is told with its line alone: a second place, counted from the document, would mislead', () => {
  const [, second] = splitDocuments('a: 1\n---\nb: [\n')
  assert.ok(second)
  const { errors } = parseParts(second)
  assert.equal(errors.length > 0, true)
  for (const e of errors) assert.doesNotMatch(e.message, /at line|\n|:$/)
})
