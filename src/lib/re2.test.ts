import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileExpression, ExpressionTooCostly, mostProgram, mostWork } from './re2.ts'

test('an expression that compiles to too much is refused, however short its text', () => {
  for (const text of ['.*a'.repeat(1365), '(a{0,100}){0,10}b'.repeat(2), '(?:[a-z]{1,50}){1,20}[a-z]{1,500}']) {
    assert.throws(() => compileExpression(text), new RegExp(`it compiles to \\d+ instructions, and ${mostProgram} are the most`), text.slice(0, 30))
  }
  assert.equal(compileExpression('^/api/v[0-9]+/(users|orders)/.*').matches('/api/v1/users/7'), true)
})

test('a value beyond the budget is neither a match nor none', () => {
  const expression = compileExpression('.*a'.repeat(300))
  assert.equal(expression.matches('a'.repeat(300)), true)
  const longer = 'b'.repeat(mostWork / 300)
  assert.throws(() => expression.matches(longer), ExpressionTooCostly)
  assert.throws(() => expression.replaceAll(longer, ''), ExpressionTooCostly)
  // A small expression takes whatever fits into a request's head.
  assert.equal(compileExpression('.*x').matches(`${'b'.repeat(60_000)}x`), true)
})
