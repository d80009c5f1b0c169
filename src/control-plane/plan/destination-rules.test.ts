import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MeshConfigSpec } from '#api'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { planContext } from './context.ts'
import { planUpstreams } from './upstreams.ts'
import type { Upstream } from './types.ts'

const workload = (name: string, namespace: string): string => `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ${name}, namespace: ${namespace}}, spec: {template: {metadata: {labels: {app: ${name}, version: v1}}, spec: {containers: [{name: a, ports: [{containerPort: 80}]}]}}}}`
const base = [
  ...['foo', 'bar', 'istio-system', 'third'].map((n) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${n}, labels: {istio-injection: enabled}}}`),
  '{apiVersion: v1, kind: Namespace, metadata: {name: legacy}}',
  ...[['web', 'foo'], ['other', 'foo'], ['web', 'bar'], ['web', 'istio-system'], ['web', 'legacy']].map(([n, ns]) => workload(n as string, ns as string)),
  ...['bar', 'legacy'].map((n) => `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: ${n}}, spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 80}, {name: tcp, port: 9000, targetPort: 80}]}}`),
]
const host = 'web.bar.svc.cluster.local'

interface Rule { readonly in?: string; readonly name?: string; readonly host?: string; readonly year?: number; readonly spec: string; readonly exportTo?: string; readonly selector?: string }
const rule = (r: Rule): string => `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: ${r.name ?? 'dr'}, namespace: ${r.in ?? 'foo'}, creationTimestamp: "${r.year ?? 2020}-01-01T00:00:00Z"}, spec: {host: "${r.host ?? host}", ${r.spec}${r.exportTo === undefined ? '' : `, exportTo: ${r.exportTo}`}${r.selector === undefined ? '' : `, workloadSelector: {matchLabels: ${r.selector.startsWith('{') ? r.selector : `{app: ${r.selector}}`}}`}}}`
const tls = (mode: string): string => `trafficPolicy: {tls: {mode: ${mode}}}`
const random = 'trafficPolicy: {loadBalancer: {simple: RANDOM}}'

function mesh(more: readonly string[], meshConfig: MeshConfigSpec = {}, reversed = false): Mesh {
  const { objects, problems } = decodeObjects(parseYaml([...base, ...more].join('\n---\n'), 'd.yaml').documents)
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  return buildMesh(reversed ? [...objects].reverse() : objects, { meshConfig })
}
const upstreams = (m: Mesh, client: string): Upstream[] => planUpstreams(planContext(m, m.workloads.find((w) => `${w.name}.${w.namespace}` === client) as never))
const upstream = (rules: readonly Rule[], client = 'web.foo', name = `outbound|8000||${host}`, config: MeshConfigSpec = {}, reversed = false): Upstream => {
  const found = upstreams(mesh(rules.map(rule), config, reversed), client).find((u) => u.name === name)
  assert.ok(found !== undefined, name)
  return found
}

// What it shows, rules, mode on the wire, balancing; the caller is web.foo unless named.
const lookups: readonly (readonly [string, readonly Rule[], string, string, string?])[] = [
  ['none', [], 'AUTO', 'LEAST_REQUEST'],
  ['the caller’s namespace first', [{ in: 'foo', spec: tls('SIMPLE') }, { in: 'bar', spec: tls('DISABLE') }], 'SIMPLE', 'LEAST_REQUEST'],
  ['then the service’s', [{ in: 'bar', spec: tls('DISABLE') }, { in: 'istio-system', spec: tls('SIMPLE') }], 'DISABLE', 'LEAST_REQUEST'],
  ['then the root’s', [{ in: 'istio-system', spec: tls('SIMPLE') }], 'SIMPLE', 'LEAST_REQUEST'],
  ['a third one’s never', [{ in: 'third', spec: tls('DISABLE') }], 'AUTO', 'LEAST_REQUEST'],
  ['levels don’t merge', [{ in: 'foo', spec: random }, { in: 'bar', spec: tls('DISABLE') }], 'AUTO', 'RANDOM'],
  ['exact before wildcard', [{ host: '*.bar.svc.cluster.local', name: 'w', spec: tls('DISABLE') }, { spec: random }], 'AUTO', 'RANDOM'],
  ['the longer wildcard', [{ host: '*.local', name: 'w', spec: tls('DISABLE') }, { host: '*.bar.svc.cluster.local', name: 'x', spec: tls('SIMPLE') }], 'SIMPLE', 'LEAST_REQUEST'],
  ['a short name is of the rule’s namespace', [{ in: 'bar', host: 'web', spec: tls('DISABLE') }], 'DISABLE', 'LEAST_REQUEST'],
  ['elsewhere it is another host', [{ in: 'foo', host: 'web', spec: tls('DISABLE') }], 'AUTO', 'LEAST_REQUEST'],
  ['a name with a dot is not expanded', [{ in: 'foo', host: 'web.bar', spec: tls('DISABLE') }], 'AUTO', 'LEAST_REQUEST'],
  ['a private rule of the service’s namespace', [{ in: 'bar', spec: tls('DISABLE'), exportTo: '["."]' }], 'AUTO', 'LEAST_REQUEST'],
  ['one exported to the caller by name', [{ in: 'bar', spec: tls('DISABLE'), exportTo: '[foo]' }], 'DISABLE', 'LEAST_REQUEST'],
  ['an exact rule exported elsewhere hides the wildcard', [{ in: 'bar', spec: tls('SIMPLE'), exportTo: '[third]' }, { in: 'bar', name: 'w', host: '*.bar.svc.cluster.local', spec: tls('DISABLE') }], 'AUTO', 'LEAST_REQUEST'],
  ['a private exact rule does not', [{ in: 'bar', spec: tls('SIMPLE'), exportTo: '["."]' }, { in: 'bar', name: 'w', host: '*.bar.svc.cluster.local', spec: tls('DISABLE') }], 'DISABLE', 'LEAST_REQUEST'],
  ['one’s own rule exported only elsewhere', [{ in: 'foo', spec: tls('DISABLE'), exportTo: '[third]' }], 'AUTO', 'LEAST_REQUEST'],
  ['a rule for chosen workloads replaces the plain one', [{ spec: tls('DISABLE') }, { name: 's', spec: random, selector: 'web' }], 'AUTO', 'RANDOM'],
  ['it leaves other workloads alone', [{ spec: tls('DISABLE') }, { name: 's', spec: random, selector: 'web' }], 'DISABLE', 'LEAST_REQUEST', 'other.foo'],
  ['it is private to its namespace', [{ in: 'bar', name: 's', spec: tls('DISABLE'), selector: 'web' }], 'AUTO', 'LEAST_REQUEST'],
  ['one whose selector names no label is for all of its namespace', [{ spec: tls('DISABLE') }, { name: 's', spec: random, selector: '{}' }], 'AUTO', 'RANDOM', 'other.foo'],
  ['and for no other', [{ in: 'bar', name: 's', spec: tls('DISABLE'), selector: '{}' }], 'AUTO', 'LEAST_REQUEST'],
  ['a private plain rule adds to one for chosen workloads', [{ spec: tls('DISABLE'), exportTo: '["."]' }, { name: 's', spec: 'subsets: [{name: v1, labels: {version: v1}}]', selector: 'web' }], 'DISABLE', 'LEAST_REQUEST'],
  ['and stands for nobody else', [{ spec: tls('DISABLE'), exportTo: '["."]' }, { name: 's', spec: 'subsets: [{name: v1, labels: {version: v1}}]', selector: 'web' }], 'AUTO', 'LEAST_REQUEST', 'other.foo'],
  ['capitals in a host are another host', [{ host: 'WEB.bar.svc.cluster.local', spec: tls('DISABLE') }], 'AUTO', 'LEAST_REQUEST'],
  ['the older of two policies counts whole', [{ name: 'a', year: 2022, spec: tls('DISABLE') }, { name: 'b', spec: random }], 'AUTO', 'RANDOM'],
  ['an older one with subsets alone hides nothing', [{ name: 'a', year: 2022, spec: tls('DISABLE') }, { name: 'b', spec: 'subsets: [{name: v1, labels: {version: v1}}]' }], 'DISABLE', 'LEAST_REQUEST'],
  ['different reach, no merging: the youngest', [{ name: 'a', year: 2022, spec: random, exportTo: '["."]' }, { name: 'b', spec: tls('DISABLE'), exportTo: '["*"]' }], 'AUTO', 'RANDOM'],
  ['absent is not the same as *', [{ name: 'a', year: 2022, spec: random, exportTo: '["*"]' }, { name: 'b', spec: tls('DISABLE') }], 'AUTO', 'RANDOM'],
  ['a newer reach that contains the older one’s merges', [{ name: 'a', year: 2022, spec: random, exportTo: '[foo, bar]' }, { name: 'b', spec: tls('DISABLE'), exportTo: '[foo]' }], 'DISABLE', 'LEAST_REQUEST'],
]

test('which DestinationRule applies, and what several add up to', () => {
  for (const [what, rules, mode, balancing, client] of lookups) {
    const u = upstream(rules, client)
    assert.deepEqual([u.tls.value.mode, u.balancing.policy], [mode, balancing], what)
    assert.deepEqual(upstream(rules, client, u.name, {}, true), u, `${what}, the other way round`)
  }
})

test('subsets of merged rules add up, the first of a name wins', () => {
  const found = upstreams(mesh([
    { name: 'a', spec: 'subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}]' },
    { name: 'b', year: 2022, spec: 'subsets: [{name: v1, labels: {version: v9}, trafficPolicy: {tls: {mode: SIMPLE}}}, {name: v2, labels: {version: v2}}]' },
  ].map(rule)), 'web.foo').filter((u) => u.host === host && u.port === 8000)
  assert.deepEqual(found.map((u) => [u.subset, u.tls.value.mode]), [['v1', 'DISABLE'], ['v2', 'AUTO'], [null, 'AUTO']])
})

const port = (inside: string): string => `portLevelSettings: [{port: {number: 8000}${inside === '' ? '' : `, ${inside}`}}]`
test('a port’s settings replace the general ones whole, a subset’s are laid over them block by block', () => {
  const policy = (inside: string): Rule[] => [{ spec: `trafficPolicy: {${inside}}` }]
  const replaced = upstream(policy(`loadBalancer: {simple: RANDOM}, tls: {mode: SIMPLE}, ${port('tls: {mode: DISABLE}')}`))
  assert.deepEqual([replaced.tls.value.mode, replaced.tls.because[0]?.rule, replaced.balancing.policy], ['DISABLE', 'tls.port', 'LEAST_REQUEST'])
  const bare = upstream(policy(`tls: {mode: SIMPLE}, ${port('loadBalancer: {simple: RANDOM}')}`))
  assert.deepEqual(bare.tls.because.map((r) => `${r.effect} ${r.rule}`), ['chosen tls.auto', 'overruled tls.port-replaces'])
  assert.equal(upstream(policy(`tls: {mode: SIMPLE}, ${port('tls: {mode: DISABLE}')}`), 'web.foo', `outbound|9000||${host}`).tls.value.mode, 'SIMPLE')
  const subset = upstream([{ spec: `trafficPolicy: {loadBalancer: {simple: RANDOM}, tls: {mode: SIMPLE}}, subsets: [{name: v1, trafficPolicy: {tls: {mode: DISABLE}}}]` }], 'web.foo', `outbound|8000|v1|${host}`)
  assert.deepEqual([subset.tls.value.mode, subset.tls.because[0]?.rule, subset.balancing.policy], ['DISABLE', 'tls.subset', 'RANDOM'])
})

test('what a tls block says on the wire', () => {
  const value = (inside: string, more: Partial<Rule> = {}): Upstream['tls']['value'] => upstream([{ spec: `trafficPolicy: {tls: {${inside}}}`, ...more }]).tls.value
  const sni = `outbound_.8000_._.${host}`
  const own = 'spiffe://cluster.local/ns/bar/sa/default'
  assert.deepEqual(value('mode: ISTIO_MUTUAL'), { mode: 'ISTIO_MUTUAL', sni, sans: [own] })
  assert.deepEqual(value('mode: ISTIO_MUTUAL, sni: x, subjectAltNames: [a]'), { mode: 'ISTIO_MUTUAL', sni: 'x', sans: ['a'] })
  assert.deepEqual(value('mode: SIMPLE, caCertificates: /ca.pem, sni: x'), { mode: 'SIMPLE', sni: 'x', caCertificates: '/ca.pem' })
  assert.deepEqual(value('mode: SIMPLE, insecureSkipVerify: true'), { mode: 'SIMPLE', insecureSkipVerify: true })
  assert.deepEqual(value('mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem'), { mode: 'MUTUAL', clientCertificate: '/c.pem', privateKey: '/k.pem' })
  // A credential counts on sidecars only where the rule chooses workloads.
  assert.deepEqual(value('mode: SIMPLE, credentialName: secret'), { mode: 'DISABLE' })
  assert.deepEqual(value('mode: SIMPLE, credentialName: secret', { selector: 'web' }), { mode: 'SIMPLE', credentialName: 'secret' })
  assert.deepEqual(upstream([], 'web.foo', `outbound|8000||${host}`, { trustDomainAliases: ['old'] }).tls.value, { mode: 'AUTO', sni, sans: [own, 'spiffe://old/ns/bar/sa/default'] })
  assert.deepEqual(upstream([], 'web.foo', `outbound|8000||${host}`, { enableAutoMtls: false }).tls, { value: { mode: 'DISABLE' }, because: [{ rule: 'tls.auto-off', source: 'default', effect: 'chosen' }] })
})

test('where the address is passed through: mutual TLS where all endpoints take it, else plaintext', () => {
  const through = (namespace: string, more: readonly string[] = []): [string, string | undefined, string] => {
    const name = `web.${namespace}.svc.cluster.local`
    const u = upstreams(mesh([rule({ host: name, spec: 'trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}' }), ...more]), 'web.foo').find((x) => x.name === `outbound|8000||${name}`)
    return [u?.tls.value.mode ?? '', u?.tls.because[0]?.rule, u?.discovery ?? '']
  }
  assert.deepEqual(through('bar'), ['ISTIO_MUTUAL', 'tls.auto-passthrough', 'ORIGINAL_DST'])
  assert.deepEqual(through('legacy'), ['DISABLE', 'tls.auto-passthrough', 'ORIGINAL_DST'])
  assert.deepEqual(through('bar', ['{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: d, namespace: bar}, spec: {mtls: {mode: DISABLE}}}']), ['DISABLE', 'tls.auto-passthrough', 'ORIGINAL_DST'])
})
