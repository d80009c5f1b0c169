// No reason is a default text: over drawn meshes every blocked call has an end of its own, a source that
// exists, and a fix that, once made, takes that end away.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { explain, type EndpointAnswer, type Explanation } from '#insight'
import { ends, type End } from '#insight/explain/ends.ts'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { apply, type Case, type Obj } from '../fixtures/applied-fixes.ts'

const object = (
  group: string,
  kind: string,
  namespace: string,
  name: string,
  spec: unknown,
  metadata: Obj = {},
): Obj => ({ apiVersion: group, kind, metadata: { name, namespace, ...metadata }, spec })
const net = (kind: string, namespace: string, name: string, spec: unknown): Obj =>
  object('networking.istio.io/v1', kind, namespace, name, spec)
const sec = (kind: string, namespace: string, name: string, spec: unknown): Obj =>
  object('security.istio.io/v1', kind, namespace, name, spec)
const deployment = (namespace: string, name: string, more: Obj = {}, pod: Obj = {}): Obj =>
  object('apps/v1', 'Deployment', namespace, name, {
    ...more,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name, version: 'v1' }, ...pod },
      spec: {
        serviceAccountName: name,
        containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 80 }] }],
      },
    },
  })
const service = (namespace: string, name: string, spec: Obj, metadata: Obj = {}): Obj =>
  object('v1', 'Service', namespace, name, spec, metadata)
const fqdn = (namespace: string, name = 'web'): string => `${name}.${namespace}.svc.cluster.local`
const http = { name: 'http', port: 8000, targetPort: 80 }
const web = {
  selector: { app: 'web' },
  ports: [
    http,
    { name: 'tcp-raw', port: 9000 },
    { name: 'any', port: 7000 },
    { name: 'https', port: 8443 },
    { name: 'dns', port: 5353, protocol: 'UDP' },
    { name: 'tcp-named', port: 9100, targetPort: 'absent' },
  ],
}

const base: readonly Obj[] = [
  ...['foo', 'bar', 'legacy'].flatMap((n) => [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: n, labels: n === 'legacy' ? {} : { 'istio-injection': 'enabled' } },
    },
    deployment(n, 'web', n === 'foo' ? { replicas: 1 } : {}),
    service(n, 'web', web),
  ]),
  deployment('bar', 'zero', { replicas: 0 }),
  service('bar', 'zero', { selector: { app: 'zero' }, ports: [http] }),
  service('bar', 'astray', { selector: { app: 'wbe' }, ports: [http] }),
  service('bar', 'bare', { ports: [http] }),
  service(
    'bar',
    'hidden',
    { selector: { app: 'web' }, ports: [http] },
    { annotations: { 'networking.istio.io/exportTo': '.' } },
  ),
  service('bar', 'waiting', { selector: { app: 'waiting' }, ports: [http] }),
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'waiting', namespace: 'bar', labels: { app: 'waiting' } },
    spec: {
      containers: [
        { name: 'c', image: 'x' },
        { name: 'istio-proxy', image: 'p' },
      ],
    },
    status: { phase: 'Running', podIP: '10.244.200.1', conditions: [{ type: 'Ready', status: 'False' }] },
  },
  net('ServiceEntry', 'foo', 'api', {
    hosts: ['api.example.com'],
    location: 'MESH_EXTERNAL',
    resolution: 'DNS',
    ports: [
      { number: 443, name: 'https', protocol: 'HTTPS' },
      { number: 80, name: 'http', protocol: 'HTTP', targetPort: 443 },
    ],
  }),
  net('ServiceEntry', 'foo', 'static', {
    hosts: ['static.example.com'],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  }),
]

function meshOf(objects: readonly Obj[]): Mesh {
  const { objects: decoded, problems } = decodeObjects(
    parseYaml(objects.map((o) => JSON.stringify(o)).join('\n---\n'), 'in.yaml').documents,
  )
  assert.deepEqual(
    problems.filter((p) => p.severity === 'error'),
    [],
  )
  return buildMesh(decoded)
}
const ask = ({ objects, call }: Case): Explanation => explain(meshOf(objects), call)
const all = (e: Explanation): readonly Pick<EndpointAnswer, 'blocked' | 'client'>[] =>
  e.endpoints.length > 0 ? e.endpoints : [e]

/** Ends that say nothing of an object: they lie in the request itself, in meshConfig or its defaults. */
const withoutSource: ReadonlySet<End> = new Set([
  'registry-only',
  'unknown-host-header',
  'unreadable-path',
  'refused-method',
  'costly-expression',
  'other-trust-domain',
  'unexpected-identity',
])
/**
 * One mesh has one trust domain: a caller of another is of a mesh that is not read. A route without a
 * destination is refused when it is read.
 */
const notDrawn: ReadonlySet<End> = new Set(['other-trust-domain', 'route-without-destination'])

function check(given: Case): readonly End[] {
  const mesh = meshOf(given.objects)
  return all(explain(mesh, given.call)).flatMap(({ blocked, client }): End[] => {
    if (blocked === null) return []
    const text = JSON.stringify([given.call, blocked])
    assert.ok(ends.includes(blocked.end), text)
    assert.ok(
      blocked.why !== '' &&
        blocked.fix.length > 0 &&
        blocked.fix.every((f) => f.trim() !== '') &&
        !/undefined|\[object|NaN/.test(text),
      text,
    )
    const { source } = blocked
    if (source === 'default') assert.ok(withoutSource.has(blocked.end), text)
    else {
      assert.ok(
        mesh.objects.some(
          (o) =>
            o.kind === source.kind &&
            o.metadata.namespace === source.namespace &&
            o.metadata.name === source.name,
        ),
        text,
      )
      assert.ok(source.line !== undefined, text)
    }
    const mended = apply(given, blocked)
    // Another reason may come to light, also of the same kind: what the client sends, and why, is a part of
    // it.
    const left = all(ask(mended)).find(
      (e) =>
        e.blocked?.end === blocked.end &&
        e.blocked.why === blocked.why &&
        e.client.tls?.because[0]?.rule === client.tls?.because[0]?.rule,
    )
    assert.equal(
      left,
      undefined,
      `${text}\nand after ${JSON.stringify(mended.call)} ${JSON.stringify(mended.objects.filter((o) => !given.objects.includes(o)))}`,
    )
    return [blocked.end]
  })
}

const rule = (trafficPolicy: Obj, more: Obj = {}, host = fqdn('bar')): Obj =>
  net('DestinationRule', 'foo', `d-${host.split('.')[0]}`, { host, trafficPolicy, ...more })
const tls = (mode: string, more: Obj = {}): Obj => ({ tls: { mode, ...more } })
const route = (rules: readonly Obj[]): Obj =>
  net('VirtualService', 'foo', 'v', { hosts: [fqdn('bar')], http: rules })
const to = (destination: Obj, more: Obj = {}): Obj => ({ ...more, route: [{ destination }] })
const peer = (namespace: string, mode: string): Obj =>
  sec('PeerAuthentication', namespace, 'default', { mtls: { mode } })
const sidecar = (hosts: readonly string[], mode: string): Obj =>
  net('Sidecar', 'foo', 'default', { egress: [{ hosts }], outboundTrafficPolicy: { mode } })
const access = (spec: Obj): Obj => sec('AuthorizationPolicy', 'bar', 'access', spec)
const ingress = (mode: string): Obj[] => [
  peer('bar', 'DISABLE'),
  net('Sidecar', 'bar', 'own', {
    ingress: [
      {
        port: { number: 9000, protocol: 'TLS', name: 'tls' },
        defaultEndpoint: '127.0.0.1:9000',
        tls: {
          mode,
          serverCertificate: '/c.pem',
          privateKey: '/k.pem',
          ...(mode === 'MUTUAL' ? { caCertificates: '/ca.pem' } : {}),
        },
      },
    ],
  }),
]
const tokens = sec('RequestAuthentication', 'bar', 'tokens', {
  jwtRules: [{ issuer: 'i', jwks: '{"keys":[]}' }],
})
const bar = (port = 8000, scheme = 'http'): string => `${scheme}://web.bar:${port}/`

/** At least one mesh for each end. Objects beside the base, what is called, headers. */
type Row = readonly [End, readonly Obj[], string, Readonly<Record<string, string>>?, string?, string?]
const cases: readonly Row[] = [
  ['registry-only', [sidecar(['*/*'], 'REGISTRY_ONLY')], 'http://nobody.example.com/'],
  ['left-out-by-sidecar', [sidecar(['./*'], 'REGISTRY_ONLY')], bar()],
  ['not-exported', [sidecar(['*/*'], 'REGISTRY_ONLY')], 'http://hidden.bar:8000/'],
  ['unknown-host-header', [sidecar(['*/*'], 'REGISTRY_ONLY')], bar(), { host: 'nobody.example.com' }],
  ['no-such-port', [], bar(8111)],
  ['other-transport', [], bar(5353, 'tcp')],
  ['other-transport', [], bar(9000, 'udp')],
  ['no-pod-selected', [], 'http://astray.bar:8000/'],
  ['no-pod-ready', [], 'http://waiting.bar:8000/'],
  ['no-target-port', [], bar(9100, 'tcp')],
  ['scaled-to-zero', [], 'http://zero.bar:8000/'],
  ['no-selector', [], 'http://bare.bar:8000/'],
  ['no-such-port', [], 'http://web.foo:8111/', {}, 'web.legacy'],
  ['no-pod-selected', [], 'http://astray.bar:8000/', {}, 'web.legacy'],
  [
    'subset-without-pods',
    [
      rule(
        { loadBalancer: { simple: 'ROUND_ROBIN' } },
        { subsets: [{ name: 'v9', labels: { version: 'v9' } }] },
      ),
      route([to({ host: fqdn('bar'), subset: 'v9' })]),
    ],
    bar(),
  ],
  ['entry-without-endpoints', [], 'http://static.example.com/'],
  ['unknown-route-host', [route([to({ host: 'absent.bar.svc.cluster.local' })])], bar()],
  ['unknown-route-host', [route([to({ host: fqdn('bar', 'hidden'), port: { number: 8000 } })])], bar()],
  ['unknown-route-port', [route([to({ host: fqdn('bar'), port: { number: 8111 } })])], bar()],
  ['unknown-subset', [route([to({ host: fqdn('bar'), subset: 'v7' })])], bar()],
  ['no-route-matches', [route([to({ host: fqdn('bar') }, { match: [{ uri: { exact: '/only' } }] })])], bar()],
  ['answered-by-route', [route([{ directResponse: { status: 418 } }])], bar()],
  ['answered-by-route', [route([{ redirect: { uri: '/moved' } }])], bar()],
  [
    'aborted-by-route',
    [
      route([
        to({ host: fqdn('bar') }, { fault: { abort: { httpStatus: 500, percentage: { value: 100 } } } }),
      ]),
    ],
    bar(),
  ],
  ['tls-to-http-port', [sidecar(['*/*'], 'REGISTRY_ONLY')], bar(8000, 'https')],
  ['unreadable-path', [], 'http://web.bar:8000/a%00b'],
  [
    'costly-expression',
    [route([to({ host: fqdn('bar') }, { match: [{ uri: { regex: '.*a'.repeat(300) } }] }), to({ host: fqdn('bar') })])],
    `http://web.bar:8000/${'b'.repeat(4000)}`,
  ],
  ['refused-method', [], bar(), {}, 'web.foo', 'delete'],
  ['refused-method', [], bar(), {}, 'web.legacy', 'delete'],
  ...['SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'].map(
    (mode) =>
      [
        'tls-in-tls',
        [
          rule(
            tls(mode, mode === 'MUTUAL' ? { clientCertificate: '/a', privateKey: '/b' } : {}),
            {},
            'api.example.com',
          ),
        ],
        'https://api.example.com/',
      ] as const,
  ),
  ['tls-in-tls', [rule(tls('SIMPLE'))], bar(8443, 'https')],
  ['tls-in-tls', [rule(tls('SIMPLE'), {}, fqdn('legacy'))], 'https://web.legacy:8443/'],
  ['mesh-tls-without-sidecar', [rule(tls('ISTIO_MUTUAL'), {}, fqdn('legacy'))], 'http://web.legacy:8000/'],
  [
    'unexpected-identity',
    [rule(tls('ISTIO_MUTUAL', { subjectAltNames: ['spiffe://cluster.local/ns/bar/sa/other'] }))],
    bar(),
  ],
  ['plaintext-to-strict', [peer('bar', 'STRICT'), rule(tls('DISABLE'))], bar()],
  ['plaintext-to-strict', [peer('bar', 'STRICT')], bar(), {}, 'web.legacy'],
  ['plaintext-to-strict', [peer('bar', 'STRICT'), sidecar(['./*'], 'ALLOW_ANY')], bar(9000, 'tcp')],
  ['foreign-tls-to-strict', [peer('bar', 'STRICT'), rule(tls('SIMPLE'))], bar(9000, 'tcp')],
  ['foreign-tls-to-strict', [peer('bar', 'STRICT')], bar(9000, 'https'), {}, 'web.legacy'],
  ['mesh-tls-to-plaintext', [peer('bar', 'DISABLE'), rule(tls('ISTIO_MUTUAL'))], bar()],
  ['foreign-tls-to-http', [rule(tls('SIMPLE'))], bar()],
  ['foreign-tls-to-http', [], bar(8000, 'https'), {}, 'web.legacy'],
  ['foreign-tls-to-http', [peer('bar', 'DISABLE'), rule(tls('SIMPLE'))], bar()],
  ['plaintext-to-own-tls', ingress('SIMPLE'), bar(9000, 'tcp')],
  ['mesh-tls-to-own-tls', [...ingress('SIMPLE'), rule(tls('ISTIO_MUTUAL'))], bar(9000, 'tcp')],
  ['no-client-certificate', [...ingress('MUTUAL'), rule(tls('SIMPLE'))], bar(9000, 'tcp')],
  ['token-refused', [tokens], bar(), { authorization: 'Bearer nonsense' }],
  ['denied-by-rule', [access({ action: 'DENY', rules: [{ to: [{ operation: { paths: ['/'] } }] }] })], bar()],
  ...(
    [
      {},
      { rules: [{ from: [{ source: { principals: ['cluster.local/ns/x/sa/y'] } }] }] },
      { rules: [{ from: [{ source: { namespaces: ['x'] } }] }] },
      { rules: [{ to: [{ operation: { paths: ['/other'] } }] }] },
      { rules: [{ to: [{ operation: { methods: ['POST'] } }] }] },
      { rules: [{ to: [{ operation: { hosts: ['x'] } }] }] },
      { rules: [{ to: [{ operation: { ports: ['81'] } }] }] },
      { rules: [{ when: [{ key: 'request.headers[x-user]', values: ['ann'] }] }] },
      { rules: [{ from: [{ source: { ipBlocks: ['192.0.2.0/24'] } }] }] },
    ] as Obj[]
  ).map((spec) => ['allowed-by-none', [access(spec)], bar()] as const),
  [
    'allowed-by-none',
    [access({ rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }] }), tokens],
    bar(),
  ],
  [
    'allowed-by-none',
    [access({ rules: [{ from: [{ source: { principals: ['*'] } }] }] })],
    bar(),
    {},
    'web.legacy',
  ],
]

test('each end by itself: a specific why, a source that exists, a fix that takes it away', () => {
  for (const [end, objects, target, headers = {}, from = 'web.foo', method = 'GET'] of cases) {
    const given = { objects: [...base, ...objects], call: { from, to: target, headers, method } }
    assert.deepEqual(
      [...new Set(check(given))],
      [end],
      JSON.stringify([objects, target, from, ask(given).outcome, ask(given).blocked]),
    )
  }
  const shown = new Set(cases.map(([end]) => end))
  assert.deepEqual(
    ends.filter((e) => !shown.has(e) && !notDrawn.has(e)),
    [],
    'each end has a mesh that shows it',
  )
})

// Drawn: of everything above any few together, and any call.
const distinct = (objects: readonly Obj[]): Obj[] => [
  ...new Map(objects.map((o) => [JSON.stringify([o['kind'], o['metadata']]), o])).values(),
]
const extra = fc.uniqueArray(fc.constantFrom(...cases.flatMap(([, objects]) => objects)), { maxLength: 4 })
const target = fc.oneof(
  fc.constantFrom(...cases.map(([, , t]) => t)),
  fc
    .tuple(
      fc.constantFrom('http', 'https', 'tcp', 'grpc', 'udp'),
      fc.constantFrom(
        'web.bar',
        'web.foo',
        'web.legacy',
        'zero.bar',
        'api.example.com',
        'nobody.example.com',
      ),
      fc.constantFrom(80, 443, 8000, 9000, 7000, 8443, 5353, 9100, 8111),
    )
    .map(([s, h, p]) => `${s}://${h}:${p}`),
)
const headers = fc.constantFrom<Readonly<Record<string, string>>>(
  {},
  {},
  { authorization: 'Bearer nonsense' },
  { host: 'nobody.example.com' },
  { host: 'web.legacy' },
)

test('drawn meshes: every blocked call has an end of its own, and its fix takes it away', () => {
  const seen = new Set<End>()
  fc.assert(
    fc.property(
      extra,
      target,
      headers,
      fc.constantFrom('web.foo', 'web.foo', 'web.legacy', 'web.bar'),
      (more, to_, h, from) => {
        for (const end of check({
          objects: [...base, ...distinct(more)],
          call: { from, to: to_, headers: h },
        }))
          seen.add(end)
      },
    ),
    { numRuns: 250 },
  )
  assert.ok(seen.size > 15, [...seen].sort().join(', '))
})
