import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { decode } from '#api'
import type { Handshake } from '#identity'
import { buildMesh, type Mesh } from '#mesh'
import { parseYaml } from '#sources'
import { explain } from './explain.ts'
import { observedIn, podsToAsk } from './observed.ts'
import { whyNot } from './why-not.ts'
import { formatExplanation } from './text.ts'
import type { Explanation } from './types.ts'

const pods = (namespace: string, more = ''): string => `
---
{apiVersion: v1, kind: Namespace, metadata: {name: ${namespace}${namespace === 'legacy' ? '' : ', labels: {istio-injection: enabled}'}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ${namespace}}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: web, ports: [{containerPort: 80}, {containerPort: 9000}, {containerPort: 7000}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: ${namespace}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 8000, targetPort: 80}, {name: tcp-raw, port: 9000}, {name: any, port: 7000}]
${more}`
const base = pods('foo') + pods('bar') + pods('legacy')

function mesh(policies = ''): Mesh {
  const objects = parseYaml(`${base}\n---\n${policies}`, 'policies.yaml').documents.map(({ value, origin }) => {
    const decoded = decode(value, origin)
    assert.deepEqual(decoded.problems.filter((p) => p.severity === 'error'), [])
    return decoded.object
  })
  return buildMesh(objects.filter((o) => o !== undefined))
}

const peer = (namespace: string, mode: string, rest = '', name = 'default'): string => `{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: ${name}, namespace: ${namespace}}, spec: {mtls: {mode: ${mode}}${rest}}}\n---\n`
const rule = (namespace: string, host: string, policy: string, rest = '', name = 'dr'): string => `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: ${name}, namespace: ${namespace}}, spec: {host: ${host}, trafficPolicy: ${policy}${rest}}}\n---\n`
const web = (namespace: string): string => `web.${namespace}.svc.cluster.local`

// Policies, caller, target, outcome, client's TLS, server's mode, where it is blocked.
const cases: readonly (readonly [string, string, string, string, string | undefined, string | undefined, string | undefined])[] = [
  ['', 'web.foo', 'http://web.bar:8000/', 'mtls', 'ISTIO_MUTUAL', 'PERMISSIVE', undefined],
  ['', 'web.foo', 'http://web.legacy:8000/', 'plaintext', 'DISABLE', undefined, undefined],
  ['', 'web.legacy', 'http://web.foo:8000/', 'plaintext', 'DISABLE', 'PERMISSIVE', undefined],
  [peer('foo', 'STRICT'), 'web.legacy', 'http://web.foo:8000/', 'blocked', 'DISABLE', 'STRICT', 'server'],
  [peer('istio-system', 'STRICT'), 'web.legacy', 'tcp://web.foo:9000', 'blocked', 'DISABLE', 'STRICT', 'server'],
  [peer('istio-system', 'STRICT') + peer('foo', 'PERMISSIVE'), 'web.legacy', 'http://web.foo:8000/', 'plaintext', 'DISABLE', 'PERMISSIVE', undefined],
  // Unset leaves the wider policy's mode; the root namespace's selectors count nowhere.
  [peer('istio-system', 'STRICT') + peer('foo', 'UNSET'), 'web.legacy', 'http://web.foo:8000/', 'blocked', 'DISABLE', 'STRICT', 'server'],
  [peer('istio-system', 'STRICT', ', selector: {matchLabels: {app: web}}'), 'web.legacy', 'http://web.foo:8000/', 'plaintext', 'DISABLE', 'PERMISSIVE', undefined],
  // Ports are container ports.
  [peer('foo', 'STRICT', ', selector: {matchLabels: {app: web}}, portLevelMtls: {80: {mode: DISABLE}}'), 'web.bar', 'http://web.foo:8000/', 'plaintext', 'DISABLE', 'DISABLE', undefined],
  [peer('foo', 'STRICT', ', selector: {matchLabels: {app: web}}, portLevelMtls: {8000: {mode: DISABLE}}'), 'web.legacy', 'http://web.foo:8000/', 'blocked', 'DISABLE', 'STRICT', 'server'],
  // Decided for each endpoint, unlike Istio: the workload's STRICT under a namespace's DISABLE gets mTLS.
  [peer('foo', 'DISABLE') + peer('foo', 'STRICT', ', selector: {matchLabels: {app: web}}', 'w'), 'web.bar', 'http://web.foo:8000/', 'mtls', 'ISTIO_MUTUAL', 'STRICT', undefined],
  [rule('foo', web('bar'), '{tls: {mode: DISABLE}}') + peer('bar', 'STRICT'), 'web.foo', 'http://web.bar:8000/', 'blocked', 'DISABLE', 'STRICT', 'server'],
  [rule('foo', web('legacy'), '{tls: {mode: ISTIO_MUTUAL}}'), 'web.foo', 'http://web.legacy:8000/', 'blocked', 'ISTIO_MUTUAL', undefined, 'client'],
  // A port's entry replaces the general policy whole: without tls of its own nothing is originated.
  [rule('foo', web('bar'), '{tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 8000}, loadBalancer: {simple: RANDOM}}]}'), 'web.foo', 'http://web.bar:8000/', 'plaintext', 'DISABLE', 'PERMISSIVE', undefined],
  [rule('foo', web('bar'), '{tls: {mode: SIMPLE}}'), 'web.foo', 'http://web.bar:8000/', 'blocked', 'SIMPLE', 'PERMISSIVE', 'server'],
  // A short name with a dot is no short name.
  [rule('foo', 'web.bar', '{tls: {mode: DISABLE}}'), 'web.foo', 'http://web.bar:8000/', 'mtls', 'ISTIO_MUTUAL', 'PERMISSIVE', undefined],
  // The caller's namespace beats the service's; a third one is not looked at.
  [rule('bar', web('bar'), '{tls: {mode: DISABLE}}'), 'web.foo', 'http://web.bar:8000/', 'plaintext', 'DISABLE', 'PERMISSIVE', undefined],
  [rule('legacy', web('bar'), '{tls: {mode: DISABLE}}'), 'web.foo', 'http://web.bar:8000/', 'mtls', 'ISTIO_MUTUAL', 'PERMISSIVE', undefined],
  [rule('bar', web('bar'), '{tls: {mode: DISABLE}}', ", exportTo: ['.']"), 'web.foo', 'http://web.bar:8000/', 'mtls', 'ISTIO_MUTUAL', 'PERMISSIVE', undefined],
  [rule('foo', "'*.svc.cluster.local'", '{tls: {mode: DISABLE}}', '', 'wide') + rule('foo', web('bar'), '{loadBalancer: {simple: RANDOM}}', '', 'exact'), 'web.foo', 'http://web.bar:8000/', 'mtls', 'ISTIO_MUTUAL', 'PERMISSIVE', undefined],
  // Nobody knows the address: passed on in plaintext. A pod without sidecar may call a pod's own address.
  ['', 'web.foo', 'http://elsewhere.example.com/', 'plaintext', 'DISABLE', undefined, undefined],
]

test('both ends of a call, as Istio decides them', () => {
  for (const [policies, from, to, outcome, tls, mode, at] of cases) {
    const answer = explain(mesh(policies), { from, to })
    assert.deepEqual([answer.outcome, answer.client.tls?.value, answer.server?.mtls?.value, answer.blocked?.at], [outcome, tls, mode, at], `${policies}${from} → ${to}`)
  }
})

test('a headless service: the pod that the client chose, mutual TLS where all of its pods take it', () => {
  const headless = (more = ''): Mesh => mesh(`{apiVersion: v1, kind: Service, metadata: {name: db, namespace: bar}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: tcp, port: 9000}, {name: http-x, port: 80}]}}\n---\n${more}`)
  for (const to of ['tcp://db.bar:9000', 'http://db.bar:80/']) {
    const answer = explain(headless(peer('bar', 'STRICT')), { from: 'web.foo', to })
    assert.deepEqual([answer.outcome, answer.client.tls?.because[0]?.rule, answer.server?.workload], ['mtls', 'tls.auto-headless', 'bar/web'], to)
  }
  const off = explain(headless(peer('bar', 'DISABLE')), { from: 'web.foo', to: 'tcp://db.bar:9000' })
  assert.deepEqual([off.outcome, off.client.tls?.because[1]?.rule], ['plaintext', 'endpoint.disable'])
})

const virtual = (spec: string, name = 'vs', meta = ''): string => `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: ${name}, namespace: foo${meta}}, spec: {hosts: [${web('bar')}], ${spec}}}\n---\n`

test('routing comes first, the routed host’s policy after', () => {
  const routed = explain(mesh(virtual(`http: [{match: [{uri: {prefix: /api}, headers: {user: {exact: ann}}}], route: [{destination: {host: ${web('legacy')}, port: {number: 8000}}}]}, {route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/api/x', headers: { User: 'ann' } })
  assert.deepEqual([routed.client.destination?.host, routed.outcome], [web('legacy'), 'plaintext'])
  assert.equal(routed.client.route.because[0]?.rule, 'route.virtual-service')
})

test('a host taken over without a matching rule is a 404; rules that can’t reach the caller leave default routing', () => {
  const taken = explain(mesh(virtual(`http: [{match: [{uri: {exact: /only}}], route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/other' })
  assert.deepEqual([taken.outcome, taken.blocked?.at], ['blocked', 'client'])
  assert.match(taken.blocked?.symptom ?? '', /404/)
  const elsewhere = explain(mesh(virtual(`http: [{match: [{sourceLabels: {app: other}}], route: [{destination: {host: ${web('legacy')}, port: {number: 8000}}}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/' })
  assert.deepEqual([elsewhere.outcome, elsewhere.client.destination?.host], ['mtls', web('bar')])
})

test('a subset nobody defined, or without pods, ends with 503', () => {
  const lost = explain(mesh(virtual(`http: [{route: [{destination: {host: ${web('bar')}, subset: v9, port: {number: 8000}}}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/' })
  assert.match(lost.blocked?.symptom ?? '', /503.*NC/)
  const empty = explain(mesh(virtual(`http: [{route: [{destination: {host: ${web('bar')}, subset: v9, port: {number: 8000}}}]}]`) + rule('bar', web('bar'), '{loadBalancer: {simple: RANDOM}}', ', subsets: [{name: v9, labels: {version: v9}}]')), { from: 'web.foo', to: 'http://web.bar:8000/' })
  assert.match(empty.blocked?.symptom ?? '', /503.*UH/)
})

test('weights to different ends make a mixed answer, each end told', () => {
  const mixed = explain(mesh(virtual(`http: [{route: [{destination: {host: ${web('bar')}, port: {number: 8000}}, weight: 90}, {destination: {host: ${web('legacy')}, port: {number: 8000}}, weight: 10}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/' })
  assert.equal(mixed.outcome, 'mixed')
  assert.deepEqual(mixed.endpoints.map((e) => [e.weight, e.outcome]), [[90, 'mtls'], [10, 'plaintext']])
})

test('weighted destinations that differ in port alone are each told', () => {
  const split = explain(mesh(virtual(`http: [{route: [{destination: {host: ${web('bar')}, port: {number: 8000}}, weight: 75}, {destination: {host: ${web('bar')}, port: {number: 7000}}, weight: 25}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/' })
  assert.deepEqual([split.outcome, split.endpoints.map((e) => [e.weight, e.client.destination?.port, e.server?.port])], ['mtls', [[75, 8000, 80], [25, 7000, 7000]]])
  assert.match(formatExplanation(split), /^spread {3}bar\/web port 80: 75 % of calls\n {9}bar\/web port 7000: 25 % of calls$/m)
})

test('TLS that is not the mesh’s: who makes it, who ends it, and what that rests on', () => {
  const own = (mode: string): string => `${peer('bar', 'DISABLE')}{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: own, namespace: bar}, spec: {ingress: [{port: {number: 9000, protocol: TLS, name: tls}, defaultEndpoint: '127.0.0.1:9000', tls: {mode: ${mode}, serverCertificate: /c.pem, privateKey: /k.pem${mode === 'MUTUAL' ? ', caCertificates: /ca.pem' : ''}}}]}}\n---\n`
  const sends = (mode: string): string => rule('foo', web('bar'), `{tls: {mode: ${mode}${mode === 'MUTUAL' ? ', clientCertificate: /a, privateKey: /b' : ''}}}`)
  const rows: readonly (readonly [string, string, string, RegExp | undefined, string | undefined])[] = [
    [own('SIMPLE'), 'https://web.bar:9000/', 'tls', /takes the certificate \/c\.pem/, undefined],
    [own('SIMPLE') + sends('SIMPLE'), 'tcp://web.bar:9000', 'tls', /takes the certificate \/c\.pem/, undefined],
    [own('SIMPLE') + sends('ISTIO_MUTUAL'), 'tcp://web.bar:9000', 'blocked', undefined, 'client'],
    [own('SIMPLE'), 'tcp://web.bar:9000', 'blocked', undefined, 'server'],
    [own('MUTUAL') + sends('SIMPLE'), 'tcp://web.bar:9000', 'blocked', undefined, 'server'],
    [own('MUTUAL') + sends('MUTUAL'), 'tcp://web.bar:9000', 'tls', /shows one that \/ca\.pem vouches for/, undefined],
    [sends('SIMPLE'), 'tcp://web.bar:9000', 'tls', /application of web\.bar ends TLS on port 9000 itself: its sidecar passes on/, undefined],
    [rule('foo', web('legacy'), '{tls: {mode: SIMPLE}}'), 'http://web.legacy:8000/', 'tls', /no sidecar stands before it\. One that speaks plaintext there can’t read it, and the caller sees 503/, undefined],
    ['', 'http://web.bar:8000/', 'mtls', undefined, undefined],
  ]
  for (const [policies, to, outcome, provided, at] of rows) {
    const answer = explain(mesh(policies), { from: 'web.foo', to })
    assert.deepEqual([answer.outcome, answer.blocked?.at], [outcome, at], `${policies} ${to}: ${answer.blocked?.why}`)
    if (provided === undefined) assert.equal(answer.provided, null)
    else assert.match(answer.provided ?? '', provided)
  }
  assert.match(formatExplanation(explain(mesh(own('SIMPLE')), { from: 'web.foo', to: 'https://web.bar:9000/' })), /: the application’s own TLS, which the server’s sidecar ends\n/)
  assert.match(formatExplanation(explain(mesh(sends('SIMPLE')), { from: 'web.foo', to: 'tcp://web.bar:9000' })), /: TLS that the caller’s sidecar originates\n[^]*^needs {4}the application/m)
})

test('a credentialName: plaintext where the rule selects nobody; else what has to be in which Secret', () => {
  const entry = '{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: foo}, spec: {hosts: [files.example.com], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.10}]}}\n---\n'
  const ask = (tls: string, rest = ', workloadSelector: {matchLabels: {app: web}}', more = ''): Explanation => explain(mesh(entry + rule('foo', 'files.example.com', `{tls: {${tls}}}`, rest) + more), { from: 'web.foo', to: 'http://files.example.com/' })
  const unselected = ask('mode: SIMPLE, credentialName: files', '')
  assert.deepEqual([unselected.outcome, unselected.client.tls?.value, unselected.client.tls?.because[0]?.rule], ['plaintext', 'DISABLE', 'tls.credential-unselected'])
  assert.match(ask('mode: MUTUAL, credentialName: files').provided ?? '', /gets the Secret foo\/files with tls\.crt and tls\.key .* which the service account foo\/web may read, and ca\.crt .* foo\/files-cacert or foo\/files; until then/)
  const secret = (keys: string, name = 'files'): string => `{apiVersion: v1, kind: Secret, metadata: {name: ${name}, namespace: foo}, stringData: ${keys}}\n---\n`
  assert.equal(ask('mode: MUTUAL, credentialName: files', undefined, secret('{tls.crt: x, tls.key: y, ca.crt: z}')).provided, null)
  assert.match(ask('mode: SIMPLE, credentialName: files', undefined, secret('{tls.crt: x}')).provided ?? '', /^the caller’s sidecar gets ca\.crt/)
  assert.equal(ask('mode: SIMPLE, credentialName: files', undefined, secret('{cacert: x}', 'files-cacert')).provided, null)
})

test('who gets how many of the calls, and who stands by', () => {
  const pod = (name: string, place: string, ns = 'bar'): string => `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ${name}, namespace: ${ns}}, spec: {template: {metadata: {labels: {app: ${name.split('-')[0]}, istio-locality: ${place}}}, spec: {containers: [{name: web}]}}}}\n---\n`
  const zones = mesh(pod('near-1', 'r1.a') + pod('far-1', 'r2.a') + pod('near', 'r1.a', 'foo') + '{apiVersion: v1, kind: Service, metadata: {name: zones, namespace: bar}, spec: {ports: [{name: http, port: 8000}], selector: {app: near}}}\n---\n' + pod('near-2', 'r2.a') + rule('foo', 'zones.bar.svc.cluster.local', '{outlierDetection: {consecutive5xxErrors: 5}}'))
  const answer = explain(zones, { from: 'near.foo', to: 'http://zones.bar:8000/' })
  assert.deepEqual(answer.spread.map((s) => [s.workload, s.share, s.priority, s.locality]), [['bar/near-1', 1, 0, 'r1/a'], ['bar/near-2', 0, 1, 'r2/a']])
  assert.match(formatExplanation(answer), /^spread {3}bar\/near-1 in r1\/a: 100 % of calls\n {9}bar\/near-2 in r2\/a: stands by, priority 1$/m)
  assert.doesNotMatch(formatExplanation(explain(mesh(), { from: 'web.foo', to: 'http://web.bar:8000/' })), /spread/)
})

test('the answer is what the schema says, names file and line, and reads well', () => {
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(JSON.parse(readFileSync('docs/schema/explain.json', 'utf8')) as object)
  for (const [policies, from, to] of cases) {
    const answer = explain(mesh(policies), { from, to })
    assert.ok(validate(JSON.parse(JSON.stringify(answer))), JSON.stringify(validate.errors))
    assert.ok(formatExplanation(answer).split('\n').length < 60)
  }
  const blocked = explain(mesh(peer('foo', 'STRICT')), { from: 'web.legacy', to: 'http://web.foo:8000/' })
  const source = blocked.blocked?.source
  assert.ok(source !== undefined && source !== 'default' && source.file === 'policies.yaml' && (source.line ?? 0) > 1)
  assert.match(formatExplanation(blocked), /PeerAuthentication foo\/default spec\.mtls\.mode \(policies\.yaml:\d+\)/)
})

test('why a rule did not apply is said by its clause', () => {
  const with_ = mesh(virtual(`http: [{match: [{uri: {prefix: /api}}], route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]}, {route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]}]`) + rule('legacy', web('bar'), '{tls: {mode: DISABLE}}') + peer('bar', 'STRICT', ', selector: {matchLabels: {app: other}}', 'o'))
  const call = { from: 'web.foo', to: 'http://web.bar:8000/x' }
  const said = whyNot(with_, call, explain(with_, call)).map((n) => n.why).join('\n')
  assert.match(said, /path "\/x" does not begin with "\/api"/)
  assert.match(said, /rules are looked up in foo, bar, istio-system; it is in legacy/)
  assert.match(said, /app is "web", not "other"/)
})

test('a rule that holds and comes too late, rules of another kind, delegates: each gets its sentence', () => {
  const to = `route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]`
  const policies = virtual(`http: [{match: [{uri: {prefix: /x}}], ${to}}, {match: [{method: {exact: GET}}], ${to}}, {${to}}], tcp: [{match: [{port: 9000}], route: [{destination: {host: ${web('bar')}}}]}]`)
  const said = (to: string): string[] => whyNot(mesh(policies), { from: 'web.foo', to }, explain(mesh(policies), { from: 'web.foo', to })).map((n) => `${n.source.path}: ${n.why}`)
  const http = said('http://web.bar:8000/x')
  assert.equal(http.length, 3)
  assert.match(http[0] ?? '', /^spec\.http\[1\]\.match\[0\]: every clause of it holds, and VirtualService foo\/vs spec\.http\[0\]\.match\[0\] \(policies\.yaml:\d+\) comes before it$/)
  assert.match(http[1] ?? '', /^spec\.http\[2\]: every clause of it holds/)
  assert.equal(http[2], 'spec.tcp: tcp rules are for connections that the sidecar reads no HTTP in')
  assert.deepEqual(said('tcp://web.bar:9000'), ['spec.http: http rules are for what the sidecar reads as HTTP, and this call is not'])
  const delegated = mesh(virtual('http: [{match: [{uri: {prefix: /x}}], delegate: {name: more}}]') + `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: more, namespace: foo}, spec: {http: [{match: [{uri: {prefix: /x/y}}], ${to}}, {${to}}]}}`)
  const call = { from: 'web.foo', to: 'http://web.bar:8000/x' }
  assert.deepEqual(whyNot(delegated, call, explain(delegated, call)).map((n) => `${n.source.name} ${n.source.path}: ${n.why}`), ['more spec.http[0].match[0]: path "/x" does not begin with "/x/y"'])
})

test('a port or a name that nobody has is said with those that somebody has', () => {
  const port = explain(mesh(), { from: 'web.foo', to: 'http://web.bar:8080/' })
  assert.deepEqual([port.outcome, port.blocked?.at], ['blocked', 'client'])
  assert.match(port.blocked?.why ?? '', /web\.bar\.svc\.cluster\.local has no port 8080; it has 8000 \(http\), 9000 \(tcp-raw\), 7000 \(any\)/)
  assert.match(explain(mesh(), { from: 'web.legacy', to: 'tcp://web.bar:1' }).blocked?.symptom ?? '', /refused/)
  assert.match(explain(mesh(), { from: 'web.foo', to: 'http://wbe.bar:8000/' }).client.route.value.rule, /did you mean web\.bar\?/)
  assert.doesNotMatch(explain(mesh(), { from: 'web.foo', to: 'http://elsewhere.example.com/' }).client.route.value.rule, /did you mean/)
})

test('what is written without a scheme is called as its port declares', () => {
  assert.equal(explain(mesh(peer('bar', 'STRICT')), { from: 'web.foo', to: 'web.bar:8000/x' }).outcome, 'mtls')
  const tls = explain(mesh(), { from: 'web.foo', to: 'https://web.bar:8000/' })
  // What is no HTTP goes past the client's rules, to where the application was going.
  assert.deepEqual([tls.outcome, tls.blocked?.at, tls.client.route.because[0]?.rule, tls.client.tls?.value], ['blocked', 'server', 'route.not-http', 'DISABLE'])
  assert.match(tls.blocked?.why ?? '', /port 80 carries HTTP, where a sidecar ends no TLS but the mesh’s own, and the application sends TLS/)
})

test('a pinned name that the server does not have ends the handshake at the client', () => {
  const pinned = explain(mesh(rule('foo', web('bar'), '{tls: {mode: ISTIO_MUTUAL, subjectAltNames: ["spiffe://cluster.local/ns/bar/sa/other"]}}')), { from: 'web.foo', to: 'http://web.bar:8000/' })
  assert.deepEqual([pinned.outcome, pinned.blocked?.at], ['blocked', 'client'])
  assert.match(pinned.blocked?.why ?? '', /expects spiffe:\/\/cluster\.local\/ns\/bar\/sa\/other, and web\.bar’s certificate names spiffe:\/\/cluster\.local\/ns\/bar\/sa\/web/)
})

test('the path and Host that the server reads are told where the route rewrites them', () => {
  const answer = explain(mesh(virtual(`http: [{match: [{uri: {prefix: /old}}], rewrite: {uri: /new, authority: other.example.com}, route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]}]`)), { from: 'web.foo', to: 'http://web.bar:8000/old/x?q=1' })
  assert.deepEqual([answer.client.route.value.path, answer.client.route.value.authority], ['/new/x?q=1', 'other.example.com'])
  assert.match(formatExplanation(answer), /^route .*:8000, as \/new\/x\?q=1 with Host other\.example\.com$/m)
})

test('lines fit the terminal, and lose no word', () => {
  for (const [policies, from, to] of cases) {
    const answer = explain(mesh(policies), { from, to })
    const narrow = formatExplanation(answer, { width: 80 })
    assert.ok(narrow.split('\n').every((l) => l.length <= 80 || !l.trim().includes(' ')), narrow)
    assert.deepEqual(narrow.split(/\s+/), formatExplanation(answer).split(/\s+/))
  }
})

test('a name that leads nowhere is an error with the nearest one', () => {
  assert.throws(() => explain(mesh(), { from: 'wep.foo', to: 'http://web.bar:8000/' }), /did you mean web\.foo\?/)
  assert.throws(() => explain(mesh(), { from: 'web', to: 'http://web.bar:8000/' }), /there is web\.bar, web\.foo, web\.legacy$/)
  const both = mesh('{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: web, namespace: foo}, spec: {template: {spec: {containers: [{name: web}]}}}}')
  assert.throws(() => explain(both, { from: 'web.foo', to: 'http://web.bar:8000/' }), { code: 'AMBIGUOUS_WORKLOAD' })
  assert.equal(explain(both, { from: 'sts/web.foo', to: 'http://web.bar:8000/' }).outcome, 'mtls')
  for (const to of ['not a target', 'http://*/', 'http://user@web.bar/', 'http://web.bar:0/', 'http://web.bar:99999/', 'tcp://web.bar', 'ftp://web.bar']) assert.throws(() => explain(mesh(), { from: 'web.foo', to }), { code: 'WRONG_TARGET' })
})

test('a path that can’t be read is refused by the first sidecar that reads it', () => {
  for (const [from, at] of [['web.foo', 'client'], ['web.legacy', 'server']] as const) {
    const answer = explain(mesh(), { from, to: 'http://web.bar:8000/%00' })
    assert.deepEqual([answer.outcome, answer.blocked?.at, answer.blocked?.symptom.slice(0, 3)], ['blocked', at, '400'], from)
  }
  assert.equal(explain(mesh(), { from: 'web.foo', to: 'tcp://web.bar:9000' }).outcome, 'mtls')
})

test('faults on purpose are said: those that leave no call block it, the others stand at the route', () => {
  const virtual = (fault: string): string => `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [web.bar.svc.cluster.local], http: [{fault: ${fault}, route: [{destination: {host: web.bar.svc.cluster.local}}]}]}}`
  const ask = (fault: string): Explanation => explain(mesh(virtual(fault)), { from: 'web.foo', to: 'http://web.bar:8000/' })
  const all = ask('{abort: {httpStatus: 451, percentage: {value: 100}}}')
  assert.deepEqual([all.outcome, all.blocked?.at, all.blocked?.symptom], ['blocked', 'client', '451 from the caller’s sidecar (response flag FI)'])
  const some = ask('{abort: {httpStatus: 451, percentage: {value: 12.5}}, delay: {fixedDelay: 2s, percentage: {value: 100}}}')
  assert.deepEqual([some.outcome, some.client.route.value.fault], ['mtls', { delay: { ms: 2000, percent: 100 }, abort: { status: '451', percent: 12.5 } }])
  assert.match(formatExplanation(some), /fault injection: 100 % of calls wait 2000 ms, 12\.5 % of calls are answered with 451/)
  assert.equal(ask('{abort: {httpStatus: 451, percentage: {value: 0}}}').client.route.value.fault, undefined)
})

test('an answer in HTTP comes from a port that the sidecar reads as HTTP; elsewhere the connection ends', () => {
  const closed = '{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: default, namespace: foo}, spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}'
  for (const [policies, to, symptom] of [['', 'http://web.bar:9999/', /closed/], [closed, 'http://example.com:9999/', /closed/], [closed, 'http://example.com:8000/', /^502/], [closed, 'tcp://example.com:8000', /closed/]] as const) {
    assert.match(explain(mesh(policies), { from: 'web.foo', to }).blocked?.symptom ?? '', symptom, to)
  }
})

test('what can’t be asked is answered with what can be', () => {
  for (const [from, to, message] of [
    ['web.foo', 'web.bar', /"web\.bar" names no port: write http:\/\/web\.bar:8000 or tcp:\/\/web\.bar:9000 or tcp:\/\/web\.bar:7000$/], ['web.foo', 'tcp://web.bar', /names no port: write tcp:\/\/web\.bar:8000/], ['web.foo', 'ftp://web.bar:21/', /the scheme ftp is not known; there are http, https, grpc, tcp and udp$/],
    ['web.foo', 'http://', /is no target: write http:\/\/host:port\/path/], ['web.foo', 'tcp://nobody.example.com', /is no target/], ['foo/web', 'http://web.bar:8000/', /"foo" is no kind of workload; did you mean web\.foo\?$/], ['nope/web', 'http://web.bar:8000/', /there are pod, po/],
  ] as const) assert.throws(() => explain(mesh(), { from, to }), message, `${from} ${to}`)
  assert.match(explain(mesh(), { from: 'web.foo', to: 'https://web.bar:8000/' }).client.route.value.rule, /^port 8000 of web\.bar\.svc\.cluster\.local is declared as HTTP, and the application sends TLS, which no route is for: passed on to the address as it is$/)
})

test('calls of a pod to itself meet no sidecar, whatever the mesh forbids', () => {
  const closed = mesh('{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: default, namespace: foo}, spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}')
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]']) {
    const answer = explain(closed, { from: 'web.foo', to: `http://${host}:8000/` })
    assert.deepEqual([answer.outcome, answer.server, answer.client.route.because[0]?.rule, answer.client.tls?.value], ['plaintext', null, 'route.loopback', 'DISABLE'], host)
  }
  assert.equal(explain(closed, { from: 'web.foo', to: 'http://128.0.0.1:8000/' }).outcome, 'blocked')
})

test('what was observed: the latest handshake of any of the caller’s pods with the place that the call reaches', () => {
  const m = mesh()
  const answer = explain(m, { from: 'web.foo', to: 'http://web.bar:8000/' })
  const address = (namespace: string): string => m.workloads.find((w) => w.namespace === namespace)?.addresses[0] as string
  const at = (time: string, place: string, more: Partial<Handshake> = {}): Handshake => ({ time, side: 'outbound', address: place, serverName: `outbound_.8000_._.${web('bar')}`, tlsVersion: 'TLSv1.3', cipher: 'C', own: 'a', peer: 'b', ownCertificateEnds: 'x', peerCertificateEnds: 'y', ...more })
  assert.deepEqual(podsToAsk(m, answer).map((w) => w.id), m.workloads.filter((w) => w.namespace === 'foo').map((w) => w.id))
  const seen = [at('2026-01-01T00:00:01Z', `${address('bar')}:80`), at('2026-01-01T00:00:03Z', `${address('bar')}:80`, { cipher: 'D' }), at('2026-01-01T00:00:09Z', `${address('bar')}:9000`), at('2026-01-01T00:00:09Z', `${address('bar')}:80`, { side: 'inbound' }), at('2026-01-01T00:00:09Z', `${address('bar')}:80`, { serverName: `outbound_.8001_._.other.bar.svc.cluster.local` })]
  const observed = observedIn(m, answer, seen)
  assert.deepEqual([observed?.time, observed?.cipher, observed?.client, observed?.server, observed?.clientCertificateEnds, observed?.serverCertificateEnds], ['2026-01-01T00:00:03Z', 'D', 'a', 'b', 'x', 'y'])
  assert.match(formatExplanation({ ...answer, observed }), /^seen {5}TLSv1\.3 D, 2026/m)
  assert.equal(observedIn(m, answer, []), null)
  for (const [from, to] of [['web.legacy', 'http://web.bar:8000/'], ['web.foo', 'http://web.legacy:8000/'], ['web.foo', 'http://elsewhere.example.com/']] as const) assert.deepEqual(podsToAsk(m, explain(m, { from, to })), [], `${from} → ${to}`)
})

test('a StatefulSet of files stands for each of its pods', () => {
  const kafka = '{apiVersion: v1, kind: Service, metadata: {name: kafka, namespace: bar}, spec: {clusterIP: None, selector: {app: kafka}, ports: [{name: tcp, port: 9092}]}}\n---\n{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: kafka, namespace: bar}, spec: {serviceName: kafka, replicas: 2, template: {metadata: {labels: {app: kafka}}, spec: {containers: [{name: k}]}}}}'
  const ask = (pod: string): Explanation => explain(mesh(peer('bar', 'STRICT') + kafka), { from: 'web.foo', to: `tcp://${pod}.kafka.bar:9092` })
  for (const pod of ['kafka-0', 'kafka-1']) assert.deepEqual([ask(pod).outcome, ask(pod).server?.workload], ['mtls', 'bar/kafka'], pod)
  for (const pod of ['kafka-2', 'kafka-01', 'kafka-', 'kafka']) assert.equal(ask(pod).server, null, pod)
})

test('a gRPC call is a POST of gRPC, and an error is gRPC’s', () => {
  const only = (operation: string): string => `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: bar}, spec: {rules: [{to: [{operation: {${operation}}}]}]}}\n---\n`
  const ask = (policies: string, to = 'grpc://web.bar:8000/shop.Cart/Get'): Explanation => explain(mesh(policies), { from: 'web.foo', to })
  assert.equal(ask(only('methods: [POST]')).outcome, 'mtls')
  assert.equal(ask(virtual(`http: [{match: [{headers: {content-type: {prefix: application/grpc}}, method: {exact: POST}}], route: [{destination: {host: ${web('bar')}, port: {number: 8000}}}]}]`)).outcome, 'mtls')
  assert.equal(ask(only('methods: [PUT]')).blocked?.symptom, 'gRPC status 7, PERMISSION_DENIED: “RBAC: access denied” from the server’s sidecar')
  assert.equal(ask(rule('foo', web('bar'), '{tls: {mode: DISABLE}}') + peer('bar', 'STRICT')).blocked?.symptom, 'gRPC status 14, UNAVAILABLE, from the caller’s sidecar (response flags UC, upstream connection termination)')
  assert.equal(ask('', 'grpc://web.bar:8000/%00').blocked?.symptom, 'gRPC status 13, INTERNAL, from the caller’s sidecar')
  // Where the caller's sidecar reads no HTTP, it answers nothing.
  assert.equal(ask(rule('foo', web('bar'), '{tls: {mode: DISABLE}}') + peer('bar', 'STRICT'), 'http://web.bar:9000/').blocked?.symptom, 'the connection is closed before any answer')
})

test('a name that nobody in the mesh has needs a DNS that knows it', () => {
  const ask = (to: string): string | null => explain(mesh('{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: api, namespace: foo}, spec: {hosts: [api.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}}'), { from: 'web.foo', to }).provided
  assert.match(ask('http://web.nope:8000/') ?? '', /^DNS outside the mesh has an address for web\.nope$/)
  for (const to of ['http://api.example.com/', 'http://web.bar:8000/', 'http://192.0.2.7:8000/']) assert.equal(ask(to), null, to)
})

test('the application’s own TLS is not called plaintext', () => {
  const headline = (to: string): string => formatExplanation(explain(mesh(), { from: 'web.foo', to })).split('\n')[0] as string
  assert.match(headline('https://api.example.com/'), /: the application’s own TLS, passed on as it is$/)
  assert.match(headline('https://web.legacy:8000/'), /: the application’s own TLS, passed on as it is$/)
  assert.match(headline('http://api.example.com/'), /: plaintext$/)
})

test('of replicas the same is said once', () => {
  const replica = (n: number): string => `{apiVersion: v1, kind: Pod, metadata: {name: r-${n}, namespace: bar, labels: {app: r}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: r, uid: u, controller: true}]}, spec: {containers: [{name: r}, {name: istio-proxy}]}, status: {podIP: 10.1.0.${n}, phase: Running}}\n---\n`
  const service = '{apiVersion: v1, kind: Service, metadata: {name: r, namespace: bar}, spec: {selector: {app: r}, ports: [{name: http, port: 8000, targetPort: 80}]}}\n---\n'
  const split = virtual(`http: [{route: [{destination: {host: r.bar.svc.cluster.local}, weight: 50}, {destination: {host: ${web('bar')}, port: {number: 8000}}, weight: 50}]}]`)
  const text = formatExplanation(explain(mesh(replica(1) + replica(2) + service + split), { from: 'web.foo', to: 'http://web.bar:8000/' }))
  assert.equal(text.match(/^endpoint /gm)?.length, 2, text)
  assert.match(text, /^endpoint bar\/r at 10\.1\.0\.1:80, 10\.1\.0\.2:80: /m)
})
