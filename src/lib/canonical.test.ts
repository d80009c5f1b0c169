import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalHash, canonicalJson } from './canonical.ts'
import { Secret } from './secret.ts'

const data = fc.jsonValue({ maxDepth: 5 })

test('it reads back as what it was, whatever order the fields came in', () => {
  fc.assert(fc.property(data, (value) => {
    const text = canonicalJson(value)
    // JSON has no -0.
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    assert.equal(canonicalJson(reversed(value)), text)
    assert.equal(canonicalHash(reversed(value)), canonicalHash(value))
  }))
})

test('what JSON leaves out is left out; a secret says only that it is one', () => {
  const rows: readonly (readonly [unknown, string])[] = [
    [{ b: undefined, a: 1 }, '{"a":1}'], [[undefined, 1], '[null,1]'], [{}, '{}'], [[], '[]'], [null, 'null'], ['"\u2028', JSON.stringify('"\u2028')], [Number.NaN, 'null'], [{ at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    [{ key: new Secret('x') }, '{"key":"[redacted]"}'], [{ b: [{ d: 1, c: 2 }], a: {} }, '{"a":{},"b":[{"c":2,"d":1}]}'], [{ 10: 'a', 9: 'b' }, '{"10":"a","9":"b"}'],
  ]
  for (const [value, text] of rows) assert.equal(canonicalJson(value), text)
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).reverse().map(([k, v]) => [k, reversed(v)]))
}
