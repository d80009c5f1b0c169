// Which objects of one namespace change what clients of others send to a third namespace's hosts: each is named, and with compat.foreignHosts: refuse none has a say.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { buildMesh, foreignHosts, foreignHostProblem, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { planProxy } from './plan.ts'
import type { ProxyPlan } from './types.ts'

const base = [
  ...['foo', 'bar', 'legacy'].map((n) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${n}, labels: {istio-injection: enabled}}}`),
  ...['foo', 'bar', 'legacy'].map((n) => `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: ${n}}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, ports: [{containerPort: 80}]}]}}}}`),
  '{apiVersion: v1, kind: Service, metadata: {name: web, namespace: bar}, spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{name: http, port: 80}, {name: http-more, port: 8000, targetPort: 80}, {name: tcp, port: 9000, targetPort: 80}]}}',
  '{apiVersion: v1, kind: Service, metadata: {name: set, namespace: bar}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80}]}}',
  '{apiVersion: v1, kind: Service, metadata: {name: web, namespace: legacy}, spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{name: http, port: 80}]}}',
  '{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: api, namespace: bar, creationTimestamp: "2020-01-01T00:00:00Z"}, spec: {hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}}',
  '{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: part, namespace: legacy}, spec: {http: [{directResponse: {status: 418}}]}}',
].join('\n---\n')

interface Claim {
  readonly kind: 'http' | 'tcp' | 'delegate' | 'entry' | 'rule'
  readonly host: string
  readonly address?: string
  readonly exportTo?: string
  readonly namespace?: string
}

function written({ kind, host, address, exportTo, namespace = 'legacy' }: Claim): string {
  const to = exportTo === undefined ? '' : `, exportTo: ${exportTo}`
  const object = (name: string, spec: string): string => `{apiVersion: networking.istio.io/v1, kind: ${name}, metadata: {name: evil, namespace: ${namespace}, creationTimestamp: "2021-01-01T00:00:00Z"}, spec: {${spec}${to}}}`
  switch (kind) {
    case 'http':
      return object('VirtualService', `hosts: ["${host}"], http: [{route: [{destination: {host: web.legacy.svc.cluster.local, port: {number: 80}}}]}]`)
    case 'delegate':
      return object('VirtualService', `hosts: ["${host}"], http: [{delegate: {name: part, namespace: legacy}}]`)
    case 'tcp':
      return object('VirtualService', `hosts: ["${host}"], tcp: [{route: [{destination: {host: web.legacy.svc.cluster.local, port: {number: 80}}}]}]`)
    case 'rule':
      return object('DestinationRule', `host: "${host}", trafficPolicy: {tls: {mode: DISABLE}}`)
    case 'entry':
      return object('ServiceEntry', `hosts: ["${host}"], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}, {number: 9000, name: tcp, protocol: TCP}], endpoints: [{address: 203.0.113.1}]${address === undefined ? '' : `, addresses: ["${address}"]`}`)
  }
}

function meshOf(claim: Claim | undefined, compat: 'warn' | 'refuse' = 'warn'): Mesh {
  const { objects, problems } = decodeObjects(parseYaml(claim === undefined ? base : `${base}\n---\n${written(claim)}`, 'f.yaml').documents)
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  return buildMesh(objects, { meshConfig: { compat: { foreignHosts: compat } } })
}

const plan = (mesh: Mesh): ProxyPlan => planProxy(mesh, mesh.workloads.find((w) => w.id === 'web.foo') as never)
const authorities = ['web.bar.svc.cluster.local', 'web.bar.svc', 'web.bar', '10.96.0.9', 'set.bar.svc.cluster.local', 'set-0.set.bar.svc.cluster.local', 'api.example.com']

/** What foo's client does with calls to bar's hosts. */
function callsToBar({ routeTables, outbound, upstreams }: ProxyPlan): string {
  const covers = (domain: string, authority: string): boolean => domain === authority || (domain.startsWith('*') && authority.endsWith(domain.slice(1)))
  const best = (table: ProxyPlan['routeTables'][number], authority: string): unknown => {
    const found = table.virtualHosts.flatMap((v) => v.domains.filter((d) => covers(d, authority)).map((d) => ({ d, routes: v.routes.map((r) => r.action) })))
    return found.sort((a, b) => Number(b.d === authority) - Number(a.d === authority) || b.d.length - a.d.length)[0]?.routes
  }
  const bars = upstreams.filter((u) => u.host.endsWith('.bar.svc.cluster.local') || u.host === 'api.example.com').map(({ name, tls, ...u }) => ({ name, tls: tls.value, ...u }))
  const tables = [80, 8000].map((port) => routeTables.find((t) => t.name === String(port)))
  const tcp = outbound.filter((l) => JSON.stringify(l).includes('10.96.0.9')).map((l) => l.tcpRoutes.map((r) => r.targets))
  return JSON.stringify([tables.map((t) => (t === undefined ? [] : authorities.map((a) => best(t, a)))), tcp, bars])
}

const untouched = callsToBar(plan(meshOf(undefined)))

test('what changes another namespace’s calls to a third one’s hosts is named, and refused where meshConfig says so', () => {
  const claim = fc.record({
    kind: fc.constantFrom('http', 'tcp', 'delegate', 'entry', 'rule'),
    host: fc.constantFrom(
      ...authorities.filter((a) => a !== '10.96.0.9'), 'WEB.bar.svc.cluster.local', '*.bar.svc.cluster.local', '*.cluster.local', '*.example.com', 'web.legacy.svc.cluster.local', 'free.example.com', 'web'),
    address: fc.constantFrom('10.96.0.9', '10.0.0.0/8', '10.96.0.77', undefined),
    exportTo: fc.constantFrom('["*"]', '["."]', '[foo]', '[legacy]', undefined),
  }, { requiredKeys: ['kind', 'host'] })
  let [changed, kept] = [0, 0]
  fc.assert(fc.property(claim, (drawn) => {
    const one = { ...drawn, ...(drawn.kind === 'rule' && drawn.exportTo === '[legacy]' ? { exportTo: '["."]' } : {}) } as Claim
    const open = meshOf(one)
    if (callsToBar(plan(open)) !== untouched) {
      changed++
      assert.notDeepEqual(foreignHosts(open), [], 'it changes calls and is not named')
    } else kept++
    assert.equal(callsToBar(plan(meshOf(one, 'refuse'))), untouched, 'refused, and it changes calls')
  }), { numRuns: 300 })
  assert.ok(changed > 30 && kept > 30, `${changed} changed, ${kept} kept`)
})

const told = (claim: Claim, compat: 'warn' | 'refuse' = 'warn'): string[] => {
  const mesh = meshOf(claim, compat)
  return foreignHosts(mesh).map((f) => foreignHostProblem(f, mesh.options)).map((p) => `${p.severity} ${p.ref.path} ${p.message.split(':')[0]}`)
}

const cases: readonly (readonly [string, Claim, readonly string[]])[] = [
  ['another’s Service', { kind: 'http', host: 'web.bar.svc.cluster.local' }, ['warning spec.hosts[0] web.bar.svc.cluster.local belongs to namespace bar (Service bar/web)']],
  ['by a short name', { kind: 'http', host: 'web.bar' }, ['warning spec.hosts[0] web.bar belongs to namespace bar (Service bar/web)']],
  ['by its address', { kind: 'http', host: '10.96.0.9' }, ['warning spec.hosts[0] 10.96.0.9 belongs to namespace bar (Service bar/web)']],
  ['a name that no Service has yet', { kind: 'http', host: 'new.bar.svc.cluster.local' }, ['warning spec.hosts[0] new.bar.svc.cluster.local belongs to namespace bar']],
  ['tcp rules', { kind: 'tcp', host: 'web.bar.svc.cluster.local' }, ['warning spec.hosts[0] web.bar.svc.cluster.local belongs to namespace bar (Service bar/web)']],
  ['a wildcard over it', { kind: 'http', host: '*.bar.svc.cluster.local' }, ['warning spec.hosts[0] *.bar.svc.cluster.local belongs to namespace bar (Service bar/set)']],
  ['an external host of another’s', { kind: 'http', host: 'api.example.com' }, ['warning spec.hosts[0] api.example.com belongs to namespace bar (ServiceEntry bar/api)']],
  ['an entry for a Service', { kind: 'entry', host: 'web.bar.svc.cluster.local' }, ['warning spec.hosts[0] web.bar.svc.cluster.local belongs to namespace bar (Service bar/web)']],
  ['an entry at its address', { kind: 'entry', host: 'free.example.com', address: '10.96.0.9' }, ['warning spec.addresses[0] 10.96.0.9 belongs to namespace bar (Service bar/web)']],
  ['an entry that comes before the older one', { kind: 'entry', host: 'api.example.com', exportTo: '[foo]' }, ['warning spec.hosts[0] api.example.com belongs to namespace bar (ServiceEntry bar/api)']],
  ['an entry that comes after the older one', { kind: 'entry', host: 'api.example.com' }, []],
  ['for its own clients alone', { kind: 'http', host: 'web.bar.svc.cluster.local', exportTo: '["."]' }, []],
  ['its own host', { kind: 'http', host: 'web.legacy.svc.cluster.local' }, []],
  ['the owner’s', { kind: 'http', host: 'web.bar.svc.cluster.local', namespace: 'bar' }, []],
  ['the root namespace’s', { kind: 'http', host: 'web.bar.svc.cluster.local', namespace: 'istio-system' }, []],
  ['a DestinationRule counts for its own clients alone', { kind: 'rule', host: 'web.bar.svc.cluster.local' }, []],
]

test('which claims are named, and with which owner', () => {
  for (const [what, claim, expected] of cases) assert.deepEqual(told(claim), expected, what)
  assert.deepEqual(told({ kind: 'http', host: 'web.bar' }, 'refuse'), ['error spec.hosts[0] web.bar belongs to namespace bar (Service bar/web)'])
})
