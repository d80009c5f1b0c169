import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decode, type ApiObject } from '#api'
import { parseYaml } from '#sources'
import { desiredPods } from './desired-pods.ts'
import { podLabels, podObject } from './pod-object.ts'

const objects = (text: string): ApiObject[] => parseYaml(text, 'mesh.yaml').documents.flatMap((d) => decode(d.value, d.origin).object ?? [])
const workload = (kind: string, name: string, more = ''): string => `apiVersion: ${kind === 'Job' ? 'batch/v1' : 'apps/v1'}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: foo}\nspec:\n${more}  template:\n    metadata: {labels: {app: ${name}}}\n    spec:\n      containers: [{name: c, image: i}]\n---\n`

test('what each controller makes', () => {
  const pods = desiredPods(objects(workload('Deployment', 'web', '  replicas: 2\n') + workload('StatefulSet', 'db', '  replicas: 2\n  serviceName: db\n') + workload('DaemonSet', 'agent') + workload('Job', 'once', '  completions: 1\n') + 'apiVersion: v1\nkind: Pod\nmetadata: {name: bare, namespace: foo}\nspec: {containers: []}\n'))
  assert.deepEqual(pods.map((p) => [p.slot, p.workload.kind, p.finishes]), [
    ['DaemonSet/foo/agent/0', 'DaemonSet', false], ['Deployment/foo/web/0', 'Deployment', false], ['Deployment/foo/web/1', 'Deployment', false], ['Job/foo/once/0', 'Job', true],
    ['Pod/foo/bare', 'Pod', false], ['StatefulSet/foo/db/0', 'StatefulSet', false], ['StatefulSet/foo/db/1', 'StatefulSet', false],
  ])
  const web = pods.filter((p) => p.workload.name === 'web')
  const [first, second] = web
  assert.match(first?.name ?? '', /^web-[bcdfghjklmnpqrstvwxz2456789]{10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.notEqual(first?.name, second?.name)
  assert.deepEqual([first?.owner?.kind, first?.owner?.name], ['ReplicaSet', `web-${first?.labels['pod-template-hash']}`])
  assert.deepEqual(pods.filter((p) => p.workload.name === 'db').map((p) => [p.name, p.hostname, p.spec.subdomain]), [['db-0', 'db-0', 'db'], ['db-1', 'db-1', 'db']])
  assert.deepEqual(pods.find((p) => p.name === 'bare')?.owner, undefined)
})

test('a pod changes its name with its template and with nothing else', () => {
  const of = (text: string) => desiredPods(objects(text)).map((p) => p.name)
  assert.deepEqual(of(workload('Deployment', 'web', '  replicas: 1\n')), of(workload('Deployment', 'web', '  replicas: 2\n')).slice(0, 1))
  assert.notDeepEqual(of(workload('Deployment', 'web')), of(workload('Deployment', 'web').replace('image: i', 'image: j')))
  const all = objects(workload('Deployment', 'a') + workload('Deployment', 'b') + workload('StatefulSet', 'c') + workload('Job', 'd'))
  fc.assert(fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (mixed) => assert.deepEqual(desiredPods(mixed).map((p) => p.name), desiredPods(all).map((p) => p.name))))
})

test('what others own makes no pods a second time; zero replicas make none', () => {
  const owned = workload('ReplicaSet', 'web-1').replace('namespace: foo}', 'namespace: foo, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}')
  assert.deepEqual(desiredPods(objects(owned)), [])
  assert.deepEqual(desiredPods(objects(workload('Deployment', 'web', '  replicas: 0\n'))), [])
})

test('the Pod as the API server would hold it', () => {
  const pod = desiredPods(objects(workload('Deployment', 'web')))[0]
  assert.ok(pod)
  assert.deepEqual(podLabels(pod, true), { 'security.istio.io/tlsMode': 'istio', 'service.istio.io/canonical-name': 'web', 'service.istio.io/canonical-revision': 'latest', app: 'web', 'pod-template-hash': pod.labels['pod-template-hash'] })
  const facts = { uid: 'u', address: '10.244.0.9', node: 'local', createdAt: '2026-01-01T00:00:00Z', phase: 'Running', ready: true, terminating: false, containers: [] } as const
  const injected = decode(podObject(pod, { ...facts, injected: true }), {}).object
  assert.ok(injected)
  assert.deepEqual((injected.spec as { containers: { name: string }[] }).containers.map((c) => c.name), ['c', 'istio-proxy'])
  assert.ok(injected.metadata.annotations['sidecar.istio.io/status'])
  assert.deepEqual((podObject(pod, { ...facts, injected: false })['spec'] as { containers: { name: string }[] }).containers.map((c) => c.name), ['c'])
})
