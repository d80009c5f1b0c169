import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeObjects, parseYaml } from '#sources'
import { isChosen, objectsOf } from './discovery-selectors.ts'
import { claim, recordOf } from './leader.ts'
import { statusToWrite } from './status-conditions.ts'
import { mendedAgain, namespacesToMend, restUntilMs, type Mended } from './trust-bundles.ts'

test('discovery selectors: any of them, all of its parts', () => {
  const rows: readonly (readonly [readonly unknown[] | undefined, Record<string, string>, boolean])[] = [
    [undefined, {}, true], [[], {}, true], [[{}], {}, true],
    [[{ matchLabels: { env: 'prod' } }], { env: 'prod' }, true], [[{ matchLabels: { env: 'prod' } }], {}, false], [[{ matchLabels: { env: 'prod' } }, { matchLabels: { x: 'y' } }], { x: 'y' }, true],
    [[{ matchLabels: { env: 'prod' }, matchExpressions: [{ key: 'x', operator: 'Exists' }] }], { env: 'prod' }, false],
    [[{ matchExpressions: [{ key: 'env', operator: 'In', values: ['a', 'b'] }] }], { env: 'b' }, true], [[{ matchExpressions: [{ key: 'env', operator: 'NotIn', values: ['a'] }] }], {}, true],
    [[{ matchExpressions: [{ key: 'env', operator: 'DoesNotExist' }] }], { env: 'a' }, false], [[{ matchExpressions: [{ key: 'env', operator: 'Like', values: ['a'] }] }], { env: 'a' }, false], [['odd'], {}, false],
  ]
  for (const [discoverySelectors, labels, yes] of rows) assert.equal(isChosen(discoverySelectors === undefined ? {} : { discoverySelectors }, 'istio-system', 'foo', labels), yes, JSON.stringify([discoverySelectors, labels]))
  assert.equal(isChosen({ discoverySelectors: [{ matchLabels: { a: 'b' } }] }, 'istio-system', 'istio-system', {}), true)
  const { objects } = decodeObjects(parseYaml(['foo, labels: {mesh: "yes"}', 'bar'].map((n) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${n}}}`).concat(['foo', 'bar'].map((n) => `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ${n}}, spec: {}}`), '{apiVersion: v1, kind: Node, metadata: {name: node-1}}').join('\n---\n'), 'x').documents)
  assert.deepEqual(objectsOf(objects, { discoverySelectors: [{ matchLabels: { mesh: 'yes' } }] }, 'istio-system').map((o) => `${o.kind} ${o.metadata.namespace}/${o.metadata.name}`), ['Namespace /foo', 'Service foo/s', 'Node /node-1'])
})

test('a lease is taken where it is free, ours, or has stood still for its time by our own clock', () => {
  const theirs = { holderIdentity: 'b', leaseDurationSeconds: 15, renewTime: 'long ago', leaseTransitions: 3 }
  const seen = (atMs: number) => ({ record: recordOf(theirs), atMs })
  const rows: readonly (readonly [string, Parameters<typeof claim>[0], ReturnType<typeof seen> | undefined, boolean])[] = [
    ['none', undefined, undefined, true], ['free', { ...theirs, holderIdentity: '' }, undefined, true], ['ours', { ...theirs, holderIdentity: 'a' }, undefined, true],
    ['theirs, first seen', theirs, undefined, false], ['theirs, in time', theirs, seen(10_000), false], ['theirs, run out', theirs, seen(4000), true],
    ['renewed since', { ...theirs, renewTime: 'now' }, seen(4000), false], ['a longer lease', { ...theirs, leaseDurationSeconds: 60 }, seen(4000), false],
  ]
  for (const [what, spec, at, yes] of rows) assert.equal(claim(spec, 'a', 20_000, at) !== undefined, yes, what)
  assert.deepEqual(claim(theirs, 'a', 20_000, seen(0)), { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '1970-01-01T00:00:20.000000Z', acquireTime: '1970-01-01T00:00:20.000000Z', leaseTransitions: 4 })
  assert.equal(claim({ ...theirs, holderIdentity: 'a', acquireTime: 'then' }, 'a', 20_000, undefined)?.acquireTime, 'then')
})

test('bundles are mended where they differ; not in the cluster’s own namespaces, nor in those that end or do not belong', () => {
  const namespaces = new Map(['a', 'b', 'c', 'kube-system', 'ending', 'other'].map((n) => [n, { ending: n === 'ending', labels: {} }]))
  assert.deepEqual(namespacesToMend(namespaces, new Map([['a', 'roots'], ['b', 'old']]), 'roots', (n) => n !== 'other'), ['b', 'c'])
})

test('who keeps losing a namespace to another rests longer each time, and begins anew after a quiet minute', () => {
  let mended: Mended | undefined
  const rests = Array.from({ length: 12 }, () => {
    const nowMs = restUntilMs(mended)
    mended = mendedAgain(mended, nowMs)
    return restUntilMs(mended) - nowMs
  })
  assert.deepEqual([rests[0], rests[1], rests[2], rests.at(-1)], [250, 500, 1000, 60_000])
  assert.equal(mendedAgain(mended, (mended?.atMs ?? 0) + 60_001).times, 1)
})

test('a status is written where it says something else, and keeps the time of its last turn', () => {
  const problem = { code: 'IST0106', severity: 'error' as const, ref: { kind: 'x', namespace: 'foo', name: 'x', path: 'spec.mtls' }, message: 'no' }
  const first = statusToWrite(undefined, 1, [], 0) as { conditions: Record<string, unknown>[] }
  assert.deepEqual(first, { observedGeneration: 1, conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: '', observedGeneration: 1, lastTransitionTime: '1970-01-01T00:00:00Z' }] })
  assert.equal(statusToWrite(first, 1, [], 5000), undefined)
  assert.equal((statusToWrite(first, 2, [], 5000) as typeof first).conditions[0]?.['lastTransitionTime'], '1970-01-01T00:00:00Z')
  const refused = statusToWrite(first, 2, [problem], 5000) as typeof first
  assert.deepEqual([refused.conditions[0]?.['status'], refused.conditions[0]?.['lastTransitionTime'], refused.conditions[0]?.['message']], ['False', '1970-01-01T00:00:05Z', 'error IST0106 spec.mtls: no'])
  const warned = statusToWrite(first, 1, [{ ...problem, severity: 'warning' }], 5000) as typeof first
  assert.deepEqual([warned.conditions[0]?.['status'], warned.conditions[0]?.['reason']], ['True', 'AcceptedWithWarnings'])
  const long = statusToWrite(first, 1, Array.from({ length: 500 }, () => problem), 0) as typeof first
  assert.equal(String(long.conditions[0]?.['message']).length, 1024)
  assert.equal((statusToWrite({ conditions: [{ type: 'Theirs' }, 'odd'] }, 1, [], 0) as typeof first).conditions[0]?.['type'], 'Theirs')
})
