// Balancing with chance handed in: shares, the less busy, consistency.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choose, type Candidate } from './balance.ts'

const hosts = (...weights: number[]): Candidate[] => weights.map((weight, i) => ({ key: `h${i}`, weight, active: 0 }))

/** A small generator, so that a run is the same every time. */
function draws(): () => number {
  let x = 12345
  return () => {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
    return x / 0x80000000
  }
}

function shares(policy: Parameters<typeof choose>[0], candidates: Candidate[], hash?: (i: number) => string): number[] {
  const pick = draws()
  const counts = candidates.map(() => 0)
  for (let turn = 0; turn < 4000; turn++) {
    const chosen = choose(policy, candidates, 2, { pick, turn, hash: hash?.(turn) })
    const at = candidates.indexOf(chosen as Candidate)
    counts[at] = (counts[at] as number) + 1
  }
  return counts.map((c) => Math.round((c / 4000) * 100) / 100)
}

test('nobody and the only one', () => {
  const draw = { pick: () => 0, turn: 0 }
  assert.equal(choose('LEAST_REQUEST', [], 2, draw), undefined)
  assert.equal(choose('RING_HASH', hosts(1), 2, draw)?.key, 'h0')
})

test('round robin takes turns, by weight where they differ', () => {
  assert.deepEqual(shares('ROUND_ROBIN', hosts(1, 1, 1, 1)), [0.25, 0.25, 0.25, 0.25])
  assert.deepEqual(shares('ROUND_ROBIN', hosts(1, 3)), [0.25, 0.75])
})

test('random and hashing keep near the weights', () => {
  for (const [policy, hash] of [['RANDOM', undefined], ['RING_HASH', (i: number) => `user-${i}`], ['MAGLEV', (i: number) => `user-${i}`]] as const) {
    const [a, b] = shares(policy, hosts(1, 3), hash) as [number, number]
    assert.ok(Math.abs(a - 0.25) < 0.03 && Math.abs(b - 0.75) < 0.03, `${policy} ${a} ${b}`)
  }
})

test('least request takes the less busy of two', () => {
  const busy: Candidate[] = [{ key: 'a', weight: 1, active: 9 }, { key: 'b', weight: 1, active: 0 }]
  assert.deepEqual(shares('LEAST_REQUEST', busy), [0, 1])
  assert.deepEqual(shares('LEAST_REQUEST', [{ key: 'a', weight: 4, active: 1 }, { key: 'b', weight: 1, active: 0 }]), [1, 0])
})

test('hashing: the same key, the same host; when one leaves only its keys move', () => {
  const all = hosts(1, 1, 1, 1, 1)
  const without = all.filter((h) => h.key !== 'h2')
  for (let i = 0; i < 500; i++) {
    const draw = { pick: () => 0, turn: i, hash: `k${i}` }
    const before = choose('RING_HASH', all, 2, draw)?.key
    const after = choose('RING_HASH', without, 2, { ...draw, turn: 0 })?.key
    if (before !== 'h2') assert.equal(after, before)
  }
})
