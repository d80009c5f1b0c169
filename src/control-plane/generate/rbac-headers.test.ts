import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileExpression } from '#lib/re2.ts'
import { anyOther, asMember } from './rbac-headers.ts'

const expressionOf = (m: unknown): string => (m as { header: { stringMatch: { safeRegex: { regex: string } } } }).header.stringMatch.safeRegex.regex
const like = (pattern: string, value: string): boolean => (pattern.startsWith('*') ? value.endsWith(pattern.slice(1)) : pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern)
const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', ']', '\\', '^'), minLength: 1, maxLength: 4 })
const line = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', ']', '\\', '^'), maxLength: 6 })

test('a line that is none of the values, and no other, matches the expression for others', () => {
  const plain = fc.array(fc.tuple(text, fc.constantFrom('', '*')).map(([t, star]) => t + star), { minLength: 1, maxLength: 3 })
  const suffixes = fc.array(text.map((t) => `*${t}`), { minLength: 1, maxLength: 3 })
  fc.assert(fc.property(fc.oneof(plain, suffixes), line, (values, l) => {
    const other = anyOther('x', values)
    assert.ok(other !== undefined)
    assert.equal(compileExpression(expressionOf(other)).matches(l), !values.some((v) => like(v, l)), `${values.join(' ')} against ${l}: ${expressionOf(other)}`)
  }), { numRuns: 3000 })
  for (const values of [['*'], ['é'], ['a', '*b'], ['a'.repeat(300)]]) assert.equal(anyOther('x', values), undefined)
})

test('each value of a list on one line is found', () => {
  fc.assert(fc.property(fc.oneof(text, text.map((t) => `${t}*`), text.map((t) => `*${t}`)), fc.array(line, { minLength: 1, maxLength: 3 }), (value, members) => {
    const expression = compileExpression(expressionOf(asMember('x', value)[0]))
    if (members.some((m) => like(value, m))) assert.ok(expression.matches(members.join(', ')), `${value} in ${members.join(', ')}`)
    else if (!value.includes('*')) assert.ok(!expression.matches(members.join(', ')))
  }), { numRuns: 2000 })
})
