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

test('brackets that close below their key are read as kubectl reads them; faults stay faults', () => {
  const read = (text: string): ReturnType<typeof parseParts> => parseParts({ text, line: 1 })
  const { value, errors, document } = read('spec:\n  args: [\n  a,\n  b\n]\n')
  assert.deepEqual([value, errors], [{ spec: { args: ['a', 'b'] } }, []])
  assert.equal(writeBack({ text: '', line: 1 }, document, { spec: { args: ['a', 'c'] } }), 'spec:\n  args:\n    - a\n    - c\n')
  for (const text of ['a: [', 'a: b\n c: d\n', 'a: 1\na: 2\n', 'a:\n\tb: 1\n']) assert.ok(read(text).errors.length > 0, text)
})
