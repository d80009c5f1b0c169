// What a stream may make a server remember: a table of requests that go beyond, for both protocols; and what never
// does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DeltaServerState, type DeltaRequest } from './delta-server.ts'
import { servedTypes, typeUrls } from './resource.ts'
import { SotwServerState } from './sotw-server.ts'
import { leastNames, type StreamLimits } from './stream-limits.ts'

const wildcard = new Set<string>([typeUrls.cluster])
const limits = (existing: number): StreamLimits => ({ known: servedTypes, existing: () => existing })
const namesFrom = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `outbound|80||s${from + i}`)
const ask = (typeUrl: string, more: Partial<DeltaRequest>): DeltaRequest => {
  return { typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', ...more }
}

/** What each request of a delta stream is answered with; '' where it is taken. */
function delta(requests: readonly DeltaRequest[], existing = 0): string[] {
  const state = new DeltaServerState(wildcard, limits(existing))
  return requests.map((r) => {
    const feedback = state.request(r)
    return feedback?.kind === 'excess' ? (feedback.error ?? '') : ''
  })
}

function sotw(
  requests: readonly { readonly typeUrl: string; readonly names: readonly string[] }[],
  existing = 0,
): string[] {
  const state = new SotwServerState(wildcard, limits(existing))
  return requests.map((r) => {
    const feedback = state.request({ ...r, nonce: '' })
    return feedback?.kind === 'excess' ? (feedback.error ?? '') : ''
  })
}

test('a stream that asks for more than can exist is told so, and nothing of it is kept', () => {
  const many = namesFrom(leastNames + 1)
  const versions = Object.fromEntries(many.map((n) => [n, '1']))
  const types = Array.from({ length: 17 }, (_, i) => `type.googleapis.com/x.T${i}`)
  const huge = 'x'.repeat(5000)
  const long = Array.from({ length: 300 }, (_, i) => `${i}${'x'.repeat(4000)}`)
  const rows: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['names', delta([ask(typeUrls.endpoint, { subscribe: many })]), /more than 5000 names of ClusterLoadAssignment/],
    ['little by little', delta(many.map((n) => ask(typeUrls.endpoint, { subscribe: [n] }))), /more than 5000 names/],
    ['of a wildcard', delta([ask(typeUrls.cluster, { subscribe: ['*', ...many] })]), /more than 5000 names of Cluster/],
    ['versions', delta([ask(typeUrls.cluster, { initialVersions: versions })]), /more than 5000 names of Cluster/],
    ['types', delta(types.map((t) => ask(t, { subscribe: ['a'] }))), /more than 16 types/],
    ['a long type', delta([ask(huge, {})]), /a type of 5000 characters/],
    ['of an unknown type', delta([ask('x', { subscribe: namesFrom(17) })]), /more than 16 names of x/],
    ['a long name', delta([ask(typeUrls.secret, { subscribe: [huge] })]), /a name of 5000 characters/],
    ['long names', delta([ask(typeUrls.secret, { subscribe: long })]), /more than 640000 characters/],
    ['names, all at once', sotw([{ typeUrl: typeUrls.endpoint, names: many }]), /more than 5000 names/],
    ['types, all at once', sotw(types.map((typeUrl) => ({ typeUrl, names: ['a'] }))), /more than 16 types/],
    ['a long name, all at once', sotw([{ typeUrl: typeUrls.secret, names: [huge] }]), /a name of 5000 characters/],
    ['long names, all at once', sotw([{ typeUrl: typeUrls.secret, names: long }]), /more than 640000 characters/],
  ]
  for (const [what, said, expected] of rows) {
    assert.match(said.at(-1) ?? '', expected, what)
    assert.ok(
      said.slice(0, -1).every((s) => s === ''),
      what,
    )
  }
})

test('what exists may be asked for, twice over; what existed once still counts', () => {
  assert.deepEqual(delta([ask(typeUrls.endpoint, { subscribe: namesFrom(leastNames + 20_000) })], 10_000), [''])
  assert.notDeepEqual(delta([ask(typeUrls.endpoint, { subscribe: namesFrom(leastNames + 20_001) })], 10_000), [''])
  let existing = 10_000
  const state = new DeltaServerState(wildcard, { known: servedTypes, existing: () => existing })
  assert.equal(state.request(ask(typeUrls.endpoint, { subscribe: namesFrom(10_000) })), undefined)
  existing = 3
  assert.equal(state.request(ask(typeUrls.endpoint, { subscribe: namesFrom(5, 10_000) })), undefined)
})

test('names that come and go in whatever order are counted as they are held', () => {
  const name = fc.nat(40).map((i) => `n${i}`)
  const names = fc.array(name, { maxLength: 40 })
  fc.assert(
    fc.property(fc.array(fc.record({ subscribe: names, unsubscribe: names }), { maxLength: 60 }), (requests) => {
      const state = new DeltaServerState(wildcard, { known: new Set(), existing: () => 0 })
      const held = new Set<string>()
      for (const r of requests) {
        for (const n of r.subscribe) held.add(n)
        const excess = state.request(ask('x', r))?.kind === 'excess'
        // Of a type that is not served 16 are kept: exactly where the set of names outgrows that, it ends.
        assert.equal(excess, held.size > 16)
        if (excess) return
        for (const n of r.unsubscribe) held.delete(n)
        assert.deepEqual(state.wanted('x'), held)
      }
    }),
    { numRuns: 300 },
  )
})
