// Where nothing was seen of a call, the answer says why.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '#insight'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { withObserved } from './observed.ts'

const mesh = buildMesh(decodeObjects(parseYaml(`
{apiVersion: v1, kind: Namespace, metadata: {name: foo, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: legacy}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: foo, labels: {app: a}}, spec: {containers: [{name: a, image: a}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: legacy}, spec: {containers: [{name: b, image: b}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: foo}, spec: {selector: {app: a}, ports: [{name: http, port: 80}]}}
`, 'in.yaml').documents).objects)

test('nothing observed, and why', async () => {
  const reason = async (from: string, asking: Parameters<typeof withObserved>[3]): Promise<string> => {
    const answer = await withObserved(mesh, explain(mesh, { from, to: 'http://a.foo/' }), 'default', asking)
    assert.equal(answer.observed, null)
    return answer.notObserved ?? ''
  }
  assert.match(await reason('b.legacy', { fromFiles: true }), /^no two sidecars meet/)
  assert.match(await reason('a.foo', { fromFiles: true }), /read from files/)
  assert.match(await reason('a.foo', { fromFiles: false }), /sidecars of a cluster were not asked/)
  assert.match(await reason('a.foo', { fromFiles: false, localDir: '/nowhere/at/all' }), /^the mesh could not be asked: /)
})
