import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseCertificates } from '#identity'
import { selfSignedAuthority, type Authority } from './authority.ts'
import { beginStaging, heard, offer, union, type Staging } from './staging.ts'

const authorities = await Promise.all(['a', 'b', 'c'].map(() => selfSignedAuthority('cluster.local', Date.now())))
const prints = (pem: string): string[] => parseCertificates(pem).map((c) => c.fingerprint256)
const rootOf = (a: Authority): string => prints(a.certificate.toString('pem'))[0] as string
/** An authority as its owner may write it: its own root, with others beside it. */
const written = (signer: number, beside: readonly number[]): Authority => {
  const a = authorities[signer] as Authority
  return { ...a, roots: beside.reduce((roots, i) => union(roots, (authorities[i] as Authority).roots), a.roots) }
}

type Move = { readonly offer: Authority } | 'heard'
const move: fc.Arbitrary<Move> = fc.oneof(fc.constant('heard' as const), fc.record({ signer: fc.nat(2), beside: fc.uniqueArray(fc.nat(2), { maxLength: 3 }) }).map(({ signer, beside }) => ({ offer: written(signer, beside) })))

test('whatever is put in place and when, nobody signs whom somebody may not know, no root goes on which a certificate may rest, and it ends', () => {
  fc.assert(fc.property(fc.nat(2), fc.array(move, { maxLength: 12 }), (first, moves) => {
    let s: Staging = beginStaging(written(first, []), 0)
    /** What every peer trusts for sure, and whose certificates may still be about. */
    let knownToAll = new Set(prints(s.roots))
    let resting = new Set([rootOf(s.signer)])
    moves.forEach((m, i) => {
      const before = s
      s = m === 'heard' ? heard(s, i + 1) : offer(s, m.offer, i + 1)
      if (m === 'heard') {
        // Everybody has a certificate of the step before, and its roots.
        knownToAll = new Set(prints(before.roots))
        resting = new Set([rootOf(before.signer)])
      }
      resting.add(rootOf(s.signer))
      assert.ok(knownToAll.has(rootOf(s.signer)), 'signs unknown')
      for (const root of resting) assert.ok(prints(s.roots).includes(root), 'a root went too soon')
      for (const root of prints(s.target.roots)) assert.ok(prints(s.roots).includes(root))
    })
    const { target } = s
    for (let i = 0; i < 4; i++) s = heard(s, 100 + i)
    assert.equal(s.step, 'steady')
    assert.equal(s.signer.certificate.serialNumber, target.certificate.serialNumber)
    assert.deepEqual(prints(s.roots).sort(), prints(target.roots).sort())
  }), { numRuns: 100 })
})

test('by hand: root added, signer changed, old root taken away; each step is one, and the signer waits where the root was added only now', () => {
  const [both, young] = [written(0, [1]), written(1, [0])]
  let s = offer(beginStaging(written(0, []), 0), both, 1)
  assert.equal(s.step, 'steady')
  assert.equal(offer(s, young, 2).step, 'spreading', 'nobody may have heard of it yet')
  s = offer(heard(s, 3), young, 4)
  assert.deepEqual([s.step, s.signer.certificate.serialNumber], ['steady', young.certificate.serialNumber])
  s = offer(heard(s, 5), written(1, []), 6)
  assert.equal(s.step, 'draining')
  assert.deepEqual(prints(heard(s, 7).roots), prints((authorities[1] as Authority).roots))
})

test('roots of a former life are trusted until all have heard; a spoilt bundle counts nothing', () => {
  const s = beginStaging(written(1, []), 0, (authorities[0] as Authority).roots)
  assert.deepEqual([s.step, prints(s.roots).length], ['draining', 2])
  assert.deepEqual([heard(s, 1).step, prints(heard(s, 1).roots).length], ['steady', 1])
  for (const odd of ['', 'mine', '-----BEGIN CERTIFICATE-----\nabcd\n-----END CERTIFICATE-----\n']) assert.equal(beginStaging(written(1, []), 0, odd).step, 'steady')
})
