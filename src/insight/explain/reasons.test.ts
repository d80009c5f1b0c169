// Why an answer is as it is: the rule that left a destination out, the one that would have answered, the one
// that is hidden.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { explain } from './explain.ts'
import { formatExplanation } from './text.ts'
import { whyNot } from './why-not.ts'

const base = ['foo', 'bar']
  .map(
    (n) => `
---
{apiVersion: v1, kind: Namespace, metadata: {name: ${n}, labels: {istio-injection: enabled}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: ${n}}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: [{name: web, ports: [{containerPort: 80}]}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: ${n}}, spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 9000}]}}
`,
  )
  .join('')

function mesh(...objects: readonly string[]): Mesh {
  const { objects: decoded, problems } = decodeObjects(
    parseYaml(`${base}\n---\n${objects.join('\n---\n')}`, 'in.yaml').documents,
  )
  assert.deepEqual(
    problems.filter((p) => p.severity === 'error'),
    [],
  )
  return buildMesh(decoded)
}
const call = { from: 'web.foo', to: 'http://web.bar/' }
const host = 'web.bar.svc.cluster.local'
const virtual = (name: string, year: number, http: string, more = ''): string =>
  `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: ${name}, namespace: foo, creationTimestamp: '${year}-01-01T00:00:00Z'}, spec: {hosts: [${host}]${more}, http: [${http}]}}`
const rule = (name: string, spec: string, namespace = 'foo'): string =>
  `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: ${name}, namespace: ${namespace}}, spec: {host: ${host}, ${spec}}}`
const strict =
  '{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: bar}, spec: {mtls: {mode: STRICT}}}'

test('a Sidecar’s egress that leaves the host out is the reason, with its line and what to add', () => {
  const m = mesh(
    '{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: narrow, namespace: foo}, spec: {egress: [{hosts: [./*]}]}}',
    strict,
  )
  const answer = explain(m, call)
  const [reason, then] = answer.client.route.because
  assert.deepEqual(
    [
      reason?.rule,
      reason?.source === 'default'
        ? ''
        : `${reason?.source.kind} ${reason?.source.path} ${reason?.source.file}`,
      then?.rule,
    ],
    ['scope.sidecar', 'Sidecar spec.egress[0].hosts in.yaml', 'route.passthrough'],
  )
  assert.match(
    answer.client.route.value.rule,
    /the caller’s Sidecar leaves web\.bar\.svc\.cluster\.local:80 out/,
  )
  assert.match(
    answer.hints[0] ?? '',
    /^add bar\/\* to the egress hosts of Sidecar foo\/narrow spec\.egress\[0\]\.hosts \(in\.yaml:\d+\)$/,
  )
  // Passed on in plaintext, it is refused: the cause is the Sidecar, not the mode.
  assert.deepEqual([answer.blocked?.end, answer.blocked?.fix[0]], ['plaintext-to-strict', answer.hints[0]])
  const ports = explain(
    mesh(
      '{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: narrow, namespace: foo}, spec: {egress: [{port: {number: 80, protocol: HTTP, name: h}, hosts: [./*]}, {hosts: ["*/*"]}]}}',
    ),
    call,
  )
  assert.match(ports.hints[0] ?? '', /spec\.egress\[0\]\.hosts/)
})

test('a Host header that names nothing is the reason, and one of another service says what that has', () => {
  const answer = explain(mesh(), { ...call, headers: { host: 'nobody.example.com' } })
  assert.deepEqual(
    [answer.client.route.because[0]?.rule, answer.client.route.value.rule],
    [
      'route.host-header',
      'Host nobody.example.com is the name of nothing on port 80: passed on to where the connection was opened to',
    ],
  )
  const m = mesh(
    '{apiVersion: v1, kind: Service, metadata: {name: other, namespace: foo}, spec: {selector: {app: web}, ports: [{name: http, port: 8081}]}}',
  )
  assert.match(
    explain(m, { ...call, headers: { host: 'other.foo' } }).hints[0] ?? '',
    /^send the Host that is meant, web\.bar; other\.foo\.svc\.cluster\.local has 8081 \(http\)$/,
  )
})

test('of two VirtualServices for a host, the one that is ignored and would have answered is named', () => {
  const only = '{match: [{uri: {exact: /only}}], route: [{destination: {host: web.bar.svc.cluster.local}}]}'
  const all = '{route: [{destination: {host: web.bar.svc.cluster.local}}]}'
  const m = mesh(virtual('first', 2022, only), virtual('second', 2023, all), virtual('third', 2024, only))
  const answer = explain(m, call)
  assert.deepEqual(
    [answer.blocked?.end, answer.blocked?.instead.map((i) => `${i.source.name}: ${i.why}`)],
    [
      'no-route-matches',
      [
        'second: it would let the call through, and is ignored: of several VirtualServices for one host the first counts alone, which is foo/first',
      ],
    ],
  )
  assert.match(
    formatExplanation(answer),
    /\n {2}instead {2}VirtualService foo\/second spec \(in\.yaml:\d+\): it would let the call through/,
  )
  assert.match(
    answer.blocked?.why ?? '',
    /VirtualService foo\/first spec\.http\[0\]\.match\[0\] \(in\.yaml:\d+\): path "\/" is not "\/only"/,
  )
  const elsewhere = explain(
    mesh(virtual('first', 2022, only), virtual('private', 2023, all, ', exportTo: [bar]')),
    call,
  )
  assert.match(elsewhere.blocked?.instead[0]?.why ?? '', /is exported to bar, not to foo$/)
})

test('a DestinationRule that has no say and would have answered is named, with what hides it', () => {
  const mutual = 'trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}'
  const chosen = rule(
    'chosen',
    'workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {tls: {mode: DISABLE}}',
  )
  const m = mesh(strict, rule('plain', mutual), chosen)
  const answer = explain(m, call)
  assert.deepEqual(
    [answer.blocked?.end, answer.blocked?.instead.map((i) => i.source.name)],
    ['plaintext-to-strict', ['plain']],
  )
  const hidden =
    /DestinationRule foo\/chosen \(in\.yaml:\d+\) hides it: its workloadSelector names this caller, and a rule with one takes the place of those without$/
  assert.match(answer.blocked?.instead[0]?.why ?? '', hidden)
  assert.match(whyNot(m, call, answer).find((n) => n.source.name === 'plain')?.why ?? '', hidden)
  const subset = explain(
    mesh(
      rule('plain', 'subsets: [{name: v1}]', 'bar'),
      rule('own', 'trafficPolicy: {loadBalancer: {simple: RANDOM}}'),
      virtual('v', 2022, `{route: [{destination: {host: ${host}, subset: v1}}]}`),
    ),
    call,
  )
  assert.deepEqual(
    [subset.blocked?.end, subset.blocked?.instead.map((i) => i.source.name)],
    ['unknown-subset', ['plain']],
  )
  assert.match(subset.blocked?.instead[0]?.why ?? '', /rules in foo are looked up before those in bar$/)
})

test('rows that are ignored carry their reason, an alias is told with its target’s ports, and without an endpoint nobody sends anything', () => {
  const two = mesh(
    virtual('first', 2022, `{route: [{destination: {host: ${host}}}]}`),
    virtual('second', 2023, `{route: [{destination: {host: ${host}}}]}`),
  )
  assert.match(
    formatExplanation(explain(two, call)),
    /\n {2}ignored +route\.rival +VirtualService foo\/second spec\.hosts \(in\.yaml:\d+\) {2}another VirtualService for this host takes precedence\n/,
  )
  const alias = explain(
    mesh(
      `{apiVersion: v1, kind: Service, metadata: {name: other, namespace: foo}, spec: {type: ExternalName, externalName: ${host}, ports: [{port: 1234}]}}`,
    ),
    { from: 'web.foo', to: 'http://other:1234/' },
  )
  assert.deepEqual(
    [alias.blocked?.end, alias.blocked?.why],
    ['no-such-port', 'web.bar.svc.cluster.local has no port 1234; it has 80 (http), 9000 (tcp)'],
  )
  assert.match(
    alias.hints[0] ?? '',
    /^other is an alias \(ExternalName, Service foo\/other spec\.externalName \(in\.yaml:\d+\)\): the call is for web\.bar\.svc\.cluster\.local, which has 80 \(http\), 9000 \(tcp\)/,
  )
  const empty = explain(
    mesh(
      '{apiVersion: v1, kind: Service, metadata: {name: none, namespace: bar}, spec: {selector: {app: wbe}, ports: [{name: http, port: 80}]}}',
    ),
    { from: 'web.foo', to: 'http://none.bar/' },
  )
  assert.deepEqual(
    [empty.blocked?.end, empty.client.tls, /\nsends/.test(formatExplanation(empty))],
    ['no-pod-selected', null, false],
  )
  assert.match(
    empty.blocked?.fix[0] ?? '',
    /label app of Deployment bar\/web spec\.template\.metadata\.labels\.app \(in\.yaml:\d+\) is "web", and "wbe" is asked for/,
  )
})

test('where no ALLOW rule matches, the fix is the clause: a subject, a token, a path, an address', () => {
  const rows: readonly (readonly [string, string, RegExp])[] = [
    [
      '{from: [{source: {principals: [cluster.local/ns/x/sa/y]}}]}',
      'web.foo',
      /^add "cluster\.local\/ns\/foo\/sa\/web" to principals of AuthorizationPolicy bar\/a spec\.rules\[0\]/,
    ],
    [
      '{from: [{source: {requestPrincipals: ["*"]}}]}',
      'web.foo',
      /^add a RequestAuthentication for this workload and send a token that it verifies/,
    ],
    ['{to: [{operation: {paths: [/x]}}]}', 'web.foo', /^add "\/" to paths of .*, or send \/x$/],
    ['{from: [{source: {ipBlocks: [192.0.2.0/24]}}]}', 'web.foo', /^add "10\.244\.[\d.]+" to ipBlocks of /],
    [
      '{when: [{key: "request.headers[x-a]", values: [b]}]}',
      'web.foo',
      /^send request\.headers\[x-a\] with the request/,
    ],
  ]
  for (const [spec, from, fix] of rows) {
    const { blocked } = explain(
      mesh(
        `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: bar}, spec: {rules: [${spec}]}}`,
      ),
      { ...call, from },
    )
    assert.equal(blocked?.end, 'allowed-by-none')
    assert.match(blocked?.fix[0] ?? '', fix)
  }
})

test('an egress listener on the loopback is not opened, and said where it is called', () => {
  const narrow =
    '{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: foo}, spec: {egress: [{port: {number: 9090, protocol: HTTP, name: h}, bind: 127.0.0.1, captureMode: NONE, hosts: ["bar/*"]}]}}'
  const ask = (to: string): readonly string[] => explain(mesh(narrow), { from: 'web.foo', to }).hints
  assert.match(
    ask('http://localhost:9090/')[0] ?? '',
    /^Sidecar foo\/s spec\.egress\[0\] \(in\.yaml:\d+\) asks the sidecar to listen on 127\.0\.0\.1:9090; this mesh opens no such port/,
  )
  assert.deepEqual(ask('http://localhost:9091/'), [])
})
