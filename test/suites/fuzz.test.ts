// The short form of the fuzzers; `npm run fuzz` is the long one. One seed in every run, as for properties; SEED=n or SEED=random draws anew.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz, targets } from './fuzz/run.ts'

const asked = process.env['SEED'] ?? '20260101'
const seed = /^\d+$/.test(asked) ? Number(asked) : Math.floor(Math.random() * 2 ** 31)
const durationMs = 5000

for (const target of targets) {
  test(`${target.name}: nothing is found in ${durationMs / 1000} s`, { timeout: 60_000 }, async (t) => {
    const { inputs, failure } = await fuzz(target, seed, durationMs)
    t.diagnostic(`SEED=${seed}: ${inputs} inputs`)
    assert.equal(failure, undefined)
    assert.ok(inputs > 0)
  })
}
