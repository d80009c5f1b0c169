import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { planProxy } from './plan.ts'
import type { HttpRoute, ProxyPlan } from './types.ts'

const base = [
  ...['foo', 'bar'].map((n) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${n}, labels: {istio-injection: enabled}}}`),
  ...['foo', 'bar'].map((n) => `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: ${n}}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, ports: [{containerPort: 80}]}]}}}}`),
  '{apiVersion: v1, kind: Service, metadata: {name: web, namespace: bar}, spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 80}, {name: tcp, port: 9000, targetPort: 80}, {name: tls, port: 9443, targetPort: 80}]}}',
  '{apiVersion: v1, kind: Service, metadata: {name: one, namespace: bar}, spec: {selector: {app: web}, ports: [{name: http, port: 8080, targetPort: 80}]}}',
]
const host = 'web.bar.svc.cluster.local'

interface Virtual { readonly name?: string; readonly in?: string; readonly year?: number; readonly hosts?: string; readonly spec: string; readonly exportTo?: string; readonly gateways?: string }
const virtual = (v: Virtual): string =>
  `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: ${v.name ?? 'vs'}, namespace: ${v.in ?? 'foo'}, creationTimestamp: "${v.year ?? 2020}-01-01T00:00:00Z"}, spec: {${v.hosts === '' ? '' : `hosts: [${v.hosts ?? `"${host}"`}], `}${v.spec}${v.exportTo === undefined ? '' : `, exportTo: ${v.exportTo}`}${v.gateways === undefined ? '' : `, gateways: ${v.gateways}`}}}`
function plan(virtuals: readonly Virtual[], reversed = false): ProxyPlan {
  const { objects, problems } = decodeObjects(parseYaml([...base, ...virtuals.map(virtual)].join('\n---\n'), 'v.yaml').documents)
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  const mesh = buildMesh(reversed ? [...objects].reverse() : objects)
  return planProxy(mesh, mesh.workloads.find((w) => w.id === 'web.foo') as never)
}
const routesOf = (p: ProxyPlan, name = host, port = 8000): readonly HttpRoute[] => p.routeTables.find((t) => t.name === String(port))?.virtualHosts.find((h) => h.name === `${name}:${port}`)?.routes ?? []
/** Answers by its own status, so that one sees which rule it is; `to …` where it leads on. */
const told = (routes: readonly HttpRoute[]): string[] => routes.map(({ action: a }) => (a.kind === 'direct' ? String(a.status) : a.kind === 'redirect' ? `redirect ${a.code}` : `to ${a.targets.map((t) => t.upstream).join(' ')}`))
const says = (status: number, match = ''): string => `http: [{${match === '' ? '' : `match: [${match}], `}directResponse: {status: ${status}}}]`
const plain = [`to outbound|8000||${host}`]

const winners: readonly (readonly [string, readonly Virtual[], readonly string[]])[] = [
  ['none: the service itself', [], plain],
  ['the oldest of one host', [{ name: 'a', year: 2022, spec: says(201) }, { name: 'b', spec: says(202) }], ['202']],
  ['of one age, the smaller name', [{ name: 'b', spec: says(201) }, { name: 'a', spec: says(202) }], ['202']],
  ['one that few see before a public one, whatever the age', [{ name: 'a', spec: says(201) }, { name: 'b', year: 2022, spec: says(202), exportTo: '["."]' }], ['202']],
  ['of a namespace’s own that few see, the oldest, however few', [{ name: 'a', spec: says(201) }, { name: 'b', year: 2021, spec: says(202), exportTo: '[foo, bar]' }, { name: 'c', year: 2022, spec: says(203), exportTo: '["."]' }], ['202']],
  ['named before public', [{ name: 'a', spec: says(201) }, { name: 'b', year: 2021, in: 'bar', spec: says(202), exportTo: '[foo]' }], ['202']],
  ['another namespace’s private one', [{ in: 'bar', spec: says(201), exportTo: '["."]' }], plain],
  ['an exact host beats an older wildcard', [{ name: 'w', year: 2010, hosts: '"*.bar.svc.cluster.local"', spec: says(201) }, { name: 'e', spec: says(202) }], ['202']],
  ['the longer wildcard', [{ name: 'w', year: 2010, hosts: '"*.local"', spec: says(201) }, { name: 'x', hosts: '"*.bar.svc.cluster.local"', spec: says(202) }], ['202']],
  ['the oldest of one wildcard', [{ name: 'a', year: 2022, hosts: '"*.bar.svc.cluster.local"', spec: says(201) }, { name: 'b', hosts: '"*.bar.svc.cluster.local"', spec: says(202) }], ['202']],
  ['a host with a dot is not expanded', [{ hosts: 'web.bar', spec: says(201) }], plain],
  ['a short host is of its own namespace', [{ in: 'bar', hosts: 'web', spec: says(201) }], ['201']],
  ['not for the mesh', [{ spec: says(201), gateways: '[gw]' }], plain],
  ['for the mesh among others', [{ spec: says(201), gateways: '[gw, mesh]' }], ['201']],
  ['rules that can’t reach the caller leave the default', [{ spec: says(201, '{sourceLabels: {app: other}}') }], plain],
  ['nor its namespace', [{ spec: says(201, '{sourceNamespace: bar}') }], plain],
  ['nor the port', [{ spec: says(201, '{port: 9000}') }], plain],
  ['a match for the mesh asks nothing of the caller', [{ spec: says(201, '{gateways: [mesh], sourceLabels: {app: other}}') }], ['201']],
  ['tcp rules hide no http', [{ name: 't', spec: `tcp: [{route: [{destination: {host: ${host}, port: {number: 9000}}}]}]` }, { name: 'z', year: 2022, spec: says(201) }], ['201']],
  ['nothing after what matches everything', [{ spec: `http: [{match: [{uri: {exact: /a}}], directResponse: {status: 201}}, {directResponse: {status: 202}}, {match: [{uri: {exact: /b}}], directResponse: {status: 203}}]` }], ['201', '202']],
  ['a prefix of / matches everything', [{ spec: `http: [{match: [{uri: {prefix: /}}], directResponse: {status: 201}}, {directResponse: {status: 202}}]` }], ['201']],
]

test('which VirtualService has a host, and which of its rules this caller gets', () => {
  for (const [what, virtuals, expected] of winners) {
    assert.deepEqual(told(routesOf(plan(virtuals))), expected, what)
    assert.deepEqual(plan(virtuals, true), plan(virtuals), `${what}, the other way round`)
  }
})

test('where a route leads', () => {
  const to = (destinations: string): unknown => {
    const action = routesOf(plan([{ spec: `http: [{route: [${destinations}]}]` }]))[0]?.action
    return action?.kind === 'route' ? action.targets.map((t) => [t.upstream, t.weight]) : action
  }
  assert.deepEqual(to(`{destination: {host: ${host}, port: {number: 9000}, subset: v1}}`), [[`outbound|9000|v1|${host}`, 1]])
  // Without a port: the one that was called, also where the service has another one only.
  assert.deepEqual(to('{destination: {host: one.bar.svc.cluster.local}}'), [['outbound|8000||one.bar.svc.cluster.local', 1]])
  assert.deepEqual(to('{destination: {host: WEB.bar.svc.cluster.local}}'), [['outbound|8000||WEB.bar.svc.cluster.local', 1]])
  assert.deepEqual(to(`{destination: {host: ${host}}}`), [[`outbound|8000||${host}`, 1]])
  // A short destination is of the VirtualService's namespace; one with a dot stays, and nobody knows it.
  assert.deepEqual(to('{destination: {host: web}}'), [['outbound|8000||web.foo.svc.cluster.local', 1]])
  assert.deepEqual(to('{destination: {host: web.bar}}'), [['outbound|8000||web.bar', 1]])
  // Weights of nothing are left out, the others need not make a hundred.
  assert.deepEqual(to(`{destination: {host: ${host}}, weight: 3}, {destination: {host: one.bar.svc.cluster.local}, weight: 0}, {destination: {host: web}, weight: 1}`), [[`outbound|8000||${host}`, 3], ['outbound|8000||web.foo.svc.cluster.local', 1]])
})

const delegate = (root: string, own: string, more: Partial<Virtual> = {}): readonly HttpRoute[] =>
  routesOf(plan([{ spec: `http: [{${root}${root === '' ? '' : ', '}delegate: {name: part, namespace: bar}}]` }, { name: 'part', in: 'bar', hosts: '', spec: `http: [${own}]`, ...more }]))
const answer = (match: string): string => `{match: [${match}], directResponse: {status: 201}}`

const delegates: readonly (readonly [string, string, string, number])[] = [
  ['no match on either side', '', '{directResponse: {status: 201}}', 1],
  ['the root’s match alone', 'match: [{uri: {prefix: /a}}]', '{directResponse: {status: 201}}', 1],
  ['a narrower prefix', 'match: [{uri: {prefix: /a}}]', answer('{uri: {prefix: /a/b}}'), 1],
  ['an exact path below', 'match: [{uri: {prefix: /a}}]', answer('{uri: {exact: /a/b}}'), 1],
  ['a wider prefix', 'match: [{uri: {prefix: /a/b}}]', answer('{uri: {prefix: /a}}'), 0],
  ['a prefix below an exact path', 'match: [{uri: {exact: /a}}]', answer('{uri: {prefix: /a}}'), 0],
  ['regular expressions on both sides', 'match: [{uri: {regex: /a.*}}]', answer('{uri: {regex: /a.*}}'), 0],
  ['a regular expression on one side alone', 'match: [{headers: {x: {exact: "1"}}}]', answer('{uri: {regex: /a.*}}'), 1],
  ['one of two within the root: the whole rule goes', 'match: [{uri: {prefix: /a}}]', answer('{uri: {prefix: /a/b}}, {uri: {prefix: /c}}'), 0],
  ['two matches of the root', 'match: [{uri: {prefix: /a}}, {uri: {prefix: /b}}]', answer('{uri: {prefix: /b/c}}'), 1],
  ['another header', 'match: [{headers: {x: {exact: "1"}}}]', answer('{headers: {y: {exact: "2"}}}'), 1],
  ['the same header, another value', 'match: [{headers: {x: {exact: "1"}}}]', answer('{headers: {x: {exact: "2"}}}'), 0],
  ['withoutHeaders that differ', 'match: [{withoutHeaders: {x: {exact: "1"}}}]', answer('{withoutHeaders: {x: {exact: "2"}}}'), 0],
  ['case ignored on one side', 'match: [{uri: {prefix: /a}, ignoreUriCase: true}]', answer('{uri: {prefix: /a}}'), 0],
  ['other ports', 'match: [{port: 8000}]', answer('{port: 9000}'), 0],
  ['labels that differ', 'match: [{sourceLabels: {app: web}}]', answer('{sourceLabels: {app: other}}'), 0],
  ['a namespace of the root’s that is not said again', 'match: [{sourceNamespace: foo}]', answer('{uri: {prefix: /}}'), 0],
  ['and one that is', 'match: [{sourceNamespace: foo}]', answer('{sourceNamespace: foo}'), 1],
  ['gateways beyond the root’s', 'match: [{gateways: [mesh]}]', answer('{gateways: [mesh, bar/gw]}'), 0],
]

test('a delegate’s rules count where each of their matches lies within the root’s', () => {
  for (const [what, root, own, count] of delegates) {
    const routes = delegate(root, own)
    assert.equal(routes.filter((r) => r.action.kind === 'direct').length, count, what)
  }
  const merged = delegate('match: [{name: r, headers: {x: {exact: "1"}}}], name: root', '{match: [{name: m, uri: {prefix: /a}}], name: own, directResponse: {status: 201}}')[0]
  assert.deepEqual([merged?.match, merged?.name, merged?.because.value], [{ path: { prefix: '/a' }, headers: { x: { exact: '1' } } }, 'root-own.r-m', 'VirtualService bar/part http[0].match[0]'])
})

test('a delegate gives its own values before the root’s, and only where the root may see it', () => {
  const timeouts = (own: string): unknown => delegate('timeout: 1s, retries: {attempts: 7}', `{${own}route: [{destination: {host: ${host}}}]}`).map(({ action: a }) => (a.kind === 'route' ? [a.timeoutMs, a.retries?.attempts] : a.kind))
  assert.deepEqual(timeouts(''), [[1000, 7]])
  assert.deepEqual(timeouts('timeout: 2s, '), [[2000, 7]])
  assert.deepEqual(told(delegate('', '{directResponse: {status: 201}}', { exportTo: '[foo]' })), ['201'])
  assert.deepEqual(told(delegate('', '{directResponse: {status: 201}}', { exportTo: '["."]' })), plain)
})

test('tcp and tls rules add up over VirtualServices', () => {
  const listener = (virtuals: readonly Virtual[], port: number): unknown => plan(virtuals).outbound.find((l) => l.port === port)?.tcpRoutes.map((r) => [r.match, r.targets.map((t) => `${t.upstream} ${t.weight}`)])
  const to = (port: number): string => `route: [{destination: {host: one.bar.svc.cluster.local, port: {number: ${port}}}}]`
  assert.deepEqual(listener([
    { name: 'a', spec: `tcp: [{match: [{destinationSubnets: [10.96.0.9/32]}], ${to(1)}}, {match: [{port: 1234}], ${to(2)}}]` }, { name: 'b', spec: `tcp: [{match: [{sourceLabels: {app: web}}], ${to(3)}}, {${to(4)}}]` },
  ], 9000), [[{ destinationSubnets: ['10.96.0.9/32'] }, ['outbound|1||one.bar.svc.cluster.local 1']], [{}, ['outbound|3||one.bar.svc.cluster.local 1']]])
  assert.deepEqual(listener([{ spec: `tls: [{match: [{sniHosts: ["${host}"]}], ${to(1)}}]` }], 9443), [[{ sniHosts: [host] }, ['outbound|1||one.bar.svc.cluster.local 1']]])
  // A tcp rule says nothing of a port for TLS; on one for bytes, a destination's only port is meant.
  assert.deepEqual(listener([{ spec: `tcp: [{${to(1)}}]` }], 9443), [[{}, [`outbound|9443||${host} 1`]]])
  assert.deepEqual(listener([{ spec: 'tcp: [{route: [{destination: {host: one.bar.svc.cluster.local}}]}]' }], 9000), [[{}, ['outbound|8080||one.bar.svc.cluster.local 1']]])
})

test('the names that lead to a service', () => {
  const domains = (virtuals: readonly Virtual[], table: string): unknown => plan(virtuals).routeTables.find((t) => t.name === table)?.virtualHosts.map((v) => [v.name, v.domains])
  const names = [host, `${host}.`, 'web.bar.svc', 'web.bar', '10.96.0.9']
  assert.deepEqual(domains([], '8000'), [[`${host}:8000`, names], ['allow_any', ['*']]])
  // A wildcard host that has a service, though another rule fits it better, is no name of its own.
  assert.deepEqual(domains([{ name: 'w', hosts: '"*.bar.svc.cluster.local"', spec: says(201) }, { name: 'e', hosts: `${host}, one.bar.svc.cluster.local`, spec: says(202) }], '8000'), [['one.bar.svc.cluster.local:8000', ['one.bar.svc.cluster.local']], [`${host}:8000`, names], ['allow_any', ['*']]])
})
