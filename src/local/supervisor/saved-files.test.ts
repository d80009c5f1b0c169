import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Problem } from '#lib/problem.ts'
import { brokenFiles, changedFields } from './saved-files.ts'

const problem = (file: string, severity: Problem['severity'] = 'error'): Problem => ({ code: 'X', severity, ref: { kind: '', namespace: '', name: '', path: '', file }, message: '' })

test('a file is mended when the last of its errors has gone', () => {
  const mended = brokenFiles()
  assert.deepEqual(mended([problem('a'), problem('a'), problem('b', 'warning')]), [])
  assert.deepEqual(mended([problem('a')]), [])
  assert.deepEqual(mended([problem('c')]), ['a'])
  assert.deepEqual(mended([]), ['c'])
  assert.deepEqual(mended([]), [])
})

test('what of kith.yaml a running mesh does not take up', () => {
  const file = { images: {}, external: [], problems: [] }
  assert.deepEqual(changedFields(file, { ...file, images: { a: { command: ['x'], env: {} } } }), [])
  assert.deepEqual(changedFields(file, { ...file, proxy: 'envoy', certTtlSeconds: 20 }), ['proxy', 'workloadCertTtl'])
})
