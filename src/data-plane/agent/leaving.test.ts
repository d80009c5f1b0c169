import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mayLeave, type Leaving, type LeavingSettings } from './leaving.ts'

const settings: LeavingSettings = { drainMs: 5000, untilIdle: false, leastMs: 1000, whenIdle: false }

test('when a sidecar may leave', () => {
  const cases: [string, Partial<LeavingSettings>, Leaving, boolean][] = [
    ['callers may still come', {}, { elapsedMs: 4999, connections: 0, alone: false }, false],
    ['the time is over, open or not', {}, { elapsedMs: 5000, connections: 3, alone: false }, true],
    ['the application has gone before', {}, { elapsedMs: 0, connections: 0, alone: true }, true],
    ['… but something is open', {}, { elapsedMs: 10, connections: 1, alone: true }, false],
    ['… and the time is over', {}, { elapsedMs: 5000, connections: 1, alone: true }, true],
    ['until idle: not before its least time', { untilIdle: true }, { elapsedMs: 500, connections: 0, alone: false }, false],
    ['until idle', { untilIdle: true }, { elapsedMs: 1000, connections: 0, alone: false }, true],
    ['until idle, however long', { untilIdle: true }, { elapsedMs: 60_000, connections: 1, alone: false }, false],
    ['when idle', { whenIdle: true }, { elapsedMs: 0, connections: 0, alone: false }, true],
  ]
  for (const [what, own, now, want] of cases) assert.equal(mayLeave({ ...settings, ...own }, now), want, what)
})
