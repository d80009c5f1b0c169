import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseYaml } from './yaml.ts'

const values = (text: string) => parseYaml(text, 'f.yaml').documents.map((d) => d.value)

test('scalars read as kubectl reads them', () => {
  assert.deepEqual(values('a: yes\nb: 012\nc: "yes"\nd: 22:22\ne: 2024-01-01T00:00:00Z\nf: 0x10\ng: ~\nh: off'), [{ a: true, b: 10, c: 'yes', d: '22:22', e: '2024-01-01T00:00:00Z', f: 16, g: null, h: false }])
  // What looks like a revision may be a number: kubectl reads it so, and refuses it as a label.
  assert.deepEqual(values('[080, 1e3, -2E+05, 0o7, 0B11, 1_000, -0x1f, .5, 5., -.inf, 08e]'), [[80, 1000, -200000, 7, 3, 1000, -31, 0.5, 5, -Infinity, '08e']])
  assert.deepEqual(values('[0o8, _1, 1e, 0xg, e2, ., 1e400, .5_0, "1"]'), [['0o8', '_1', '1e', '0xg', 'e2', '.', '1e400', '.5_0', '1']])
  assert.deepEqual(values('p: &x {a: 1}\nq: {<<: *x, b: 2}'), [{ p: { a: 1 }, q: { a: 1, b: 2 } }])
})

test('fields know their line and column, in every document, list and anchor', () => {
  const text = 'a: 1\n---\n# c\nkind: X\nspec:\n  http:\n  - match:\n    - uri: {exact: /x}\n  - &r\n    timeout: 1s\n  - *r\n'
  const document = parseYaml(text, 'f.yaml').documents[1]
  const at = (path: string) => document?.origin.locate?.(path)
  assert.equal(document?.origin.line, 4)
  assert.deepEqual(at('spec.http[0].match[0].uri.exact'), { line: 8, column: 13 })
  assert.deepEqual(at('spec.http[1].timeout'), { line: 10, column: 5 })
  assert.deepEqual(at('spec.http[2].timeout'), { line: 11, column: 5 })
  assert.deepEqual(at('spec.nothing.here'), { line: 5, column: 1 })
})

test('items of a List are objects at their own place', () => {
  const [first, second] = parseYaml('apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec:\n    x: 1\n- kind: B\n', 'f.yaml').documents
  assert.deepEqual([first?.value, second?.value], [{ kind: 'A', spec: { x: 1 } }, { kind: 'B' }])
  assert.equal(first?.origin.locate?.('spec.x')?.line, 6)
  assert.equal(second?.origin.line, 7)
})

test('a broken document takes only itself along', () => {
  const parsed = parseYaml('a: 1\n---\nb: [1\n---\nc: 3\n', 'f.yaml')
  assert.deepEqual(parsed.documents.map((d) => d.value), [{ a: 1 }, { c: 3 }])
  assert.equal(parsed.problems.length, 1)
  const duplicate = parseYaml('a: 1\n---\nb: 1\nb: 2\n', 'f.yaml')
  assert.equal(duplicate.documents.length, 1)
  assert.equal(duplicate.problems[0]?.ref.line, 4)
})

test('hostile text ends with problems', () => {
  const bomb = 'a: &a [x,x,x,x,x,x,x,x,x]\n' + 'bcdefghi'.split('').map((c, i) => `${c}: &${c} [${Array(9).fill('*' + 'abcdefgh'[i]).join(',')}]`).join('\n')
  for (const text of [bomb, 'a:\n\tb: 1', '['.repeat(100_000), '&a [*a]', 'a: !!js/function x', '"\\x', '\u0000', '%YAML 9.9\n---\na: 1']) {
    const parsed = parseYaml(text, 'f.yaml')
    assert.ok(parsed.problems.length > 0 || parsed.documents.length > 0 || text === '\u0000', JSON.stringify(text.slice(0, 20)))
  }
  assert.equal(parseYaml(bomb, 'f.yaml').documents.length, 0)
})

test('line ends and byte order marks change nothing', () => {
  const parsed = parseYaml('\uFEFFa: 1\r\nb:\r\n  c: 2\r\n', 'f.yaml')
  assert.deepEqual(parsed.documents[0]?.value, { a: 1, b: { c: 2 } })
  assert.equal(parsed.documents[0]?.origin.locate?.('b.c')?.line, 3)
})

test('what a text that can’t be read most likely wants', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['{{- if .Values.mtls }}\na: 1\n{{- end }}\n', /helm template/], ['a: {{ .Values.a }}\n', /helm template/], ['a: b: c\n', /needs quotes/], ['a: {b: c[d], e: f}\n', /needs quotes inside/], ['a: "b\nc: d\n', /quote is not closed/],
    ['a:\n\tb: 1\n', /spaces/], ['a: 1\na: 2\n', /leave one/], ['a: !secret b\n', /no tags/],
  ]
  for (const [text, help] of cases) assert.match(parseYaml(text, 'f.yaml').problems[0]?.help ?? '', help, text)
})

test('an empty item of a List takes only itself along', () => {
  const parsed = parseYaml('kind: List\nitems:\n- null\n- kind: B\n', 'f.yaml')
  assert.deepEqual(parsed.documents.map((d) => [d.value, d.origin.line]), [[null, 3], [{ kind: 'B' }, 4]])
  assert.deepEqual(parsed.problems, [])
})

test('within […] and {…} indentation means nothing, as for kubectl', () => {
  assert.deepEqual(values('a:\n  b: [\n    1, # one ]\n    "x # y", # \n  ]\n  c: {\n  d: 2,\n\n  e: [3\n]}\nf: [\n]\n'), [{ a: { b: [1, 'x # y'], c: { d: 2, e: [3] } }, f: [] }])
  const { documents, problems } = parseYaml('a: [\n1,\n2\n]\nb: 3\n', 'f.yaml')
  assert.deepEqual([problems, documents[0]?.origin.locate?.('a[1]')?.line, documents[0]?.origin.locate?.('b')?.line], [[], 3, 5])
})

test('a quoted text, and a plain one within […] and {…}, goes on at any indentation, as for kubectl', () => {
  // What go-yaml makes of the same text.
  const cases: readonly (readonly [string, unknown])[] = [
    ['a:\n  b: "x,\n  y"\n', { a: { b: 'x, y' } }], ['a:\n  b: "x\ny"\nc: 1\n', { a: { b: 'x y' }, c: 1 }], ['a:\n  b: [x\n  y]\n', { a: { b: ['x y'] } }],
    ["a:\n  b: 'x # c\n  y'\n  c: 1\n", { a: { b: 'x # c y', c: 1 } }], ['- "a\n  b\n\n- c"\n- d\n', ['a b\n- c', 'd']], ['a:\n  b: "x\\\n  y"\n', { a: { b: 'xy' } }],
    ['a:\n  b: "x\n\ty"\n', { a: { b: 'x y' } }], ["a:\n  b: 'it''s\n  - y: \"z\"'\n  c: d\n", { a: { b: 'it\'s - y: "z"', c: 'd' } }], ['a:\n  b: {c: "x\n  z"}\n', { a: { b: { c: 'x z' } } }],
    ['a:\n- b: "x\n- z"\n- c\n', { a: [{ b: 'x - z' }, 'c'] }], ['a:\n  b: "x\n  # z\n  w"\n', { a: { b: 'x # z w' } }], ['a:\n  b: "x [1, # c\n  2"\n  c: [\n  1, # "\n  2]\n', { a: { b: 'x [1, # c 2', c: [1, 2] } }],
    ['a: |\n  k: "x\n  y"\nb:\n  c: "d\n  e"\n', { a: 'k: "x\ny"\n', b: { c: 'd e' } }], ['a:\r\n  b: "x\r\n  z"\r\n  c: 1\r\n', { a: { b: 'x z', c: 1 } }],
  ]
  for (const [text, value] of cases) assert.deepEqual([parseYaml(text, 'f.yaml').problems, values(text)], [[], [value]], JSON.stringify(text))
  for (const text of ['a:\n  b: [x # c\n  y\n  ]\n', 'a:\n  b: x\n  y\n', 'a:\n  "k\n  l": 1\n', 'a:\n  b: "x\n  y\n']) assert.equal(parseYaml(text, 'f.yaml').problems.length, 1, JSON.stringify(text))
})

test('a definition with hundreds of such texts is read, and its fields know their lines', () => {
  const field = (i: number): string => `          field${i}:\n            description: "the field ${i}: first\n            second, # no comment\n            it''s the third: \\"line\\""\n            type: string\n`
  const text = `kind: CustomResourceDefinition\nspec:\n  schema:\n    properties:\n${Array.from({ length: 800 }, (_, i) => field(i)).join('')}`
  const { documents, problems } = parseYaml(text, 'f.yaml')
  assert.deepEqual(problems, [])
  assert.ok(documents[0])
  const { properties } = (documents[0].value as { spec: { schema: { properties: Record<string, unknown> } } }).spec.schema
  assert.equal(Object.keys(properties).length, 800)
  assert.deepEqual(properties['field799'], { description: 'the field 799: first second, # no comment it\'\'s the third: "line"', type: 'string' })
  assert.equal(documents[0].origin.locate?.('spec.schema.properties.field799.type')?.line, 4 + 800 * 5)
})
