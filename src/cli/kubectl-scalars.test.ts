import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, parseDocument } from 'yaml'
import { kubectlScalars } from './kubectl-scalars.ts'

test('plain words are what go-yaml takes them for', () => {
  const read = (word: string): unknown => (parse(`a: ${word}`, kubectlScalars) as { a: unknown }).a
  const texts = ['.', '-.', '._', 'e2', 'E10', '.e1', '1:30', '190:20:30', '-1:2', '2020-01-01', '2020-01-01T00:00:00Z', '0x', '0b', '0b2', '0o8', '_1', '1e', '1.5.5', '.Nan', '1e400', '20231128123456789', '+', '=']
  for (const word of texts) assert.equal(read(word), word, word)
  const others: readonly (readonly [string, unknown])[] = [['.5', 0.5], ['5.', 5], ['1e3', 1000], ['12e-03', 0.012], ['1_000', 1000], ['-7', -7], ['010', 8], ['0o7', 7], ['018', 18], ['0x1F', 31], ['0b11', 3], ['y', true], ['Off', false], ['~', null], ['', null]]
  for (const [word, value] of others) assert.equal(read(word), value, word)
})

test('what is written back is read alike by those who know dates and base 60', () => {
  const document = parseDocument('a: {x: 2020-01-01}\n', kubectlScalars)
  document.set('b', '1:30')
  document.set('c', '.')
  assert.deepEqual(parse(document.toString(), { version: '1.1' }), { a: { x: '2020-01-01' }, b: '1:30', c: '.' })
})

test('the style of Istio’s own templates is no warning on stderr', async () => {
  const warnings: unknown[] = []
  process.on('warning', (w) => warnings.push(w))
  assert.deepEqual(parse('annotations: {\n  a: "b",\n}\n', kubectlScalars), { annotations: { a: 'b' } })
  await new Promise((done) => setImmediate(done))
  assert.deepEqual(warnings, [])
})
