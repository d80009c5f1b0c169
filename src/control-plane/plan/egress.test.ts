import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { planProxy } from './plan.ts'
import type { ProxyPlan } from './types.ts'

const namespaces = ['foo', 'bar', 'third']
const base = [
  ...namespaces.map((n) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${n}, labels: {istio-injection: enabled}}}`),
  '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: foo}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a}]}}}}',
  ...namespaces.flatMap((n) => ['a', 'b'].map((name) => `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: ${n}}, spec: {selector: {app: ${name}}, ports: [{name: http, port: 80}, {name: tcp, port: 9000}]}}`)),
]
function plan(egress: string, more: readonly string[] = []): ProxyPlan {
  const sidecar = `{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: foo}, spec: {egress: [${egress}]}}`
  const { objects, problems } = decodeObjects(parseYaml([...base, sidecar, ...more].join('\n---\n'), 'e.yaml').documents)
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  const mesh = buildMesh(objects)
  return planProxy(mesh, mesh.workloads.find((w) => w.id === 'web.foo') as never)
}
const short = (host: string): string => host.replace('.svc.cluster.local', '')
/** `a.foo 80 9000` */
const clusters = (p: ProxyPlan): string => {
  const ports = new Map<string, number[]>()
  for (const u of p.upstreams) ports.set(short(u.host), [...(ports.get(short(u.host)) ?? []), u.port])
  return [...ports].map(([host, own]) => `${host} ${own.sort((a, b) => a - b).join(' ')}`).sort().join(', ')
}
/** `80: a.foo b.foo` */
const tables = (p: ProxyPlan): string => p.routeTables.map((t) => `${t.name}: ${t.virtualHosts.filter((v) => v.name !== 'allow_any').map((v) => short(v.name.replace(/:\d+$/, ''))).join(' ')}`).join(', ')

const cases: readonly (readonly [string, string, string, string])[] = [
  ['a namespace', '{hosts: [./*]}', 'a.foo 80 9000, b.foo 80 9000', '80: a.foo b.foo'],
  ['all but a namespace', '{hosts: ["*/*", "~bar/*"]}', 'a.foo 80 9000, a.third 80 9000, b.foo 80 9000, b.third 80 9000', '80: a.foo a.third b.foo b.third'],
  ['all but a host, of one namespace or of any', '{hosts: ["foo/*", "bar/*", "~foo/a.foo.svc.cluster.local", "~*/b.bar.svc.cluster.local"]}', 'a.bar 80 9000, b.foo 80 9000', '80: a.bar b.foo'],
  ['nothing', '{hosts: ["~/*"]}', '', ''],
  ['a port has its own hosts, and no other adds to it', '{port: {number: 80, name: h, protocol: HTTP}, hosts: [bar/*]}, {hosts: [./*]}', 'a.bar 80, a.foo 80 9000, b.bar 80, b.foo 80 9000', '80: a.bar b.bar'],
]

test('each egress listener takes in what its hosts name, for its port alone', () => {
  for (const [what, egress, expected, routes] of cases) {
    const p = plan(egress)
    assert.equal(clusters(p), expected, what)
    assert.equal(tables(p), routes, what)
  }
})

test('a port speaks what the egress listener says, whatever the services declare', () => {
  const kinds = (number: number, protocol: string): string => plan(`{port: {number: ${number}, name: p, protocol: ${protocol}}, hosts: [./a.foo.svc.cluster.local]}`).outbound.map((l) => `${l.port} ${l.protocol}`).join()
  assert.equal(kinds(9000, 'HTTP'), '9000 http')
  assert.equal(kinds(80, 'TCP'), '80 tcp')
})

test('where a VirtualService leads is reached, though no host names it; by its own name it is not', () => {
  const virtual = (to: string, more = ''): string => `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [a.foo.svc.cluster.local], http: [{${more}route: [{destination: {host: ${to}}}]}]}}`
  const p = plan('{hosts: [./a.foo.svc.cluster.local]}', [virtual('b.bar.svc.cluster.local')])
  assert.equal(clusters(p), 'a.foo 80 9000, b.bar 80 9000')
  assert.equal(tables(p), '80: a.foo')
  assert.equal(clusters(plan('{hosts: [./a.foo.svc.cluster.local]}', [virtual('b.bar.svc.cluster.local, port: {number: 80}')])), 'a.foo 80 9000, b.bar 80')
  assert.equal(clusters(plan('{hosts: [./a.foo.svc.cluster.local]}', [virtual('b.bar.svc.cluster.local', 'match: [{sourceNamespace: third}], ')])), 'a.foo 80 9000')
})

test('two entries of one host add up their ports; a Service of Kubernetes stands alone; of several namespaces the caller’s own', () => {
  const entry = (name: string, host: string, port: number, address: string, namespace = 'foo'): string => `{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "2020-01-01T00:00:00Z"}, spec: {hosts: [${host}], resolution: STATIC, ports: [{number: ${port}, name: p${port}, protocol: TCP}], endpoints: [{address: ${address}}]}}`
  assert.equal(clusters(plan('{hosts: [./db.internal]}', [entry('x', 'db.internal', 1, '192.0.2.1'), entry('z', 'db.internal', 2, '192.0.2.2')])), 'db.internal 1 2')
  assert.equal(clusters(plan('{hosts: [./a.foo.svc.cluster.local]}', [entry('x', 'a.foo.svc.cluster.local', 1, '192.0.2.1')])), 'a.foo 80 9000')
  assert.equal(clusters(plan('{hosts: ["*/db.internal"]}', [entry('x', 'db.internal', 1, '192.0.2.1', 'bar'), entry('z', 'db.internal', 2, '192.0.2.2')])), 'db.internal 2')
})

test('another name for a service is one of its names, whoever may see it and whatever its own port says; one for something outside has nothing', () => {
  const alias = (name: string, to: string, more = ''): string => `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: third${more}}, spec: {type: ExternalName, externalName: ${to}, ports: [{name: x, port: 80}]}}`
  const objects = [alias('short', 'a.foo.svc.cluster.local', ', annotations: {networking.istio.io/exportTo: "."}'), alias('chain', 'short.third.svc.cluster.local'), alias('out', 'www.example.com'), alias('loop', 'loop.third.svc.cluster.local')]
  const domains = (egress: string): string => plan(egress, objects).routeTables[0]?.virtualHosts.map((v) => v.domains.filter((d) => d.split('.').length === 2).join(' ')).filter((d) => d !== '').join(', ') ?? ''
  assert.equal(domains('{hosts: ["*/*"]}'), 'a.bar, a.foo chain.third short.third, a.third, b.bar, b.foo, b.third')
  assert.equal(domains('{hosts: [./a.foo.svc.cluster.local]}'), 'a.foo')
  assert.equal(clusters(plan('{hosts: [third/*]}', objects)), 'a.third 80 9000, b.third 80 9000')
})

test('pods by their address: those of namespaces that are taken in whole, and not left out', () => {
  const pod = '{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: bar, labels: {app: p}}, spec: {containers: [{name: a}, {name: istio-proxy}]}, status: {phase: Running, podIP: 10.1.0.1}}'
  const reached = (egress: string): readonly string[] => plan(egress, [pod]).passthrough.map((p) => p.address)
  assert.deepEqual(reached('{hosts: ["*/*"]}').includes('10.1.0.1'), true)
  assert.deepEqual(reached('{hosts: [bar/*]}'), ['10.1.0.1'])
  assert.deepEqual(reached('{hosts: ["*/*", "~bar/*"]}').includes('10.1.0.1'), false)
  assert.deepEqual(reached('{hosts: [bar/a.bar.svc.cluster.local]}'), [])
})
