import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeMessages, type Message } from './message.ts'
import { tableBatches, type NftChain, type NftTable, type Standing } from './nftables.ts'

const hook = { type: 'nat', hook: 'output', priority: -100 } as const
const back: NftChain['rules'][number] = { match: [], statements: [{ do: 'return' }] }
const small: NftTable = { family: 'inet', name: 'kith', chains: [{ name: 'output', hook, rules: [back] }] }
const hex = (message: Message | undefined): string => message?.body.toString('hex') ?? ''
const told = (batches: readonly Message[][]): string[][] => batches.map((b) => b.slice(1, -1).map((m) => m.what))

test('a small table is declared, deleted and declared again between begin and end', () => {
  const [batch = []] = tableBatches(small, { inForce: 'kith', other: 'kith-2' })
  assert.deepEqual(batch.map((m) => m.type), [16, 0xa00, 0xa02, 0xa00, 0xa03, 0xa06, 17])
  assert.equal(hex(batch[0]), '0000000a')
  assert.equal(hex(batch[1]), '01000000' + '09000100' + '6b697468' + '00' + '000000')
  assert.ok(hex(batch[4]).includes('14000480' + '0800010000000003' + '08000200ffffff9c'))
})

const large: NftTable = {
  family: 'ip',
  name: 'kith',
  chains: [
    ...Array.from({ length: 40 }, (_, i): NftChain => ({ name: `svc-${i}`, rules: [back, back] })),
    { name: 'output', hook, rules: Array.from({ length: 40 }, (_, i) => ({ match: [], statements: [{ do: 'jump', chain: `svc-${i}` }] })) },
  ],
}

const turns: readonly (readonly [string, Standing | 'fresh', string, string | undefined])[] = [
  ['fresh', 'fresh', 'kith', undefined],
  ['nothing in force', { inForce: undefined, other: 'kith' }, 'kith', undefined],
  ['the first in force', { inForce: 'kith', other: 'kith-2' }, 'kith-2', 'kith'],
  ['the second in force', { inForce: 'kith-2', other: 'kith' }, 'kith', 'kith-2'],
]

for (const [what, standing, built, removed] of turns) {
  test(`a large table comes in batches, and only the last one changes what is in force: ${what}`, () => {
    const limit = 1500
    const batches = tableBatches(large, standing, limit)
    const all = told(batches)
    assert.ok(batches.length > 3)
    for (const batch of batches) {
      assert.deepEqual([batch[0]?.type, batch.at(-1)?.type], [16, 17])
      assert.ok(encodeMessages(batch, 0, () => false).length <= limit)
    }
    assert.deepEqual(all.at(-1), ['chain output', 'rule 1 of chain output', ...(removed === undefined ? [] : [`delete table ip ${removed}`])])
    assert.deepEqual(all.slice(0, -1).flat().filter((w) => w.includes('table')), standing === 'fresh' ? [`table ip ${built}`] : [`table ip ${built}`, `delete table ip ${built}`, `table ip ${built}`])
    const order = all.flat()
    for (let i = 0; i < 40; i++) assert.ok(order.indexOf(`chain svc-${i}`) < order.indexOf(`rule ${i + 1} of chain output-rules`))
    assert.equal(order.filter((w) => w.startsWith('rule ')).length, 40 * 2 + 40 + 1)
  })
}

test('a table that has become small takes the place of a large one in its one batch', () => {
  assert.deepEqual(told(tableBatches(small, { inForce: 'kith-2', other: 'kith' })), [
    ['table inet kith', 'delete table inet kith', 'table inet kith', 'chain output', 'rule 1 of chain output', 'delete table inet kith-2'],
  ])
})
