import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PodView } from '../types.ts'
import { findPod, formatReference } from './find-pod.ts'

const pod = (namespace: string, name: string, owner: string, ready = true): PodView => ({ namespace, name, owner, ready, containers: [], status: 'Running', restarts: 0, createdAt: '', ip: '', node: '', serviceAccount: '', injected: true })
const pods = [
  pod('foo', 'sleep-7d4-a', 'Deployment/sleep', false), pod('foo', 'sleep-7d4-b', 'Deployment/sleep'), pod('bar', 'sleep-7d4-c', 'Deployment/sleep'), pod('foo', 'db-0', 'StatefulSet/db'), pod('default', 'bare', 'Pod/bare'), pod('my.ns', 'x', 'Pod/x'),
]

test('who is meant', () => {
  const cases: [string, string][] = [
    ['sleep.foo', 'sleep-7d4-b'], ['deploy/sleep.foo', 'sleep-7d4-b'], ['deployment/sleep.bar', 'sleep-7d4-c'], ['pod/sleep-7d4-a.foo', 'sleep-7d4-a'], ['sleep-7d4-a.foo', 'sleep-7d4-a'],
    ['sts/db.foo', 'db-0'], ['db', 'db-0'], ['bare', 'bare'], ['pod/bare', 'bare'], ['x.my.ns', 'x'], ['rs/sleep-7d4.foo', 'sleep-7d4-b'],
  ]
  for (const [text, name] of cases) assert.equal(findPod(pods, text).name, name, text)
  assert.equal(formatReference({ kind: 'deploy', name: 'sleep', namespace: 'foo' }), 'deploy/sleep.foo')
})

test('who is not, and who may be', () => {
  assert.throws(() => findPod(pods, 'slep.foo'), /did you mean sleep\.foo\?/)
  assert.throws(() => findPod(pods, 'sleep'), /in several namespaces \(foo, bar\)/)
  assert.throws(() => findPod(pods, 'svc/sleep.foo'), /is no kind that has pods/)
  assert.throws(() => findPod(pods, 'deploy/db.foo'), /no pod is meant/)
})
