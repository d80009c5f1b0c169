import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatRef, type Problem } from '#lib/problem.ts'
import { loadAll } from 'js-yaml'
import { analyze, type AnalyzeOptions, type Document } from './analyze.ts'
import { analyzers } from './analyzers.ts'
import { messageKinds } from './messages.ts'

const namespace = (name: string, label = 'istio-injection: enabled'): string => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {${label}}}\n`
const app = (name: string, ns: string, target = 80): string => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${ns}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 8000, targetPort: ${target}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: ${ns}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [{name: app, image: x, ports: [{containerPort: ${target}}]}]}
`
const peer = (name: string, ns: string, spec: string): string => `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: ${name}, namespace: ${ns}}\nspec: ${spec}\n`
const rule = (name: string, ns: string, spec: string): string => `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}, namespace: ${ns}}\nspec: ${spec}\n`
const mesh = [namespace('foo'), namespace('bar'), namespace('legacy', 'a: b'), app('sleep', 'foo'), app('httpbin', 'bar'), app('sleep', 'legacy')]

const documents = (texts: readonly string[]): Document[] => (loadAll(texts.join('---\n')) as unknown[]).map((value) => ({ value, origin: { file: 'f.yaml' } }))

function run(texts: readonly string[], options: AnalyzeOptions = {}): readonly Problem[] {
  return analyze(documents(texts), options).messages
}
const ours = (messages: readonly Problem[]): string[] => messages.filter((m) => m.code.startsWith('KITH')).map((m) => `${m.code} ${m.ref.kind} ${m.ref.namespace}/${m.ref.name} ${m.ref.path}`)

test('what Istio lacks', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['nothing wrong', mesh, []],
    ['plaintext to STRICT by rule, and from outside', [...mesh, peer('default', 'bar', '{mtls: {mode: STRICT}}'), rule('plain', 'foo', '{host: httpbin.bar.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}')],
      ['KITH0104 DestinationRule foo/plain spec.trafficPolicy.tls.mode', 'KITH0106 Deployment legacy/sleep ']],
    ['the control plane has no sidecar by design', [...mesh, peer('default', 'bar', '{mtls: {mode: STRICT}}'), 'apiVersion: v1\nkind: Pod\nmetadata: {name: istiod-1, namespace: istio-system, labels: {app: istiod, istio: pilot}}\nspec: {containers: [{name: discovery, image: x}]}\nstatus: {podIP: 10.0.0.99}\n'],
      ['KITH0106 Deployment legacy/sleep ']],
    ['mutual TLS to one without a sidecar', [...mesh, rule('mutual', 'foo', '{host: sleep.legacy.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}')], ['KITH0104 DestinationRule foo/mutual spec.trafficPolicy.tls.mode']],
    ['mutual TLS to DISABLE', [...mesh, peer('default', 'bar', '{mtls: {mode: DISABLE}}'), rule('mutual', 'bar', '{host: httpbin, trafficPolicy: {portLevelSettings: [{port: {number: 8000}, tls: {mode: ISTIO_MUTUAL}}]}}')],
      ['KITH0104 DestinationRule bar/mutual spec.trafficPolicy.portLevelSettings[0].tls.mode']],
    ['a rule that agrees', [...mesh, peer('default', 'bar', '{mtls: {mode: PERMISSIVE}}'), rule('mutual', 'bar', '{host: httpbin, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}')], []],
    ['several at one scope', [...mesh, peer('a', 'bar', '{mtls: {mode: PERMISSIVE}}'), peer('b', 'bar', '{mtls: {mode: STRICT}}')], ['KITH0101 PeerAuthentication bar/b ']],
    ['several at one workload', [...mesh, peer('a', 'bar', '{selector: {matchLabels: {app: httpbin}}}'), peer('b', 'bar', '{selector: {matchLabels: {app: httpbin}}, mtls: {mode: DISABLE}}')], ['KITH0101 PeerAuthentication bar/b ']],
    ['selector in the root namespace', [...mesh, peer('a', 'istio-system', '{selector: {matchLabels: {app: httpbin}}, mtls: {mode: STRICT}}')], ['KITH0102 PeerAuthentication istio-system/a spec.selector']],
    ['Service port in portLevelMtls', [...mesh, peer('a', 'bar', '{selector: {matchLabels: {app: httpbin}}, portLevelMtls: {8000: {mode: DISABLE}}}')], ['KITH0103 PeerAuthentication bar/a spec.portLevelMtls.8000']],
    ['container port in portLevelMtls', [...mesh, peer('a', 'bar', '{selector: {matchLabels: {app: httpbin}}, portLevelMtls: {80: {mode: DISABLE}}}')], []],
    ['a rule that hides another’s tls', [...mesh, rule('mine', 'foo', '{host: httpbin.bar.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}}'), rule('theirs', 'bar', '{host: httpbin, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}')],
      ['KITH0105 DestinationRule foo/mine spec.host']],
    ['a misspelt field', [peer('a', 'bar', '{mtls: {mod: STRICT}}')], ['KITH0003 PeerAuthentication bar/a spec.mtls.mod']],
  ]
  for (const [name, texts, wanted] of cases) assert.deepEqual(ours(run(texts)).sort(), [...wanted].sort(), name)
})

test('the number that would be right is said', () => {
  const [found] = run([...mesh, peer('a', 'bar', '{selector: {matchLabels: {app: httpbin}}, portLevelMtls: {8000: {mode: DISABLE}}}')]).filter((m) => m.code === 'KITH0103')
  assert.equal(found?.help, 'write 80')
  assert.equal(found?.ref.file, 'f.yaml')
})

test('values that can’t be read are apart, and their object has no say', () => {
  const { messages, unreadable } = analyze(documents([...mesh, peer('a', 'bar', '{mtls: {mode: DISABLED}}')]))
  assert.deepEqual(unreadable.map((p) => [p.code, p.ref.path, p.help]), [['KITH0004', 'spec.mtls.mode', 'did you mean DISABLE?']])
  assert.deepEqual(ours(messages), [])
  const label = analyze(documents(['{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: 7}}}']))
  assert.deepEqual([label.messages, label.unreadable.map((p) => [p.code, p.ref.path])], [[], [['KITH0004', 'metadata.labels.team']]])
})

test('a field that does not exist hides no error beside it', () => {
  const rule = '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: a, trafficPolicy: {tls: {mode: MUTUAL, clientCert: /c, privateKey: /k}}}}'
  assert.deepEqual(analyze(documents([rule])).messages.filter((m) => /IST0106|KITH0003/.test(m.code)).map((m) => [m.code, m.ref.path]), [['IST0106', 'spec.trafficPolicy.tls.clientCertificate'], ['KITH0003', 'spec.trafficPolicy.tls.clientCert']])
})

test('an object can ask for silence, a run for one analyzer', () => {
  const rivals = [...mesh, peer('a', 'bar', '{}'), peer('b', 'bar', '{}')]
  assert.ok(run(rivals).some((m) => m.code === 'KITH0101'))
  assert.deepEqual(run(rivals, { only: ['injection.Analyzer'] }).map((m) => m.code), ['IST0102'])
  const silent = rivals.map((t) => t.replace('{name: b, ', '{name: b, annotations: {galley.istio.io/analyze-suppress: "KITH0101"}, '))
  assert.ok(!run(silent).some((m) => m.code === 'KITH0101'))
})

test('the order of documents changes nothing', () => {
  const texts = [...mesh, peer('a', 'bar', '{mtls: {mode: STRICT}}'), peer('b', 'bar', '{}'), rule('plain', 'foo', '{host: httpbin.bar.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}'), rule('ghost', 'foo', '{host: ghost}')]
  const keys = (of: readonly string[]): string[] => run(of).map((m) => `${m.code} ${formatRef({ kind: m.ref.kind, namespace: m.ref.namespace, name: m.ref.name, path: m.ref.path })}`).sort()
  const wanted = keys(texts)
  fc.assert(fc.property(fc.shuffledSubarray(texts, { minLength: texts.length }), (shuffled) => assert.deepEqual(keys(shuffled), wanted)), { numRuns: 25 })
})

test('every code has a name, and every code of the table is said by somebody', () => {
  for (const { codes, name } of analyzers) for (const code of codes) assert.ok(messageKinds[code], `${name}: ${code}`)
})

test('an object that stands twice: the last counts, and the first is said to count for nothing', () => {
  const [twice] = run([...mesh, peer('a', 'bar', '{mtls: {mode: STRICT}}'), peer('a', 'bar', '{mtls: {mode: DISABLE}}')]).filter((m) => m.code === 'KITH0109')
  assert.deepEqual([twice?.ref.kind, twice?.ref.name, twice?.severity], ['PeerAuthentication', 'a', 'warning'])
  assert.ok(!run([...mesh, peer('a', 'bar', '{}'), peer('a', 'foo', '{}')]).some((m) => m.code === 'KITH0109'))
})
