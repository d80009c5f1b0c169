import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeObjects, parseYaml } from '#sources'
import { buildMesh } from './build.ts'
import { endpointsOf } from './endpoints.ts'
import type { Mesh, MeshEndpoint } from './types.ts'

const meshOf = (...documents: string[]): Mesh => buildMesh(decodeObjects(parseYaml(documents.join('\n---\n'), 'm.yaml').documents).objects)
const pod = (name: string, ip: string, more = '', meta = ''): string => `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: foo, labels: {app: db, name: ${name}}${meta}}, spec: {serviceAccountName: ${name}, containers: [{name: a, ports: [{name: main, containerPort: 5432}]}]${more}}, status: {phase: Running, podIP: ${ip}, conditions: [{type: Ready, status: "True"}]}}`
const service = (more = ''): string => `{apiVersion: v1, kind: Service, metadata: {name: db, namespace: foo}, spec: {clusterIP: 10.96.0.7, selector: {app: db}, ports: [{name: sql, port: 80, targetPort: main}]${more}}}`
const slice = (name: string, endpoints: string, more = 'addressType: IPv4', ports = '[{name: sql, port: 5432}]'): string => `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ${name}, namespace: foo, labels: {kubernetes.io/service-name: db}}, ${more}, ports: ${ports}, endpoints: [${endpoints}]}`
function endpoints(mesh: Mesh): readonly MeshEndpoint[] {
  const found = mesh.servicesByHost.get('db.foo.svc.cluster.local')?.[0]
  assert.ok(found !== undefined)
  return endpointsOf(mesh, found, found.ports[0] as never)
}
const shown = (mesh: Mesh): string[] => endpoints(mesh).map((e) => `${e.address}:${e.port}${e.ready ? '' : ' not ready'}`)

test('the conditions of a slice decide who is ready', () => {
  const rows: readonly (readonly [string, boolean, boolean])[] = [
    ['{ready: true}', true, true], ['{ready: false}', false, true], ['{}', true, true], ['{ready: true, serving: true, terminating: false}', true, true],
    // On its way out: it serves what it has, nothing new goes there.
    ['{ready: false, serving: true, terminating: true}', false, true], ['{ready: false, serving: false, terminating: true}', false, true],
  ]
  for (const [conditions, ready, published] of rows) {
    const one = slice('s', `{addresses: [10.0.0.1], conditions: ${conditions}}`)
    assert.equal(endpoints(meshOf(service(), one))[0]?.ready, ready, conditions)
    assert.equal(endpoints(meshOf(service(', publishNotReadyAddresses: true'), one))[0]?.ready, published, conditions)
  }
  assert.equal(endpoints(meshOf(service(), slice('s', '{addresses: [10.0.0.1]}')))[0]?.ready, true)
})

test('slices say who answers, not the selector; without any the selector does', () => {
  const pods = [pod('a', '10.0.0.1'), pod('b', '10.0.0.2')]
  assert.deepEqual(shown(meshOf(service(), ...pods)), ['10.0.0.1:5432', '10.0.0.2:5432'])
  assert.deepEqual(shown(meshOf(service(), ...pods, slice('s', '{addresses: [10.0.0.2]}'))), ['10.0.0.2:5432'])
  assert.deepEqual(shown(meshOf(service(), ...pods, slice('s', ''))), [])
  assert.deepEqual(shown(meshOf(service(), slice('s', '{addresses: [10.0.0.1]}', 'addressType: IPv4', '[{name: other, port: 1}]'))), [])
  // A slice that is being replaced by another: ready in one is ready.
  assert.deepEqual(shown(meshOf(service(), slice('s', '{addresses: [10.0.0.1], conditions: {ready: false}}'), slice('t', '{addresses: [10.0.0.1]}'))), ['10.0.0.1:5432'])
  assert.deepEqual(shown(meshOf(service(), slice('s', '{addresses: ["fd00::1"]}', 'addressType: IPv6'), slice('t', '{addresses: [10.0.0.1]}'))), ['10.0.0.1:5432'])
  assert.deepEqual(shown(meshOf(service(), slice('s', '{addresses: ["fd00::1"]}', 'addressType: IPv6'))), ['fd00::1:5432'])
})

test('of pods that share a node’s address, the slice names the one', () => {
  const host = ', hostNetwork: true'
  const target = (name: string): string => `{addresses: [10.9.9.9], targetRef: {kind: Pod, name: ${name}, namespace: foo}}`
  for (const name of ['a', 'b']) assert.equal(endpoints(meshOf(service(), pod('a', '10.9.9.9', host), pod('b', '10.9.9.9', host), slice('s', target(name))))[0]?.serviceAccount, name)
  assert.equal(endpoints(meshOf(service(), slice('s', target('unknown'))))[0]?.workload, undefined)
})

test('what a cluster has admitted is as it says: no address by guess, no sidecar by guess, not ready while it ends', () => {
  const injected = '{apiVersion: v1, kind: Namespace, metadata: {name: foo, labels: {istio-injection: enabled}}}'
  const [pending] = meshOf(injected, '{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: foo}, spec: {containers: [{name: a}]}, status: {phase: Pending}}').workloads
  assert.deepEqual([pending?.addresses, pending?.sidecar.value, pending?.sidecar.because[0]?.rule], [[], false, 'sidecar.absent'])
  const [written] = meshOf(injected, '{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: foo}, spec: {containers: [{name: a}]}}').workloads
  assert.deepEqual([written?.addresses.length, written?.sidecar.value], [1, true])
  const [ending] = meshOf(pod('a', '10.0.0.1', '', ', deletionTimestamp: "2026-01-01T00:00:00Z"')).workloads
  assert.equal(ending?.ready, false)
})
