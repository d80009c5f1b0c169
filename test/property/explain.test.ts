// What explain says is what runs: over drawn meshes, its answer against the whole xDS of both ends (narrowed by nobody), and against a table of Istio's that shares no code with it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { chooseSocket, compile, findListener, matchRoute, type RouteRequest, type RuntimeConfig } from '#engine'
import { explain, whyNot, type EndpointAnswer, type Explanation } from '#insight'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { configOf } from '../golden/golden-case.ts'

type Obj = Record<string, unknown>
const at = '2026-01-01T00:00:00Z'
const object = (group: string, kind: string, namespace: string, name: string, spec: Obj): Obj => ({ apiVersion: group, kind, metadata: { name, namespace, creationTimestamp: at }, spec })
const fqdn = (namespace: string): string => `web.${namespace}.svc.cluster.local`

const workload = (namespace: string, version: string): Obj => {
  const labels = { app: 'web', version }
  return object('apps/v1', 'Deployment', namespace, `web-${version}`, { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { serviceAccountName: `web-${version}`, containers: [{ name: 'web', image: 'web' }] } } })
}
const base: Obj[] = ['foo', 'bar', 'legacy'].flatMap((namespace) => [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, ...(namespace === 'legacy' ? {} : { labels: { 'istio-injection': 'enabled' } }) } },
  workload(namespace, 'v1'),
  workload(namespace, 'v2'),
  object('v1', 'Service', namespace, 'web', { selector: { app: 'web' }, ports: [{ name: 'http', port: 8000, targetPort: 80 }, { name: 'tcp-raw', port: 9000 }, { name: 'any', port: 7000 }] }),
])

const namespace = fc.constantFrom('foo', 'bar', 'legacy')
const selector = fc.constantFrom({}, { selector: { matchLabels: { version: 'v1' } } }, { selector: { matchLabels: { app: 'web' } } })
const peer = fc.record({ namespace: fc.constantFrom('foo', 'bar', 'istio-system'), mode: fc.constantFrom('STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET'), selector, port: fc.constantFrom(undefined, 80, 9000, 7000), portMode: fc.constantFrom('STRICT', 'DISABLE', 'PERMISSIVE') })
  .map((p) => object('security.istio.io/v1', 'PeerAuthentication', p.namespace, `p-${p.mode.toLowerCase()}`, { ...p.selector, mtls: { mode: p.mode }, ...(p.port === undefined || !('selector' in p.selector) ? {} : { portLevelMtls: { [p.port]: { mode: p.portMode } } }) }))
const tls = fc.constantFrom({}, { tls: { mode: 'DISABLE' } }, { tls: { mode: 'ISTIO_MUTUAL' } }, { tls: { mode: 'SIMPLE' } }, { tls: { mode: 'ISTIO_MUTUAL', subjectAltNames: ['spiffe://cluster.local/ns/bar/sa/web-v1'] } }, { loadBalancer: { simple: 'ROUND_ROBIN' } })
const rule = fc.record({ namespace, host: namespace, tls, subset: tls, port: fc.constantFrom(8000, 9000, 7000), portTls: tls, exportTo: fc.constantFrom([], ['.'], ['*']), withPort: fc.boolean() })
  .map((r) => object('networking.istio.io/v1', 'DestinationRule', r.namespace, `d-${r.host}`, {
    host: fqdn(r.host), exportTo: r.exportTo, subsets: [{ name: 'v1', labels: { version: 'v1' }, trafficPolicy: r.subset }, { name: 'v2', labels: { version: 'v2' } }],
    trafficPolicy: { ...r.tls, ...(r.withPort ? { portLevelSettings: [{ port: { number: r.port }, ...r.portTls }] } : {}) },
  }))
const destination = fc.record({ host: namespace, subset: fc.constantFrom(undefined, 'v1', 'v2', 'v9') }).map((d) => ({ destination: { host: fqdn(d.host), ...(d.subset === undefined ? {} : { subset: d.subset }) } }))
const match = fc.constantFrom({}, { match: [{ uri: { prefix: '/api' } }] }, { match: [{ uri: { exact: '/api/x' }, headers: { user: { exact: 'ann' } } }] }, { match: [{ method: { exact: 'POST' } }, { queryParams: { q: { exact: '1' } } }] }, { match: [{ withoutHeaders: { user: {} } }] }, { match: [{ sourceLabels: { version: 'v1' } }] }, { match: [{ uri: { regex: '/a[a-z]+/.' } }] })
const route = fc.tuple(match, fc.oneof(
  fc.record({ route: fc.array(destination, { minLength: 1, maxLength: 2 }), rewrite: fc.constantFrom(undefined, { uri: '/new' }, { authority: 'other.example.com' }) }).map(({ route: r, rewrite }) => ({ route: r.map((d) => ({ ...d, ...(r.length > 1 ? { weight: 50 } : {}) })), ...(rewrite === undefined ? {} : { rewrite }) })),
  fc.constant({ redirect: { uri: '/moved' } }),
  fc.constant({ directResponse: { status: 503 } }),
)).map(([m, action]) => ({ ...m, ...action }))
const virtual = fc.record({ namespace, host: namespace, routes: fc.array(route, { minLength: 1, maxLength: 3 }), tcp: fc.boolean(), to: destination })
  .map((v) => object('networking.istio.io/v1', 'VirtualService', v.namespace, `v-${v.host}`, { hosts: [fqdn(v.host)], http: v.routes, ...(v.tcp ? { tcp: [{ route: [v.to] }] } : {}) }))

const distinct = (objects: readonly Obj[]): Obj[] => [...new Map(objects.map((o) => [`${String(o['kind'])}/${canonicalJson(o['metadata'])}`, o])).values()]
const policies = fc.tuple(fc.array(peer, { maxLength: 3 }), fc.array(rule, { maxLength: 2 }), fc.array(virtual, { maxLength: 2 })).map((all) => distinct(all.flat()))
const call = fc.record({
  from: fc.tuple(fc.constantFrom('web-v1', 'web-v2'), namespace).map(([w, n]) => `${w}.${n}`), scheme: fc.constantFrom('http', 'http', 'tcp', 'https', 'grpc'), host: fc.tuple(namespace, fc.boolean()).map(([n, whole]) => (whole ? fqdn(n) : `web.${n}`)), port: fc.constantFrom(8000, 9000, 7000),
  path: fc.constantFrom('/', '/api/x', '/api/../api/y?q=1', '/other'), method: fc.constantFrom('GET', 'POST'), user: fc.constantFrom(undefined, 'ann'),
}).map((c) => ({ from: c.from, to: `${c.scheme}://${c.host}:${c.port}${c.scheme === 'tcp' ? '' : c.path}`, method: c.method, headers: (c.user === undefined ? {} : { User: c.user }) as Record<string, string>, scheme: c.scheme, path: c.path, port: c.port, authority: `${c.host}:${c.port}` }))

function meshOf(objects: readonly Obj[]): Mesh {
  return buildMesh(decodeObjects(parseYaml([...base, ...objects].map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects)
}

const ends = (e: Explanation): readonly EndpointAnswer[] => (e.endpoints.length > 0 ? e.endpoints : [{ address: '', weight: 1, share: 1, priority: 0, locality: '', provided: e.provided, hints: e.hints, outcome: e.outcome as EndpointAnswer['outcome'], client: e.client, server: e.server, blocked: e.blocked }])
const wholeConfig = (mesh: Mesh, name: string): RuntimeConfig => {
  const { config, errors } = compile(configOf(mesh, name).resources)
  assert.deepEqual(errors, [])
  return config
}

test('what goes on the wire is what the engine takes from the whole xDS, for the endpoint that is named', () => {
  fc.assert(fc.property(policies, call, (objects, c) => {
    const mesh = meshOf(objects)
    const answer = explain(mesh, c)
    if (!answer.client.sidecar.value) return
    const config = wholeConfig(mesh, c.from)
    for (const end of ends(answer)) {
      const to = end.client.destination
      if (to === null || end.client.tls === null || end.server === null) continue
      const cluster = config.clusters.get(`outbound|${to.port}|${to.subset ?? ''}|${to.host}`)
      assert.ok(cluster !== undefined, 'a destination has its cluster')
      const endpoint = config.endpoints.get(cluster.edsName)?.all.find((e) => end.address === '' || e.key === end.address)
      assert.ok(endpoint !== undefined, `${end.address} is told by EDS`)
      const socket = chooseSocket(cluster, endpoint).tls
      const wire = socket === null ? 'DISABLE' : socket.certificate === undefined ? 'SIMPLE' : 'ISTIO_MUTUAL'
      assert.equal(end.client.tls.value, wire)
    }
  }), { numRuns: 300 })
})

test('the route is the one that the engine takes from the whole table; what is answered, rewritten, not found agrees', () => {
  fc.assert(fc.property(policies, call, (objects, c) => {
    const mesh = meshOf(objects)
    const answer = explain(mesh, c)
    if (!answer.client.sidecar.value || c.port !== 8000 || (c.scheme !== 'http' && c.scheme !== 'grpc')) return
    const config = wholeConfig(mesh, c.from)
    const listener = findListener(config, false, { address: '203.0.113.9', port: 8000 })
    assert.equal(listener?.name, '0.0.0.0_8000')
    const headers = Object.fromEntries(Object.entries(c.headers).map(([k, v]) => [k.toLowerCase(), v]))
    const request: RouteRequest = { authority: c.authority, path: c.path === '/api/../api/y?q=1' ? '/api/y?q=1' : c.path, method: c.method, scheme: 'http', header: (name) => headers[name], lines: (name) => [headers[name] ?? []].flat() }
    const found = matchRoute(config.routes.get('8000') as never, request, 0)
    const grpc: Readonly<Record<number, number>> = { 404: 12, 503: 14 }
    const isAnswered = (status: number): void => assert.ok((answer.blocked?.symptom ?? '').startsWith(c.scheme === 'grpc' ? `gRPC status ${grpc[status] ?? 2}, ` : `${status} `), `${status}: ${answer.blocked?.symptom}`)
    if (found === undefined) return isAnswered(404)
    const { action } = found.route
    if (action.kind !== 'forward') return isAnswered(action.status)
    const clusters = new Set(action.targets.filter((t) => t.weight > 0).map((t) => t.cluster))
    const named = new Set(ends(answer).map((e) => (e.client.destination === null ? '' : `outbound|${e.client.destination.port}|${e.client.destination.subset ?? ''}|${e.client.destination.host}`)))
    assert.deepEqual([...named].sort(), [...clusters].sort())
    if (action.prefixRewrite !== '') assert.ok(ends(answer).every((e) => e.client.route.value.path?.startsWith('/new') === true))
    if (action.hostRewrite !== undefined) assert.ok(ends(answer).every((e) => e.client.route.value.authority === action.hostRewrite))
    const [rule] = ends(answer)[0]?.client.route.because ?? []
    assert.equal(rule?.source === 'default' || rule === undefined ? 'default' : `VirtualService ${rule.source.namespace}/${rule.source.name} ${rule.source.path}`, found.route.metadata.source.replace(/ \(in\.yaml.*/, ''))
  }), { numRuns: 300 })
})

// Istio's inbound chains: by what arrives, the mode of the port and what the port carries. x: closed.
const inbound: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'plain': { STRICT: 'x', PERMISSIVE: 'plaintext', DISABLE: 'plaintext' },
  'mesh': { STRICT: 'mtls', PERMISSIVE: 'mtls', DISABLE: 'x' },
  'foreign-http': { STRICT: 'x', PERMISSIVE: 'x', DISABLE: 'x' },
  'foreign-tcp': { STRICT: 'x', PERMISSIVE: 'through', DISABLE: 'through' },
}

/** A drawn mesh may miss a row; these never do. */
function eachRow(): [Obj[], { from: string; to: string; method: string; headers: Record<string, string>; scheme: string; path: string; port: number; authority: string }][] {
  const arrivals = [['DISABLE', 'http', 8000], ['ISTIO_MUTUAL', 'http', 8000], ['SIMPLE', 'http', 8000], ['SIMPLE', 'tcp', 9000]] as const
  return arrivals.flatMap(([sent, scheme, port]) => ['STRICT', 'PERMISSIVE', 'DISABLE'].map((mode) => [
    [object('networking.istio.io/v1', 'DestinationRule', 'foo', 'd', { host: fqdn('bar'), trafficPolicy: { tls: { mode: sent } } }), object('security.istio.io/v1', 'PeerAuthentication', 'bar', 'p', { mtls: { mode } })],
    { from: 'web-v1.foo', to: `${scheme}://web.bar:${port}`, method: 'GET', headers: {}, scheme, path: '/', port, authority: `web.bar:${port}` },
  ]))
}

test('the outcome is what Istio’s chains make of what arrives', () => {
  const seen = new Set<string>()
  fc.assert(fc.property(policies, call, (objects, c) => {
    const mesh = meshOf(objects)
    for (const end of ends(explain(mesh, c))) {
      const wire = end.client.tls?.value
      if (end.server === null || wire === undefined) continue
      if (!end.server.sidecar.value) {
        assert.equal(end.outcome, wire === 'DISABLE' ? 'plaintext' : wire === 'ISTIO_MUTUAL' || c.scheme === 'https' ? 'blocked' : 'tls')
        continue
      }
      const http = end.server.port === 80
      const foreign = wire === 'SIMPLE' || (wire === 'DISABLE' && c.scheme === 'https')
      const kind = wire === 'ISTIO_MUTUAL' ? 'mesh' : foreign ? (http ? 'foreign-http' : 'foreign-tcp') : 'plain'
      const mode = end.server.mtls?.value as string
      const found = inbound[kind]?.[mode]
      seen.add(`${kind} ${mode}`)
      const pinned = wire === 'ISTIO_MUTUAL' && end.blocked?.end === 'unexpected-identity'
      // The application's own TLS inside of a rule's: what ends the outer one finds no request in it.
      const nested = c.scheme === 'https' && wire === 'SIMPLE' && found === 'through'
      if (nested) assert.equal(end.blocked?.end, 'tls-in-tls')
      assert.equal(end.outcome, pinned || nested || found === 'x' ? 'blocked' : found === 'through' ? (wire === 'SIMPLE' ? 'tls' : 'plaintext') : found, `${kind} ${mode}: ${end.blocked?.why ?? ''}`)
      if (pinned) assert.ok(end.server.identity !== null && !end.server.identity.endsWith('/ns/bar/sa/web-v1'))
    }
  }), { numRuns: 400, examples: eachRow() })
  assert.equal(seen.size, 12, [...seen].sort().join(', '))
})

test('no match of the route that was taken is said to have failed, and no text breaks', () => {
  fc.assert(fc.property(policies, call, (objects, c) => {
    const mesh = meshOf(objects)
    const answer = explain(mesh, c)
    const taken = new Set(ends(answer).flatMap((e) => e.client.route.because.filter((r) => r.effect === 'chosen').map((r) => (r.source === 'default' ? '' : `${r.source.namespace}/${r.source.name} ${r.source.path}`))))
    for (const n of whyNot(mesh, c, answer)) assert.ok(!taken.has(`${n.source.namespace}/${n.source.name} ${n.source.path}`), `${n.source.name} ${n.source.path}: ${n.why}`)
  }), { numRuns: 200 })
})
