import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultValues, freeKeys, withoutEffect } from './default-values.ts'
import { parseSet } from './set-values.ts'
import { settingsOf, valueAt } from './settings.ts'
import { resolveValues } from './values.ts'

const said = (value: unknown): string[] => resolveValues([{ from: 'f', value }]).problems.map((p) => `${p.severity}: ${p.message}${p.help === undefined ? '' : `; ${p.help}`}`)

test('a key that nobody reads is named, with the nearest one that is', () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ pilot: { replicCount: 2 } }, /^warning: there is no value pilot\.replicCount.*did you mean pilot\.replicaCount\?$/],
    [{ replicaCount: 2 }, /did you mean pilot\.replicaCount\?/],
    [{ global: { proxy: { resources: { anything: 1 } } } }, /^$/],
    [{ global: { proxyy: {} } }, /did you mean global\.proxy\?/],
    [{ meshConfig: { accesLogFile: 'x' } }, /^warning: meshConfig\.accesLogFile.*did you mean "accessLogFile"\?$/],
    [{ meshConfig: { outboundTrafficPolicy: { mode: 'ALLOW' } } }, /^error: meshConfig\.outboundTrafficPolicy\.mode/],
    [{ pilot: { replicaCount: 'two' } }, /^error: pilot\.replicaCount must be a number, not "two"$/],
    [{ pilot: { env: [] } }, /^error: pilot\.env must be a map/],
    [{ pilot: 3 }, /^error: pilot must be a map/],
    [{ pilot: { autoscaleMin: 2 } }, /^warning: pilot\.autoscaleMin has no effect: .*replicaCount$/],
    [{ global: { tag: 1.3 } }, /^warning: global\.tag is read as the number 1\.3.*quotes$/],
    [{ global: { tag: 12 } }, /^$/],
    [{ zzz: 1 }, /^warning: there is no value zzz, so it changes nothing$/],
  ]
  for (const [value, expected] of cases) assert.match(said(value).join('\n'), expected, JSON.stringify(value))
})

test('later layers win, maps are merged, null takes away; the paths of istioctl lead to the same places', () => {
  const { values, problems } = resolveValues([
    { from: 'a', value: { pilot: { env: { A: '1', B: '2' }, replicaCount: 2 }, global: { hub: 'one' } } },
    { from: 'b', value: { pilot: { env: { B: null, C: '3' } }, hub: 'two', tag: 'x' } },
    { from: 'c', value: { kind: 'IstioOperator', spec: { components: { pilot: { k8s: { replicaCount: 5, env: [{ name: 'D', value: '4' }] } } }, values: { global: { network: 'n' } } } } },
  ])
  assert.deepEqual(problems, [])
  assert.deepEqual(valueAt(values, 'pilot.env'), { A: '1', C: '3', D: '4' })
  assert.equal(valueAt(values, 'pilot.replicaCount'), 5)
  assert.equal(valueAt(values, 'global.network'), 'n')
  assert.equal(settingsOf(values).image, 'two/pilot:x')
})

test('--set: paths, lists, escapes, types', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['a.b=c', { a: { b: 'c' } }], ['a=1,b=true,c=null', { a: 1, b: true, c: null }], ['a={x,2}', { a: ['x', 2] }], ['a={}', { a: [] }], ['a[1].b=c', { a: [undefined, { b: 'c' }] }], ['a.b\\.c/d=e', { a: { 'b.c/d': 'e' } }],
    ['a=b\\,c', { a: 'b,c' }], ['a=b=c', { a: 'b=c' }], ['tag=1.30', { tag: '1.30' }], ['a=007', { a: '007' }], ['a=', { a: '' }],
  ]
  for (const [text, value] of cases) assert.deepEqual(JSON.parse(JSON.stringify(parseSet(text))), JSON.parse(JSON.stringify({ value })), text)
  assert.deepEqual(parseSet('a=1', true), { value: { a: '1' } })
  for (const text of ['a', '=b', '[0]=a', '__proto__.x=1']) assert.ok('fault' in parseSet(text), text)
})

test('the tables of keys agree: what is free stands among the defaults, what has no effect does not', () => {
  for (const key of freeKeys) assert.notEqual(valueAt(defaultValues, key), undefined, key)
  for (const key of Object.keys(withoutEffect)) assert.equal(valueAt(defaultValues, key), undefined, key)
})

test('a CNI plugin that does not come along, and fields of meshConfig that change nothing, are named', () => {
  const problems = (value: object): string[] => resolveValues([{ from: '--set', value }]).problems.map((p) => `${p.severity} ${p.ref.path}`)
  assert.deepEqual(problems({ pilot: { cni: { enabled: true } } }), ['warning pilot.cni.enabled'])
  assert.deepEqual(problems({ pilot: { cni: { enabled: false } } }), [])
  assert.deepEqual(problems({ meshConfig: { enableTracing: true, trustDomain: 'a.example' } }), ['warning meshConfig.enableTracing'])
})
