// Priorities take over what the earlier ones can't carry, localities share by weight: Envoy's documented figures.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseGroup, groupsOf, type Placed } from './localities.ts'

const hosts = (n: number, priority: number, locality = '', localityWeight = 1): Placed[] => Array.from({ length: n }, () => ({ endpoint: { priority, locality, localityWeight } }))
const shares = (all: readonly Placed[], down: number, byLocality = false): number[] => groupsOf(all, new Set(all.slice(down)), byLocality).map((g) => Math.round(g.share * 100))

test('the first priority alone while it can carry all; then with 40 % to spare', () => {
  const all = [...hosts(10, 0), ...hosts(10, 1)]
  assert.deepEqual(shares(all, 0), [100])
  assert.deepEqual(shares(all, 2), [100], '80 % × 1.4')
  assert.deepEqual(shares(all, 5), [70, 30])
  assert.deepEqual(shares(all, 10), [100])
  assert.deepEqual(groupsOf(all, new Set(), false), [])
})

test('localities by weight, less what fails in them', () => {
  const all = [...hosts(4, 0, 'a', 80), ...hosts(1, 0, 'b', 20)]
  assert.deepEqual(shares(all, 0, true), [80, 20])
  assert.deepEqual(shares(all, 2, true), [74, 26], '80 × 0.7 to 20')
  assert.deepEqual(shares(all, 0, false), [100], 'where weights do not count, all share one pool')
})

test('a draw finds its group', () => {
  const all = [...hosts(1, 0, 'a', 80), ...hosts(1, 0, 'b', 20)]
  const groups = groupsOf(all, new Set(all), true)
  assert.equal(chooseGroup(groups, 0)[0], all[0])
  assert.equal(chooseGroup(groups, 0.79)[0], all[0])
  assert.equal(chooseGroup(groups, 0.81)[0], all[1])
  assert.equal(chooseGroup(groups, 0.9999999999)[0], all[1])
})
