import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeObjects, parseYaml } from '#sources'
import { buildMesh } from './build.ts'
import { endpointsOf } from './endpoints.ts'
import { hostCovers, hostsOverlap, mostSpecific, resolveHost } from './hosts.ts'
import { declaredProtocol, portProtocol } from './protocol.ts'
import type { Mesh } from './types.ts'
import { isVisible } from './visibility.ts'

function objectsOf(documents: readonly string[]) {
  const { objects, problems } = decodeObjects(parseYaml(documents.join('\n---\n'), 'm.yaml').documents)
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  return objects
}
const mesh = (...documents: string[]): Mesh => buildMesh(objectsOf(documents))
const pod = (name: string, ip: string, more = '', labels = 'app: db', spec = ''): string => `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: foo, labels: {${labels}}${more}}, spec: {${spec}containers: [{name: a, ports: [{name: main, containerPort: 5432}]}]}, status: {podIP: ${ip}, phase: Running}}`
const service = (inside: string, name = 'db'): string => `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: foo}, spec: {${inside}}}`
const entry = (inside: string): string => `{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: ext, namespace: foo}, spec: {${inside}}}`
const places = (m: Mesh, host: string, port = 0): string[] => {
  const found = m.servicesByHost.get(host)?.[0]
  assert.ok(found !== undefined, host)
  return endpointsOf(m, found, found.ports[port] as never).map((e) => `${e.address}:${e.port}`)
}
const db = 'db.foo.svc.cluster.local'

test('hosts: short names, wildcards, the most specific', () => {
  assert.deepEqual(['db', 'db.foo', '*', '10.0.0.1', '*.foo', '::1'].map((h) => resolveHost(h, 'foo', 'cluster.local')), [db, 'db.foo', '*', '10.0.0.1', '*.foo', '::1'])
  const covers: readonly (readonly [string, string, boolean])[] = [['*', 'a.b', true], ['*.b', 'a.b', true], ['*.b', 'b', false], ['*.b', '.b', false], ['*.b', '*.a.b', true], ['*.a.b', '*.b', false], ['a.b', 'a.b', true], ['a.b', '*.b', false]]
  for (const [pattern, host, yes] of covers) assert.equal(hostCovers(pattern, host), yes, `${pattern} ${host}`)
  assert.ok(hostsOverlap('a.b', '*.b'))
  assert.deepEqual([mostSpecific('a.b.c', ['*', '*.c', '*.b.c']), mostSpecific('a.b.c', ['*.b.c', 'a.b.c']), mostSpecific('a', ['*.b'])], ['*.b.c', 'a.b.c', undefined])
})

test('exportTo: everyone unless said otherwise', () => {
  const rows: readonly (readonly [readonly string[], readonly string[], boolean, boolean])[] = [[[], [], true, true], [[], ['.'], true, false], [['.'], [], true, false], [['*'], ['.'], true, true], [['bar'], [], false, true], [['~'], [], false, false]]
  for (const [to, fallback, own, other] of rows) assert.deepEqual([isVisible(to, 'foo', 'foo', fallback), isVisible(to, 'foo', 'bar', fallback)], [own, other], `${to.join()} ${fallback.join()}`)
})

test('a port’s protocol: appProtocol, then the name’s prefix, then who is known to speak first', () => {
  const rows: readonly (readonly [string, string | undefined, number, string])[] = [
    ['http', undefined, 80, 'http'], ['http-web', undefined, 80, 'http'], ['HTTP-web', undefined, 80, 'http'], ['http2-x', undefined, 80, 'http2'], ['grpc', undefined, 80, 'grpc'], ['grpc-web-x', undefined, 80, 'grpc'], ['https', undefined, 443, 'tls'], ['tls-x', undefined, 443, 'tls'],
    ['tcp-x', undefined, 80, 'tcp'], ['mysql', undefined, 80, 'tcp'], ['web', undefined, 80, 'auto'], ['', undefined, 80, 'auto'], ['httpweb', undefined, 80, 'auto'], ['web', undefined, 3306, 'tcp'], ['http', undefined, 3306, 'http'],
    ['http', 'tcp', 80, 'tcp'], ['tcp', 'kubernetes.io/h2c', 80, 'http2'], ['tcp', 'kubernetes.io/ws', 80, 'http'], ['tcp', 'kubernetes.io/wss', 80, 'tls'],
    ['http', 'example.com/own', 80, 'auto'], ['http', 'example.com/own', 3306, 'tcp'], ['tcp', 'http-web', 80, 'http'], ['tcp', 'gRPC-Web-x', 80, 'grpc'], ['hbone', undefined, 80, 'auto'], ['http_proxy', undefined, 80, 'http'],
  ]
  for (const [name, appProtocol, port, expected] of rows) assert.equal(portProtocol({ name, appProtocol, port }), expected, `${name} ${appProtocol ?? ''} ${port}`)
  assert.equal(portProtocol({ name: 'http', protocol: 'UDP', port: 80 }), 'udp')
  assert.deepEqual(['HTTP', 'HTTPS', 'TLS', 'GRPC', 'TCP', undefined, 'odd'].map(declaredProtocol), ['http', 'tls', 'tls', 'grpc', 'tcp', 'auto', 'auto'])
})

test('endpoints of a Service: by selector, by a port’s name, ready or not, by slices', () => {
  const two = [pod('a', '10.1.0.1'), pod('b', '10.1.0.2'), pod('other', '10.1.0.3', '', 'app: web')]
  assert.deepEqual(places(mesh(...two, service('selector: {app: db}, ports: [{port: 1, targetPort: 5432}]')), db), ['10.1.0.1:5432', '10.1.0.2:5432'])
  assert.deepEqual(places(mesh(...two, service('selector: {app: db}, ports: [{port: 1}]')), db), ['10.1.0.1:1', '10.1.0.2:1'])
  assert.deepEqual(places(mesh(...two, service('selector: {app: db}, ports: [{port: 1, targetPort: main}]')), db), ['10.1.0.1:5432', '10.1.0.2:5432'])
  assert.deepEqual(places(mesh(...two, service('selector: {app: db}, ports: [{port: 1, targetPort: nobody}]')), db), [])
  const slice = '{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, namespace: foo, labels: {kubernetes.io/service-name: db}}, addressType: IPv4, ports: [{name: x, port: 99}], endpoints: [{addresses: [192.0.2.1]}, {addresses: [10.1.0.3]}]}'
  const sliced = mesh(...two, service('ports: [{name: x, port: 1}]'), slice)
  assert.deepEqual(places(sliced, db), ['10.1.0.3:99', '192.0.2.1:99'])
  const found = sliced.servicesByHost.get(db)?.[0] as never
  assert.deepEqual(endpointsOf(sliced, found, (found as { ports: never[] }).ports[0] as never).map((e) => e.workload?.name), ['other', undefined])
  const late = pod('late', '10.1.0.4').replace('phase: Running', 'phase: Running, conditions: [{type: Ready, status: "False"}]')
  for (const [more, ready] of [['', false], ['publishNotReadyAddresses: true, ', true]] as const) {
    const m = mesh(late, service(`${more}selector: {app: db}, ports: [{port: 1}]`))
    const own = m.servicesByHost.get(db)?.[0] as never
    assert.deepEqual(endpointsOf(m, own, (own as { ports: never[] }).ports[0] as never).map((e) => e.ready), [ready], more)
  }
})

test('Service kinds: virtual addresses, headless, ExternalName, two families', () => {
  const m = mesh(service('selector: {app: db}, ports: [{port: 1}]'), service('clusterIP: None, selector: {app: db}, ports: [{port: 1}]', 'peers'), service('type: ExternalName, externalName: db.example.com, ports: [{port: 1}]', 'far'), service('clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1, "fd00::1"], ports: [{port: 1}]', 'dual'))
  const of = (name: string) => m.servicesByHost.get(`${name}.foo.svc.cluster.local`)?.[0]
  assert.match(of('db')?.addresses[0] ?? '', /^10\.96\.\d+\.\d+$/)
  assert.deepEqual([of('peers')?.headless, of('peers')?.addresses, of('peers')?.resolution], [true, [], 'none'])
  assert.deepEqual([of('far')?.externalName, of('far')?.meshExternal, of('far')?.resolution], ['db.example.com', true, 'dns'])
  assert.deepEqual(of('dual')?.addresses, ['10.96.1.1', 'fd00::1'])
})

test('ServiceEntry and WorkloadEntry: where their endpoints are, and whether they take mutual TLS', () => {
  const ports = 'ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]'
  assert.deepEqual(places(mesh(entry(`hosts: [a.example.com], resolution: DNS, ${ports}`)), 'a.example.com'), ['a.example.com:8080'])
  assert.deepEqual(places(mesh(entry(`hosts: [a.example.com], resolution: STATIC, ${ports}, endpoints: [{address: 192.0.2.2}, {address: 192.0.2.1, ports: {http: 81}}]`)), 'a.example.com'), ['192.0.2.1:81', '192.0.2.2:8080'])
  assert.deepEqual(places(mesh(entry('hosts: ["*.example.com"], ports: [{number: 80, name: http, protocol: HTTP}]')), '*.example.com'), [])
  // An account without a label means a sidecar.
  const vm = (name: string, mode: string, account = 'vm'): string => `{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: ${name}, namespace: foo}, spec: {address: 192.0.2.${name.length}, ${account === '' ? '' : `serviceAccount: ${account}, `} labels: {app: db${mode}}}}`
  const m = mesh(pod('a', '10.1.0.1'), vm('a', ''), vm('ab', ', security.istio.io/tlsMode: istio'), vm('abc', ', security.istio.io/tlsMode: disabled'), vm('abcd', '', ''), entry(`hosts: [vm.example.com], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: db}}, ${ports}`))
  const found = m.servicesByHost.get('vm.example.com')?.[0] as never
  assert.deepEqual(endpointsOf(m, found, (found as { ports: never[] }).ports[0] as never).map((e) => [e.address, e.takesMtls, e.identity]), [
    ['10.1.0.1', false, 'spiffe://cluster.local/ns/foo/sa/default'], ['192.0.2.1', true, 'spiffe://cluster.local/ns/foo/sa/vm'], ['192.0.2.2', true, 'spiffe://cluster.local/ns/foo/sa/vm'], ['192.0.2.3', false, 'spiffe://cluster.local/ns/foo/sa/vm'], ['192.0.2.4', false, undefined],
  ])
})

test('machines behind a Service: a port that it calls by name is one that they have', () => {
  const vm = (n: number, more: string): string => `{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: vm${n}, namespace: foo}, spec: {address: 192.0.2.${n}, labels: {app: db}, ${more}}}`
  const service = (target: string): string => `{apiVersion: v1, kind: Service, metadata: {name: db, namespace: foo}, spec: {selector: {app: db}, ports: [{name: tcp, port: 5432, targetPort: ${target}}]}}`
  const machines = [vm(1, 'weight: 1'), vm(2, 'ports: {tcp: 5433, pg: 5434}')]
  assert.deepEqual(places(mesh(service('6000'), ...machines), 'db.foo.svc.cluster.local'), ['192.0.2.1:6000', '192.0.2.2:5433'])
  assert.deepEqual(places(mesh(service('pg'), ...machines), 'db.foo.svc.cluster.local'), ['192.0.2.2:5434'])
})

test('an entry of a Service’s host and namespace adds its endpoints at the ports that both have', () => {
  const service = '{apiVersion: v1, kind: Service, metadata: {name: db, namespace: foo}, spec: {selector: {app: db}, ports: [{name: tcp, port: 80, targetPort: 81}]}}'
  const own = (number: number, more = ''): string => entry(`hosts: [db.foo.svc.cluster.local], ports: [{number: ${number}, name: other, protocol: TCP}], ${more === '' ? 'resolution: STATIC, endpoints: [{address: 192.0.2.9}]' : more}`)
  const of = (...more: string[]): readonly string[] => {
    const m = mesh(pod('a', '10.1.0.1'), service, ...more)
    const found = (m.servicesByHost.get('db.foo.svc.cluster.local') ?? []).find((s) => s.origin === 'kubernetes') as never
    return endpointsOf(m, found, (found as { ports: never[] }).ports[0] as never).map((e) => `${e.address}:${e.port}`)
  }
  assert.deepEqual(of(), ['10.1.0.1:81'])
  assert.deepEqual(of(own(80)), ['10.1.0.1:81', '192.0.2.9:80'])
  assert.deepEqual(of(own(82)), ['10.1.0.1:81'])
  assert.deepEqual(of(own(80).replace('namespace: foo', 'namespace: bar')), ['10.1.0.1:81'])
  assert.deepEqual(of(own(80, 'resolution: DNS, endpoints: [{address: db.example.com}]')), ['10.1.0.1:81'])
})

test('workloads: pods before the templates that own them, names of the owners, the label decides about mTLS', () => {
  const owned = (kind: string, name: string): string => `, ownerReferences: [{apiVersion: v1, kind: ${kind}, name: ${name}, uid: u, controller: true}]`
  const m = mesh(
    '{apiVersion: apps/v1, kind: Deployment, metadata: {name: db, namespace: foo}, spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: a}]}}}}',
    pod('db-5f-x', '10.1.0.1', owned('ReplicaSet', 'db-5f'), 'app: db, pod-template-hash: 5f, security.istio.io/tlsMode: istio'), pod('set-0', '10.1.0.2', owned('StatefulSet', 'set')), pod('run-28000000-x', '10.1.0.3', owned('Job', 'run-28000000')), pod('bare', '10.1.0.4'),
    '{apiVersion: apps/v1, kind: Deployment, metadata: {name: none, namespace: foo}, spec: {replicas: 0, template: {metadata: {labels: {app: none}}, spec: {containers: [{name: a}]}}}}',
    pod('over', '10.1.0.9').replace('Running', 'Succeeded'),
  )
  assert.deepEqual(m.workloads.map((w) => [w.pod, w.name, w.addresses.length, w.takesMtls]), [['bare', 'bare', 1, false], ['db-5f-x', 'db', 1, true], ['none', 'none', 0, false], ['run-28000000-x', 'run', 1, false], ['set-0', 'set', 1, false]])
  assert.equal(m.workloadByAddress.get('10.1.0.2')?.hostname, 'set-0')
})

test('the order of the objects changes nothing', () => {
  const objects = objectsOf([
    ...['a', 'b', 'c', 'd'].map((n) => service('selector: {app: db}, ports: [{port: 1}]', n)), ...['x', 'y'].map((n) => pod(n, n === 'x' ? '10.1.0.1' : '10.1.0.2')),
    ...['m', 'n'].map((n) => `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ${n}, namespace: foo}, spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: a}]}}}}`),
    entry('hosts: [a.foo.svc.cluster.local, b.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]'),
    ...['2020', '2021', ''].map((y, i) => `{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: p${i}, namespace: foo${y === '' ? '' : `, creationTimestamp: "${y}-01-01T00:00:00Z"`}}, spec: {mtls: {mode: STRICT}}}`),
  ])
  const told = (m: Mesh): string => JSON.stringify({ ...m, workloadByAddress: [...m.workloadByAddress.keys()].sort(), servicesByHost: [...m.servicesByHost], namespaces: [...m.namespaces], endpoints: m.services.map((s) => s.ports.map((p) => endpointsOf(m, s, p).map((e) => `${e.address}:${e.port}`))) })
  const expected = told(buildMesh(objects))
  fc.assert(fc.property(fc.shuffledSubarray([...objects], { minLength: objects.length }), (shuffled) => assert.equal(told(buildMesh(shuffled)), expected)), { numRuns: 100 })
})
