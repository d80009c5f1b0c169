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
  const held = fc.oneof(fc.constant(''), fc.nat(2).map((i) => (authorities[i] as Authority).roots))
  fc.assert(fc.property(fc.nat(2), held, fc.option(fc.nat(2), { nil: undefined }), fc.array(move, { maxLength: 12 }), (first, before, former, moves) => {
    let s: Staging = beginStaging(written(first, []), 0, before, former === undefined ? undefined : written(former, []))
    /** What every peer trusts for sure, and whose certificates may still be about. */
    let knownToAll = new Set(prints(before === '' ? s.roots : before))
    let resting = new Set(before === '' ? [] : prints(before))
    const check = (): void => {
      if (!s.mute) resting.add(rootOf(s.signer))
      assert.ok(s.mute || knownToAll.has(rootOf(s.signer)), 'signs unknown')
      for (const root of resting) assert.ok(prints(s.roots).includes(root), 'a root went too soon')
      for (const root of prints(s.target.roots)) assert.ok(prints(s.roots).includes(root))
    }
    check()
    moves.forEach((m, i) => {
      const before = s
      s = m === 'heard' ? heard(s, i + 1) : offer(s, m.offer, i + 1)
      if (m === 'heard') {
        // Everybody has a certificate of the step before, and its roots.
        knownToAll = new Set(prints(before.roots))
        // Where nobody signed, what they have is what they had.
        if (!before.mute) resting = new Set([rootOf(before.signer)])
      }
      check()
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

test('replaced while no control plane ran: the former authority signs on where its key is at hand, else nobody signs until the new root is known', () => {
  const [old, young] = [written(0, []), written(1, [])]
  const s = beginStaging(young, 0, old.roots, old)
  assert.deepEqual([s.step, s.signer === old, s.mute, prints(s.roots).length], ['spreading', true, false, 2])
  assert.deepEqual([heard(s, 1).step, heard(s, 1).signer === young, prints(heard(s, 1).roots).length], ['draining', true, 2])
  const silent = beginStaging(young, 0, old.roots)
  assert.deepEqual([silent.step, silent.mute, prints(silent.roots).length], ['spreading', true, 2])
  assert.deepEqual([heard(silent, 1).step, heard(silent, 1).mute], ['draining', false])
  // The old one put back, before anybody had signed by the new one.
  assert.deepEqual([offer(silent, old, 1).mute, offer(silent, old, 1).signer === old], [false, true])
})

test('a root that all know already signs at once; a spoilt bundle counts nothing', () => {
  const s = beginStaging(written(1, []), 0, union((authorities[0] as Authority).roots, (authorities[1] as Authority).roots))
  assert.deepEqual([s.step, s.mute, prints(s.roots).length], ['draining', false, 2])
  assert.deepEqual([heard(s, 1).step, prints(heard(s, 1).roots).length], ['steady', 1])
  for (const odd of ['', 'mine', '-----BEGIN CERTIFICATE-----\nabcd\n-----END CERTIFICATE-----\n']) assert.equal(beginStaging(written(1, []), 0, odd).step, 'steady')
})
