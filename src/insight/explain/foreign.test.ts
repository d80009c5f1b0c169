// A call whose host another namespace's object claims: explain says so; refused, the object has no say, and explain says why.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { explain } from './explain.ts'
import { formatExplanation } from './text.ts'
import { whyNot } from './why-not.ts'

const text = `
{apiVersion: v1, kind: Namespace, metadata: {name: foo, labels: {istio-injection: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bar, labels: {istio-injection: enabled}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: sleep, namespace: foo}, spec: {template: {metadata: {labels: {app: sleep}}, spec: {containers: [{name: a}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: httpbin, namespace: bar}, spec: {template: {metadata: {labels: {app: httpbin}}, spec: {containers: [{name: a}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: httpbin, namespace: bar}, spec: {selector: {app: httpbin}, ports: [{name: http, port: 8000}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: evil, namespace: legacy}, spec: {template: {metadata: {labels: {app: evil}}, spec: {containers: [{name: a}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: evil, namespace: legacy}, spec: {selector: {app: evil}, ports: [{name: http, port: 80}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: evil, namespace: legacy}
spec:
  hosts: [httpbin.bar.svc.cluster.local]
  http: [{route: [{destination: {host: evil.legacy.svc.cluster.local, port: {number: 80}}}]}]
`
function mesh(foreignHosts: 'warn' | 'refuse'): Mesh {
  const { objects, problems } = decodeObjects(parseYaml(text, 'evil.yaml').documents)
  assert.deepEqual(problems, [])
  return buildMesh(objects, { meshConfig: { compat: { foreignHosts } } })
}
const call = { from: 'sleep.foo', to: 'http://httpbin.bar:8000/' }

test('followed, with a note that names the object, its line and the owner of the host', () => {
  const answer = explain(mesh('warn'), call)
  assert.equal(answer.server?.workload, 'legacy/evil')
  assert.deepEqual(answer.problems.map((p) => [p.code, p.severity, p.ref.name, p.ref.line]), [['KITH0120', 'warning', 'evil', 20]])
  assert.match(formatExplanation(answer), /^note {5}httpbin\.bar\.svc\.cluster\.local belongs to namespace bar \(Service bar\/httpbin\): .*evil\.yaml:20/m)
  assert.deepEqual(explain(mesh('warn'), { from: 'sleep.foo', to: 'http://evil.legacy/' }).problems, [], 'a call that it does not touch')
})

test('refused: the call goes to its own host, and explain says why the object has no say', () => {
  const refusing = mesh('refuse')
  const answer = explain(refusing, call)
  assert.equal(answer.server?.workload, 'bar/httpbin')
  assert.deepEqual(answer.problems.map((p) => [p.code, p.severity]), [['KITH0120', 'error']])
  assert.deepEqual(whyNot(refusing, call, answer).filter((n) => n.source.name === 'evil').map((n) => n.why), [
    'httpbin.bar.svc.cluster.local belongs to namespace bar (Service bar/httpbin): compat.foreignHosts is refuse, so no client follows this object',
  ])
})
