// What kube-inject adds to a file is printed byte for byte as the yaml library prints it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDocument, type Document, type YAMLMap } from 'yaml'
import { newNode } from '../../src/cli/yaml-text.ts'

const text = fc.oneof(
  fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[A-Za-z][\w./-]*$/), fc.constantFrom('y', 'N', 'Yes', 'ON', 'off', 'NULL', 'False', 'null-able', 'yes/no', 'e3', 'E-3', 'e_3', 'inf', 'nan', 'x-', 'x.', 'O'),
  fc.constantFrom('', ' ', 'yes', 'No', 'on', '~', 'null', 'true', '012', '0x1F', '0b1', '0o7', '1_000', '1.5', '.inf', '-.INF', '.NaN', '1e3', '22:22', '2001-01-01', '2001-01-01T00:00:00Z', '<<', '=', '-', '- a', '?', '? a', 'a: b', 'a #b', '#a', 'a:', ':', '&a', '*a', '!a', '|', '>', '%a', '@a', '`a', '{}', '[]', '{"a":1}', '[{"a":1}]', "it's", 'say "so"', '---', '--- a', '...', '...a', 'two\nlines', 'ends\n', '\n', ' lead', 'trail ', '\ttab', 'a\tb', 'a\rb', '\u0085', '\u2028', '\ud800', 'é', 'x'.repeat(1100), 'y'.repeat(200), 'a b '.repeat(40)),
)
const leaf = fc.oneof({ weight: 3, arbitrary: text }, fc.integer(), fc.double({ noDefaultInfinity: true, noNaN: true }), fc.boolean(), fc.constant(null), fc.constant(undefined))
const value = fc.letrec((tie) => ({
  any: fc.oneof({ depthSize: 'medium' }, leaf, tie('list'), tie('map')),
  list: fc.array(tie('any').filter((v) => v !== undefined), { maxLength: 4 }),
  map: fc.dictionary(text, tie('any'), { maxKeys: 4 }),
})).any

const files = ['kept: 1\n', 'kept:\n  deep:\n  - here\n', '# a comment\nkept: {flow: [1]}\n']

test('new data is printed as yaml prints it, wherever it stands in a document', () => {
  const print = (file: string, place: 'map' | 'seq' | 'flow', make: (document: Document) => unknown): string => {
    const document = parseDocument(file, { version: '1.1', strict: true })
    const root = document.contents as YAMLMap
    const node = make(document)
    if (place === 'map') root.set('added', node)
    else root.set('list', document.createNode(['first']))
    if (place !== 'map') (root.get('list') as unknown as { add(v: unknown): void; flow: boolean }).add(node)
    if (place === 'flow') (root.get('list') as unknown as { flow: boolean }).flow = true
    return document.toString({ lineWidth: 0, flowCollectionPadding: false })
  }
  fc.assert(fc.property(fc.constantFrom(...files), fc.constantFrom('map' as const, 'seq' as const, 'flow' as const), value, (file, place, v) => {
    assert.equal(print(file, place, (d) => newNode(d, v)), print(file, place, (d) => d.createNode(v, { aliasDuplicateObjects: false })))
  }), { numRuns: 500 })
})
