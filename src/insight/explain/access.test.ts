import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { decode } from '#api'
import { buildMesh, type Mesh } from '#mesh'
import { parseYaml } from '#sources'
import { explain } from './explain.ts'
import { formatExplanation, formatNotApplied } from './text.ts'
import { whyNot } from './why-not.ts'

const pods = (namespace: string): string => `
{apiVersion: v1, kind: Namespace, metadata: {name: ${namespace}${namespace === 'legacy' ? '' : ', labels: {istio-injection: enabled}'}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ${namespace}}
spec: {template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: [{name: web}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: ${namespace}}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 80}, {name: tcp-raw, port: 9000}]}
---`
const policy = (spec: string, { namespace = 'bar', name = 'p', kind = 'AuthorizationPolicy', annotations = '{}' } = {}): string => `{apiVersion: security.istio.io/v1, kind: ${kind}, metadata: {name: ${name}, namespace: ${namespace}, annotations: ${annotations}}, spec: ${spec}}\n---\n`

function mesh(policies: string, meshConfig = {}): Mesh {
  const objects = parseYaml(`${pods('foo')}${pods('bar')}${pods('legacy')}\n${policies}`, 'policies.yaml').documents.flatMap(({ value, origin }) => {
    const decoded = decode(value, origin)
    assert.deepEqual(decoded.problems.filter((p) => p.severity === 'error'), [])
    return decoded.object ?? []
  })
  return buildMesh(objects, { meshConfig })
}

const get = 'http://web.bar:8000/get'
const raw = 'tcp://web.bar:9000'
const from = (source: string): string => `{rules: [{from: [{source: ${source}}]}]}`
const to = (operation: string): string => `{rules: [{to: [{operation: ${operation}}]}]}`
const when = (key: string, values: string): string => `{rules: [{when: [{key: ${key}, ${values}}]}]}`
const deny = (spec: string): string => spec.replace('{', '{action: DENY, ')

// Policies; caller; target; allow or deny; the rule that said so.
const rows: readonly (readonly [string, string, string, 'allow' | 'deny', string])[] = [
  ['', 'web.foo', get, 'allow', 'default'],
  // Nothing allowed, everything allowed.
  [policy('{}'), 'web.foo', get, 'deny', 'none-allows'],
  [policy('{rules: [{}]}'), 'web.foo', get, 'allow', 'allow'],
  [policy('{rules: [{}]}'), 'web.legacy', raw, 'allow', 'allow'],
  [policy('{action: DENY, rules: [{}]}'), 'web.foo', raw, 'deny', 'deny'],
  // Who calls.
  [policy(from('{principals: [cluster.local/ns/foo/sa/web]}')), 'web.foo', get, 'allow', 'allow'],
  [policy(from('{principals: [cluster.local/ns/foo/sa/web]}')), 'web.bar', get, 'deny', 'none-allows'],
  [policy(from('{principals: [cluster.local/ns/foo/sa/web]}')), 'web.legacy', get, 'deny', 'none-allows'],
  [policy(from("{principals: ['*']}")), 'web.legacy', get, 'deny', 'none-allows'],
  [policy(from("{principals: ['*/sa/web']}")), 'web.foo', raw, 'allow', 'allow'],
  [policy(from("{principals: ['cluster.local/ns/f*']}")), 'web.foo', raw, 'allow', 'allow'],
  [policy(from('{namespaces: [foo]}')), 'web.foo', get, 'allow', 'allow'],
  [policy(from("{namespaces: ['f*']}")), 'web.foo', get, 'allow', 'allow'],
  [policy(from('{namespaces: [fo]}')), 'web.foo', get, 'deny', 'none-allows'],
  [policy(from('{serviceAccounts: [foo/web]}')), 'web.foo', get, 'allow', 'allow'],
  [policy(from('{serviceAccounts: [web]}')), 'web.foo', get, 'deny', 'none-allows'],
  [policy(from('{serviceAccounts: [web]}')), 'web.bar', get, 'allow', 'allow'],
  // Nobody is not the one who may: plaintext is denied by DENY notPrincipals.
  [policy(deny(from('{notPrincipals: [cluster.local/ns/foo/sa/web]}'))), 'web.legacy', get, 'deny', 'deny'],
  [policy(deny(from('{notPrincipals: [cluster.local/ns/foo/sa/web]}'))), 'web.foo', get, 'allow', 'none-denies'],
  [policy(from("{ipBlocks: ['203.0.113.0/24']}")), 'web.foo', get, 'deny', 'none-allows'],
  [policy(from("{notIpBlocks: ['203.0.113.0/24']}")), 'web.legacy', get, 'allow', 'allow'],
  // What is called.
  [policy(to('{methods: [GET], paths: [/get]}')), 'web.foo', get, 'allow', 'allow'],
  // Whoever sends it, the path is normalised before it is asked.
  [policy(deny(to('{paths: [/get]}'))), 'web.foo', 'http://web.bar:8000/x/../get', 'deny', 'deny'],
  [policy(deny(to('{paths: [/get]}'))), 'web.legacy', 'http://web.bar:8000/x/../%67et?y#z', 'deny', 'deny'],
  [policy(deny(to('{paths: [/get]}'))), 'web.legacy', 'http://web.bar:8000/x/get', 'allow', 'none-denies'],
  [policy(to('{methods: [POST]}')), 'web.foo', get, 'deny', 'none-allows'],
  [policy(to("{paths: ['/g*']}")), 'web.foo', 'http://web.bar:8000/get?x=1', 'allow', 'allow'],
  [policy(to("{paths: ['*/y']}")), 'web.foo', 'http://web.bar:8000/x/y', 'allow', 'allow'],
  [policy(to("{paths: ['/a/{*}/c']}")), 'web.foo', 'http://web.bar:8000/a/b/c', 'allow', 'allow'],
  [policy(to("{paths: ['/a/{*}/c']}")), 'web.foo', 'http://web.bar:8000/a/b/x/c', 'deny', 'none-allows'],
  [policy(to("{paths: ['/a/{**}']}")), 'web.foo', 'http://web.bar:8000/a/b/x/c', 'allow', 'allow'],
  [policy(deny(to('{paths: [/admin]}'))), 'web.foo', 'http://web.bar:8000/x/../%61dmin', 'deny', 'deny'],
  [policy(to("{hosts: ['WEB.bar:8000']}")), 'web.foo', get, 'allow', 'allow'],
  [policy(to('{hosts: [web.bar]}')), 'web.foo', get, 'deny', 'none-allows'],
  [policy(to("{ports: ['80']}")), 'web.foo', get, 'allow', 'allow'],
  // Ports are the container's.
  [policy(to("{ports: ['8000']}")), 'web.foo', get, 'deny', 'none-allows'],
  [policy(to("{notPorts: ['80']}")), 'web.foo', raw, 'allow', 'allow'],
  // On TCP an ALLOW rule that asks for HTTP goes; a DENY rule stands without it.
  [policy(to('{methods: [GET]}')), 'web.foo', raw, 'deny', 'none-allows'],
  [policy(deny(to('{methods: [DELETE]}'))), 'web.foo', raw, 'deny', 'deny'],
  [policy(deny(to("{methods: [DELETE], ports: ['80']}"))), 'web.foo', raw, 'allow', 'none-denies'],
  // When.
  [policy(when("'request.headers[x-user]'", 'values: [ann]')), 'web.foo', get, 'deny', 'none-allows'],
  [policy(when("'request.headers[X-Team]'", "values: ['a*']")), 'web.foo', get, 'allow', 'allow'],
  [policy(when("'request.headers[x-user]'", "notValues: ['*']")), 'web.foo', get, 'allow', 'allow'],
  [policy(when('source.namespace', 'values: [bar]')), 'web.foo', get, 'deny', 'none-allows'],
  [policy(when('destination.port', "values: ['9000']")), 'web.foo', raw, 'allow', 'allow'],
  [policy(when('connection.sni', "values: ['*web.bar.svc.cluster.local']")), 'web.foo', raw, 'allow', 'allow'],
  // Tokens are not verified: nobody has a principal by one.
  [policy(from("{requestPrincipals: ['*']}")), 'web.foo', get, 'deny', 'none-allows'],
  [policy(deny(from("{notRequestPrincipals: ['*']}"))), 'web.foo', get, 'deny', 'deny'],
  [policy(when("'experimental.envoy.filters.a.b[c]'", 'values: [x]')), 'web.foo', get, 'deny', 'none-allows'],
  // DENY before ALLOW; which policies reach.
  [policy('{rules: [{}]}') + policy(deny(from('{namespaces: [foo]}')), { name: 'd' }), 'web.foo', get, 'deny', 'deny'],
  [policy('{rules: [{}]}') + policy(deny(from('{namespaces: [foo]}')), { name: 'd' }), 'web.bar', get, 'allow', 'allow'],
  [policy('{selector: {matchLabels: {app: other}}}'), 'web.foo', get, 'allow', 'default'],
  [policy('{}', { namespace: 'foo' }), 'web.foo', get, 'allow', 'default'],
  [policy('{selector: {matchLabels: {app: web}}, action: DENY, rules: [{}]}', { namespace: 'istio-system' }), 'web.foo', get, 'deny', 'deny'],
  [policy('{targetRefs: [{kind: Service, group: "", name: web}], action: DENY, rules: [{}]}'), 'web.foo', get, 'allow', 'default'],
  // Looked at, not carried out; carried out as a denial; nothing at all.
  [policy('{action: DENY, rules: [{}]}', { annotations: '{istio.io/dry-run: "true"}' }), 'web.foo', get, 'allow', 'none-denies'],
  [policy('{}', { annotations: '{istio.io/dry-run: "true"}' }), 'web.foo', get, 'allow', 'none-denies'],
  [policy('{action: CUSTOM, provider: {name: ext}, rules: [{to: [{operation: {paths: [/get]}}]}]}'), 'web.foo', get, 'deny', 'deny'],
  [policy('{action: AUDIT, rules: [{}]}'), 'web.foo', get, 'allow', 'none-denies'],
  [policy('{action: AUDIT, rules: [{}]}', { name: 'seen' }) + policy('{action: DENY, rules: [{}]}'), 'web.foo', raw, 'deny', 'deny'],
]

test('who may call what, as Istio decides it', () => {
  for (const [policies, caller, target, value, rule] of rows) {
    const answer = explain(mesh(policies), { from: caller, to: target, headers: { 'x-team': 'apples' } })
    const access = answer.server?.authorization
    assert.deepEqual([access?.value, access?.because[0]?.rule, answer.outcome === 'blocked'], [value, `authorization.${rule}`, value === 'deny'], `${policies} ${caller} → ${target}`)
  }
})

test('principals of one trust domain count in all of the mesh’s', () => {
  const policies = policy(from('{principals: [old.example/ns/foo/sa/web]}'))
  const access = (meshConfig: object): unknown => explain(mesh(policies, meshConfig), { from: 'web.foo', to: get }).server?.authorization?.value
  assert.equal(access({ trustDomain: 'new.example' }), 'deny')
  assert.equal(access({ trustDomain: 'new.example', trustDomainAliases: ['old.example'] }), 'allow')
})

test('the answer names the rule’s line, the other policies, the symptom of each protocol', () => {
  const policies = policy(deny(to('{paths: [/get]}')), { name: 'd' }) + policy('{rules: [{}]}', { name: 'a' })
  const blocked = explain(mesh(policies), { from: 'web.foo', to: get })
  assert.deepEqual([blocked.blocked?.at, blocked.blocked?.source === 'default' ? '' : blocked.blocked?.source.path], ['server', 'spec.rules[0]'])
  assert.match(blocked.blocked?.symptom ?? '', /^403/)
  assert.match(explain(mesh(policies), { from: 'web.foo', to: raw }).blocked?.symptom ?? '', /closed/)
  const passed = explain(mesh(policies), { from: 'web.foo', to: 'http://web.bar:8000/x' }).server?.authorization?.because ?? []
  assert.deepEqual(passed.map((r) => [r.effect, r.source === 'default' ? '' : r.source.name]), [['chosen', 'a'], ['ignored', 'd']])
})

test('what is not carried out as it is meant is said with the answer', () => {
  const said = (policies: string): string[] => explain(mesh(policies), { from: 'web.foo', to: get }).problems.map((p) => `${p.code} ${p.ref.path}`)
  assert.deepEqual(said(policy('{action: CUSTOM, provider: {name: ext}, rules: [{}]}')), ['KITH0107 spec.action'])
})

test('what is marked for audit is said, whatever becomes of the call', () => {
  const audit = (spec: string): string => spec.replace('{', '{action: AUDIT, ')
  const said = (policies: string, to: string): string[] => (explain(mesh(policies), { from: 'web.foo', to }).server?.authorization?.because ?? []).map((r) => `${r.effect} ${r.rule}`)
  const readers = policy(audit(to('{methods: [GET]}')), { name: 'readers' })
  assert.deepEqual(said(readers + policy(deny('{rules: [{}]}')), get), ['chosen authorization.deny', 'chosen authorization.audit'], 'denied after it was marked: the last word first')
  assert.deepEqual(said(readers, get), ['chosen authorization.none-denies', 'chosen authorization.audit'])
  assert.deepEqual(said(readers, raw), ['chosen authorization.none-denies'], 'no methods on TCP: nothing is marked for want of asking')
})

test('--why-not names the test of each rule that the call does not meet', () => {
  const cases: readonly (readonly [string, string, string, string | undefined])[] = [
    [from('{principals: [cluster.local/ns/ops/sa/web]}'), 'web.foo', get, 'the caller’s principal "cluster.local/ns/foo/sa/web" is not cluster.local/ns/ops/sa/web'],
    [from('{namespaces: [ops, sre]}'), 'web.foo', get, 'the caller’s namespace "foo" is not one of ops, sre'],
    [from('{namespaces: [ops]}'), 'web.legacy', get, 'the caller shows no certificate of the mesh, so it has no principal and no namespace'],
    [from('{notNamespaces: [foo]}'), 'web.foo', get, 'the caller’s namespace "foo" is ruled out: not foo'],
    [to('{methods: [POST]}'), 'web.foo', get, 'the method "GET" is not POST'],
    [to('{paths: [/x], methods: [GET]}'), 'web.foo', `${get}?a=1`, 'the path "/get" is not /x'],
    [to("{ports: ['9000']}"), 'web.foo', get, 'the container’s port "80" is not 9000'],
    [to('{methods: [GET]}'), 'web.foo', raw, 'it asks for the method, and this is no HTTP: on TCP the rule allows nobody'],
    [when("'request.headers[x-user]'", 'values: [ann]'), 'web.foo', get, 'request.headers[x-user] is missing'],
    [from("{requestPrincipals: ['*']}"), 'web.foo', get, 'the request brings no token that a RequestAuthentication verifies, so it has no principal of its own'],
    // One alternative holds: nothing failed.
    ['{rules: [{from: [{source: {namespaces: [ops]}}, {source: {namespaces: [foo]}}]}]}', 'web.foo', get, undefined],
  ]
  for (const [spec, caller, target, why] of cases) {
    const m = mesh(policy(spec))
    const call = { from: caller, to: target }
    assert.deepEqual(whyNot(m, call, explain(m, call)).filter((n) => n.source.kind === 'AuthorizationPolicy').map((n) => n.why), why === undefined ? [] : [why], `${spec} ${caller} → ${target}`)
  }
  assert.match(formatNotApplied([]), /^not applied: nothing/)
})

test('a token in a header: who it names, what is wrong with it, which clause of a policy it does not meet, and what is not known here', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const token = (claims: object): string => {
    const signed = `${part({ alg: 'ES256' })}.${part({ iss: 'https://i', sub: 'ann', ...claims })}`
    return `Bearer ${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
  const keys = JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] })
  const asks = (rule: string): string => policy(`{jwtRules: [${rule}]}`, { kind: 'RequestAuthentication', name: 'tokens' })
  const nowMs = Date.UTC(2026, 0, 1)
  const exp = nowMs / 1000 + 60
  const ask = (policies: string, authorization: string): ReturnType<typeof explain> => explain(mesh(policies), { from: 'web.foo', to: get, nowMs, headers: { Authorization: authorization } })
  const inline = asks(`{issuer: 'https://i', jwks: '${keys}'}`)
  const admins = policy("{rules: [{from: [{source: {requestPrincipals: ['https://i/*']}}], when: [{key: 'request.auth.claims[groups]', values: [admins]}]}]}", { name: 'admins' })
  const good = ask(inline + admins, token({ exp, groups: ['admins'] }))
  assert.deepEqual([good.outcome, good.server?.requestPrincipal, good.server?.authorization?.value, good.provided], ['mtls', 'https://i/ann', 'allow', null])
  assert.match(formatExplanation(good), /^token {4}https:\/\/i\/ann$/m)
  const late = ask(inline, token({ exp: exp - 600 }))
  assert.deepEqual([late.outcome, late.blocked?.at, late.blocked?.symptom], ['blocked', 'server', '401 “Jwt is expired” from the server’s sidecar'])
  assert.match(late.blocked?.why ?? '', /web\.bar verifies tokens \(RequestAuthentication bar\/tokens spec\.jwtRules\[0\] \(policies\.yaml:\d+\)\)/)
  assert.doesNotMatch(JSON.stringify(late), /eyJ/, 'the token is not repeated')
  const why = (policies: string, authorization: string): string[] => {
    const call = { from: 'web.foo', to: get, nowMs, headers: { Authorization: authorization } }
    return whyNot(mesh(policies), call, explain(mesh(policies), call)).map((n) => n.why)
  }
  assert.deepEqual(why(inline + admins, token({ exp, groups: ['x'] })), ['request.auth.claims[groups] "[\\"x\\"]" is not admins'])
  assert.deepEqual(why(inline + admins, token({ exp })), ['request.auth.claims[groups] is missing'])
  assert.deepEqual(why(inline + admins, ''), ['the request brings no token that a RequestAuthentication verifies, so it has no principal of its own'])
  // Keys by URL: nobody fetches for an answer.
  const unknown = ask(asks("{issuer: 'https://i', jwksUri: 'https://i/keys'}"), token({ exp }))
  assert.equal(unknown.outcome, 'mtls')
  assert.match(unknown.provided ?? '', /^one of the keys at https:\/\/i\/keys, which were not fetched for this answer/)
})

test('targets and methods as the sidecar reads them', () => {
  const denied = policy(deny(to("{paths: ['/admin*']}"))) + policy(deny(to('{methods: [DELETE]}')), { name: 'q' })
  const ask = (path: string, method = 'GET', meshConfig = {}) => explain(mesh(denied, meshConfig), { from: 'web.foo', to: `http://web.bar:8000${path}`, method })
  for (const path of ['/x/..;/admin', '/.;/admin', '/../admin', '/x/%2e%2e;/admin']) assert.equal(ask(path).server?.authorization?.value, 'deny', path)
  assert.equal(ask('//admin').outcome, 'mtls')
  assert.equal(ask('//admin', 'GET', { pathNormalization: { normalization: 'MERGE_SLASHES' } }).blocked?.at, 'server')
  assert.equal(ask('/x%2f..%2fadmin', 'GET', { pathNormalization: { normalization: 'DECODE_AND_MERGE_SLASHES' } }).blocked?.at, 'server')
  const small = ask('/x', 'delete').blocked
  assert.deepEqual([small?.at, small?.symptom, small?.fix], ['client', '400 from the caller’s sidecar', ['send DELETE']])
  assert.match(small?.why ?? '', /^the method delete has small letters/)
  const legacy = explain(mesh(denied), { from: 'web.legacy', to: get, method: 'delete' }).blocked
  assert.deepEqual([legacy?.at, legacy?.symptom], ['server', '400 from the server’s sidecar'])
})
