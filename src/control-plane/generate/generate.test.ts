// One plan by hand, and what must hold of its xDS whatever the plan says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byDefault } from '#lib/decided.ts'
import type { HttpAction, PortProtocol, ProxyPlan, Upstream, UpstreamTls } from '#plan'
import { generate, generateEndpoints, generateJson } from './index.ts'
import { headerValue } from './route-features.ts'

const mesh: UpstreamTls = { mode: 'AUTO', sni: 'outbound_.80_._.a', sans: ['spiffe://cluster.local/ns/n/sa/a'] }

function upstream(name: string, tls: UpstreamTls, protocol: PortProtocol = 'http', more: Partial<Upstream> = {}): Upstream {
  return {
    name, host: `${name}.n.svc.cluster.local`, port: 80, subset: null, protocol, meshExternal: false, discovery: 'EDS', tls: byDefault(tls, 'tls.auto'), destinationRule: null,
    balancing: { policy: 'LEAST_REQUEST' }, connectionPool: {}, ...more,
  }
}

function planWith(upstreams: readonly Upstream[], action: HttpAction, more: Partial<ProxyPlan> = {}): ProxyPlan {
  return {
    proxy: { id: 'p.n', namespace: 'n', pod: 'p', workload: 'p', serviceAccount: 'p', identity: 'spiffe://cluster.local/ns/n/sa/p', labels: {}, addresses: ['10.0.0.1'] },
    mesh: { trustDomain: 'cluster.local', trustDomainAliases: [], accessLogFile: '', minTlsVersion: 'TLSV1_2', cipherSuites: [], protocolDetectionTimeoutMs: 0, connectTimeoutMs: 10_000, tlsByAddress: true, sidecarPorts: [], domain: 'cluster.local' },
    inbound: [{ port: null, protocol: 'auto', mtls: byDefault('PERMISSIVE', 'mtls.default'), cluster: 'InboundPassthroughCluster' }],
    outbound: [{ name: '0.0.0.0_80', address: '0.0.0.0', port: 80, protocol: 'http', routeTable: '80', tcpRoutes: [] }],
    routeTables: [{ name: '80', virtualHosts: [{ name: 'a:80', domains: ['a'], routes: [{ name: 'default', match: {}, action, because: byDefault('', 'route.default') }] }] }],
    upstreams, egress: byDefault('ALLOW_ANY', 'egress.default'), passthrough: [], problems: [], ...more,
  }
}

const to = (...names: readonly string[]): HttpAction => ({ kind: 'route', targets: names.map((upstream) => ({ upstream, weight: 1 })), timeoutMs: 0 })

/** What stands at a path inside JSON; undefined where the path ends early. */
function dig(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((at, step) => (at === null || typeof at !== 'object' ? undefined : (at as Record<string | number, unknown>)[step]), value)
}

function jsonOf(plan: ProxyPlan, name: string): unknown {
  return generateJson(plan).find((r) => r.json['name'] === name)?.json
}

/** ALPN that the first route sets: on itself, and on each weighted cluster. */
function alpn(plan: ProxyPlan): { route: unknown; weights: unknown[] } {
  const route = dig(jsonOf(plan, '80'), 'virtualHosts', 0, 'routes', 0)
  const of = (holder: unknown): unknown => dig(holder, 'typedPerFilterConfig', 'envoy.filters.http.set_filter_state', 'onRequestHeaders', 0, 'formatString', 'textFormatSource', 'inlineString')
  const clusters = dig(route, 'route', 'weightedClusters', 'clusters')
  return { route: of(route), weights: Array.isArray(clusters) ? clusters.map(of) : [] }
}

const simple: UpstreamTls = { mode: 'SIMPLE' }
const http1 = 'istio-http/1.1,istio,http/1.1'
const http2 = 'istio-h2,istio,h2'

test('the mesh’s ALPN goes to clusters of the mesh, by their protocol, and to no others', () => {
  assert.equal(alpn(planWith([upstream('a', mesh)], to('a'))).route, http1)
  assert.equal(alpn(planWith([upstream('a', { ...mesh, mode: 'ISTIO_MUTUAL' }, 'grpc')], to('a'))).route, http2)
  assert.equal(alpn(planWith([upstream('a', mesh, 'auto')], to('a'))).route, 'istio-http/1.1,istio')
  for (const tls of [simple, { mode: 'DISABLE' } as const]) assert.equal(alpn(planWith([upstream('a', tls)], to('a'))).route, undefined)
  // Only a pod that takes mutual TLS by its address ever sees them.
  assert.equal(alpn(planWith([], to('PassthroughCluster'))).route, 'istio-http/1.1,istio')
})

test('weighted: what all have in common stands on the route, else each says its own', () => {
  const all = [upstream('a', mesh), upstream('b', mesh), upstream('c', simple), upstream('d', mesh, 'grpc'), upstream('e', { mode: 'DISABLE' })]
  assert.deepEqual(alpn(planWith(all, to('a', 'b'))), { route: http1, weights: [undefined, undefined] })
  assert.deepEqual(alpn(planWith(all, to('e', 'a'))), { route: http1, weights: [undefined, undefined] }, 'plaintext names nothing anyway')
  assert.deepEqual(alpn(planWith(all, to('a', 'c', 'd'))), { route: undefined, weights: [http1, undefined, http2] })
})

test('no cluster but the mesh’s own names the mesh’s ALPN', () => {
  const clusters = generateJson(planWith([upstream('a', mesh), upstream('x', simple), upstream('y', { mode: 'MUTUAL', clientCertificate: '/c', privateKey: '/k' }, 'http2')], to('a')))
  for (const { json } of clusters.filter((r) => r.json['name'] === 'x' || r.json['name'] === 'y')) assert.doesNotMatch(JSON.stringify(json['transportSocket']), /istio/)
})

test('TLS to servers outside is verified: the roots of the system where none are named, the name from Host or, without requests, from the host', () => {
  const json = (u: Upstream): unknown => jsonOf(planWith([u], to('a')), u.name)
  const context = (u: Upstream, ...path: readonly string[]): unknown => dig(json(u), 'transportSocket', 'typedConfig', ...path)
  const options = (u: Upstream): unknown => dig(json(u), 'typedExtensionProtocolOptions', 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions', 'upstreamHttpProtocolOptions')
  const validation = (u: Upstream, ...path: readonly string[]): unknown => context(u, 'commonTlsContext', 'combinedValidationContext', ...path)
  const roots = (u: Upstream): unknown => validation(u, 'validationContextSdsSecretConfig', 'name')
  const db = upstream('db', simple, 'tcp', { host: 'db.example.com' })
  assert.equal(roots(upstream('a', simple)), 'file-root:system')
  assert.equal(roots(upstream('a', { mode: 'SIMPLE', caCertificates: '/ca.pem' })), 'file-root:/ca.pem')
  assert.deepEqual(options(upstream('a', simple)), { autoSni: true, autoSanValidation: true })
  assert.deepEqual(options(upstream('a', { mode: 'SIMPLE', sans: ['b'] })), { autoSni: true })
  assert.equal(options(upstream('a', { mode: 'SIMPLE', sni: 'b', sans: ['b'] })), undefined)
  assert.equal(context(db, 'sni'), 'db.example.com')
  assert.deepEqual(validation(db, 'defaultValidationContext'), { matchTypedSubjectAltNames: [{ sanType: 'DNS', matcher: { exact: 'db.example.com' } }] })
  assert.equal(roots(upstream('a', { mode: 'SIMPLE', insecureSkipVerify: true })), undefined)
})

test('equal plans have equal versions and bytes, whatever the order of their records', () => {
  const action = (set: Record<string, string>): HttpAction => ({ ...(to('a') as Extract<HttpAction, { kind: 'route' }>), targets: [{ upstream: 'a', weight: 1, headers: { request: { set } } }] })
  const one = generate(planWith([upstream('a', mesh)], action({ x: '1', y: '2' })))
  const two = generate(planWith([upstream('a', mesh)], action({ y: '2', x: '1' })))
  assert.deepEqual(one.map((r) => [r.name, r.version, Buffer.from(r.any.value).toString('hex')]), two.map((r) => [r.name, r.version, Buffer.from(r.any.value).toString('hex')]))
  assert.notEqual(one.find((r) => r.name === '80')?.version, generate(planWith([upstream('a', mesh)], action({ x: '1' }))).find((r) => r.name === '80')?.version)
})

test('endpoints: the mark of automatic mTLS, the workload’s name, what is not ready', () => {
  const resource = generateEndpoints({
    upstream: 'outbound|80||a',
    endpoints: [
      { address: '10.0.0.2', port: 80, tls: byDefault('ISTIO_MUTUAL', 'endpoint.capable'), serverMtls: null, workload: { namespace: 'n', name: 'a' }, weight: 1, healthy: true, labels: { app: 'shop', version: 'v1' } },
      { address: '10.0.0.3', port: 80, tls: byDefault('DISABLE', 'endpoint.no-sidecar'), serverMtls: null, weight: 1, healthy: false, labels: {} },
    ],
  })
  assert.equal(resource.name, 'outbound|80||a')
  const text = Buffer.from(resource.any.value).toString('latin1')
  assert.match(text, /tlsMode/)
  assert.match(text, /a;n;shop;v1;Kubernetes/)
})

test('a percent sign that begins no fill-in stands for itself', () => {
  for (const [value, expected] of [
    ['50%', '50%%'], ['%REQ(x-a)% and %PROTOCOL%', '%REQ(x-a)% and %PROTOCOL%'], ['%OURS%', '%%OURS%%'], ['a%%b', 'a%%b'], ['%START_TIME(%s)%', '%%START_TIME(%%s)%%'], ['%RESP(A?B):10%', '%RESP(A?B):10%'], ['plain', 'plain'],
  ] as const) assert.equal(headerValue(value), expected)
})
