// Durations of the environment: what they mean, and that one which cannot be read is named.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEnvironment } from './environment.ts'

const needed = { POD_NAME: 'a', POD_NAMESPACE: 'b', CA_ADDR: 'istiod:15012' }

test('KITH_HEAD_TIMEOUT', () => {
  for (const [text, ms] of [[undefined, undefined], ['', undefined], ['60s', 60_000], ['1m30s', 90_000], ['0s', 0]] as const) {
    assert.equal(readEnvironment({ ...needed, KITH_HEAD_TIMEOUT: text }).headTimeoutMs, ms, String(text))
  }
  for (const text of ['soon', '60', '-1s']) {
    assert.throws(() => readEnvironment({ ...needed, KITH_HEAD_TIMEOUT: text }), { code: 'ENV_INVALID', message: new RegExp(`^KITH_HEAD_TIMEOUT is "${text}"`) })
  }
})
