// Endpoints that the caller's sidecar leaves out now are said where a call is explained, of Kith's sidecar and of Envoy.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { ejectedIn } from './ejected.ts'
import { explain } from './explain.ts'
import { callersPods } from './observed.ts'

const mesh = buildMesh(decodeObjects(parseYaml(`
{apiVersion: v1, kind: Namespace, metadata: {name: foo, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: foo, labels: {app: a}}, spec: {containers: [{name: a, image: a}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: foo, labels: {app: b}}, spec: {containers: [{name: b, image: b}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: b, namespace: foo}, spec: {selector: {app: b}, ports: [{name: http, port: 80}]}}
`, 'in.yaml').documents).objects)

const name = 'outbound|80||b.foo.svc.cluster.local'
const other = { name: 'outbound|81||b.foo.svc.cluster.local', hosts: [{ address: '10.0.0.9:81', healthy: false, ejected: true }] }
const ours = (...hosts: object[]): unknown => ({ clusters: [{ name, hosts }, other] })
const envoys = (...ejected: boolean[]): unknown => ({
  cluster_statuses: [{
    name,
    host_statuses: ejected.map((failed, i) => ({
      address: { socket_address: { address: `10.0.0.${i}`, port_value: 80 } },
      health_status: { eds_health_status: 'HEALTHY', ...(failed ? { failed_outlier_check: true } : {}) },
    })),
  }],
})

test('ejected endpoints of this call, with what becomes of it', () => {
  const answer = explain(mesh, { from: 'a.foo', to: 'http://b.foo/' })
  assert.deepEqual(callersPods(mesh, answer).map((w) => w.name), ['a'])
  const of = (page: unknown): string => ejectedIn(answer, [{ pod: 'pod/a.foo', page }]).join()
  const out = { address: '10.0.0.1:80', healthy: false, ejected: true, ejectedForMs: 27_300 }
  const well = { address: '10.0.0.2:80', healthy: true, ejected: false, ejectedForMs: 0 }
  assert.equal(of(ours(out, well)), 'the sidecar of pod/a.foo has ejected 10.0.0.1:80 (for another 28 s) by outlier detection, after errors: calls go to the others')
  assert.match(of(ours(out)), /no endpoint is left: calls get 503/)
  assert.match(of(envoys(true, false)), /has ejected 10\.0\.0\.0:80 by outlier detection, after errors: calls go to the others/)
  assert.match(of(envoys(true)), /no endpoint is left/)
  for (const page of [ours(well), envoys(false), {}, null, 'text', { clusters: [null, { name }] }]) assert.equal(of(page), '')
})
