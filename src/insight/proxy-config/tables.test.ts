// The tables over what is really generated: a mesh, its plan, its xDS as JSON, the table.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinary, toJson } from '@bufbuild/protobuf'
import { generate } from '#generate'
import { buildMesh } from '#mesh'
import { planProxy } from '#plan'
import { message, registry } from '#proto'
import { decodeObjects, parseYaml } from '#sources'
import { findWorkload } from '../explain/find-workload.ts'
import { clusterTable, endpointTable, listenerTable, routeTable, secretTable } from './tables.ts'

const yaml = `
apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: sleep, namespace: foo}
spec: {containers: [{name: sleep, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: foo, labels: {app: db}}
spec: {containers: [{name: db, image: x}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: foo}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: foo}
spec: {clusterIP: 10.96.0.2, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: foo}
spec: {host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, subsets: [{name: v1, labels: {v: "1"}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: foo}
spec: {hosts: [web], http: [{match: [{uri: {exact: /one}, headers: {x-a: {exact: b}}}], route: [{destination: {host: web, subset: v1}}]}, {route: [{destination: {host: web}}]}]}
`
const mesh = buildMesh(decodeObjects(parseYaml(yaml, 'in.yaml').documents).objects)
const dump = {
  configs: generate(planProxy(mesh, findWorkload(mesh, 'sleep.foo'))).map((r) => {
    const schema = message(r.type.slice(r.type.indexOf('/') + 1))
    return { type: r.type, name: r.name, resource: toJson(schema, fromBinary(schema, r.any.value), { registry }) }
  }),
}

test('clusters: by service and port, with the DestinationRule that holds for each; filters leave the others out', () => {
  const { rows } = clusterTable(dump)
  assert.deepEqual(rows.filter((r) => r[0] === 'web.foo.svc.cluster.local'), [
    ['web.foo.svc.cluster.local', '8000', '-', 'outbound', 'EDS', 'web.foo'], ['web.foo.svc.cluster.local', '8000', 'v1', 'outbound', 'EDS', 'web.foo'],
  ])
  assert.ok(rows.some((r) => r[0] === 'PassthroughCluster' && r[3] === '-'))
  assert.equal(clusterTable(dump, { fqdn: 'web.foo.svc.cluster.local', subset: 'v1' }).rows.length, 1)
  assert.deepEqual(clusterTable(dump, { port: '5432' }).rows.map((r) => r[5]), [''])
})

test('listeners: address, what a chain matches, where it leads', () => {
  const { rows } = listenerTable(dump)
  assert.ok(rows.some((r) => r.join('|') === '0.0.0.0|8000|Trans: raw_buffer; App: http/1.1,h2c|Route: 8000'), JSON.stringify(rows))
  assert.ok(rows.some((r) => r.join('|') === '10.96.0.2|5432|ALL|Cluster: outbound|5432||db.foo.svc.cluster.local'))
  assert.ok(rows.some((r) => r[1] === '15006' && r[2]?.startsWith('Trans: tls; App: istio')))
  assert.ok(listenerTable(dump, { port: '8000' }).rows.every((r) => r[1] === '8000'))
})

test('routes: in their order, with the VirtualService that made each', () => {
  const own = routeTable(dump, { name: '8000' }).rows.filter((r) => r[1]?.startsWith('web.foo'))
  assert.deepEqual(own.map((r) => [r[3], r[4]]), [['/one if x-a', 'web.foo'], ['/*', 'web.foo']])
})

test('endpoints and secrets as the sidecar’s own pages tell them', () => {
  const clusters = { clusters: [{ name: 'outbound|80||a', hosts: [{ address: '10.0.0.2:80', healthy: false, ejected: true, transportSocket: 'tls' }, { address: '10.0.0.1:80', healthy: true, ejected: false, transportSocket: 'raw_buffer' }] }] }
  assert.deepEqual(endpointTable(clusters).rows, [['10.0.0.1:80', 'HEALTHY', 'OK', 'raw_buffer', 'outbound|80||a'], ['10.0.0.2:80', 'UNHEALTHY', 'FAILED', 'tls', 'outbound|80||a']])
  const certs = { certificates: [{ name: 'default', kind: 'certificate', certificates: [{ subjectAltName: 'URI:spiffe://t/ns/a/sa/b', serialNumber: 'AB', validFrom: 'Nov 25 10:00:00 2026 GMT', expirationTime: 'Nov 26 10:00:00 2026 GMT', secondsLeft: -1 }] }] }
  assert.deepEqual(secretTable(certs).rows, [['default', 'Cert Chain', 'ACTIVE', 'false', 'ab', '2026-11-26T10:00:00Z', '2026-11-25T10:00:00Z', 'spiffe://t/ns/a/sa/b']])
})

test('what is no dump gives empty tables', () => {
  for (const odd of [undefined, null, [], {}, { configs: [1, { type: 'x.Cluster' }] }, { clusters: {} }]) for (const table of [listenerTable, routeTable, endpointTable, secretTable]) assert.deepEqual(table(odd).rows, [])
})
