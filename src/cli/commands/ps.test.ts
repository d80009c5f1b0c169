import assert from 'node:assert/strict'
import { test } from 'node:test'
import { age, formatPods } from './ps.ts'

test('pods in kubectl’s columns', () => {
  const container = { name: 'c', ready: true, restarts: 0, status: 'Running' }
  const pod = { namespace: 'foo', name: 'sleep-1', owner: 'Deployment/sleep', containers: [container, { ...container, ready: false }], ready: false, status: 'Running', restarts: 2, createdAt: '2026-01-01T00:00:00Z', ip: '10.244.0.9', node: 'local', serviceAccount: 'sleep', injected: true }
  const now = Date.parse('2026-01-01T00:01:05Z')
  assert.equal(formatPods([pod], {}, now), 'NAMESPACE   NAME      READY   STATUS    RESTARTS   AGE\nfoo         sleep-1   1/2     Running   2          65s\n')
  assert.match(formatPods([pod], { namespace: 'foo', output: 'wide' }, now), /^NAME {6}READY.*IP {11}NODE {4}SERVICE ACCOUNT\nsleep-1/)
  assert.equal(formatPods([], { namespace: 'foo' }), 'No resources found in foo namespace.\n')
})

test('ages as kubectl rounds them', () => {
  for (const [seconds, text] of [[5, '5s'], [119, '119s'], [200, '3m20s'], [240, '4m'], [3000, '50m'], [7300, '2h'], [200_000, '2d']] as const) assert.equal(age(seconds * 1000), text)
})
