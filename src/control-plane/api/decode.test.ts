import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, read } from './decode.ts'

const istio = (kind: string, spec: unknown, group = 'networking.istio.io/v1', more: object = {}) => ({ apiVersion: group, kind, metadata: { name: 'x', namespace: 'foo' }, spec, ...more })
const security = 'security.istio.io/v1'

/** What is wrong, as `path: message; help`. */
const said = (raw: unknown): string[] => decode(raw, {}).problems.filter((p) => p.severity === 'error').map((p) => `${p.ref.path}: ${p.message}${p.help === undefined ? '' : `; ${p.help}`}`)

test('a misspelt value gets the right ones, and the nearest', () => {
  assert.deepEqual(said(istio('PeerAuthentication', { mtls: { mode: 'DISABLED' } }, security)), ['spec.mtls.mode: "DISABLED" is not a value of this field; it takes DISABLE, PERMISSIVE or STRICT; did you mean DISABLE?'])
})

test('shape: what the CRDs refuse', () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [istio('PeerAuthentication', { mtls: { mod: 'STRICT' } }, security), /^spec\.mtls\.mod: unknown field "spec\.mtls\.mod"; did you mean "mode"\?$/],
    [istio('PeerAuthentication', { mtls: { mode: 3 } }, security), /did you mean STRICT\?/],
    [istio('PeerAuthentication', { selector: { matchLabels: { app: 'a*' } }, mtls: {} }, security), /^spec\.selector\.matchLabels\.app: .*wildcard/],
    [istio('PeerAuthentication', { selector: { matchLabels: { app: 'a' } }, portLevelMtls: { http: { mode: 'STRICT' } } }, security), /^spec\.portLevelMtls\.http: /],
    [istio('VirtualService', { hosts: ['a'], http: [{ 'time-out': '5s', route: [{ destination: { host: 'a' } }] }] }), /did you mean "timeout"\?/],
    [istio('VirtualService', { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' }, weight: '100' }] }] }), /^spec\.http\[0\]\.route\[0\]\.weight: .*write 100 without quotes$/],
    [istio('VirtualService', { hosts: ['a'], timeout: '5s', http: [{ route: [{ destination: { host: 'a' } }] }] }), /^spec\.timeout: .*it belongs at spec\.http\[\]\.timeout/],
    [istio('VirtualService', { hosts: ['a'], http: [{ timeout: '0s', route: [{ destination: { host: 'a' } }] }] }), /^spec\.http\[0\]\.timeout: 0s is shorter than 1 ms$/],
    [istio('DestinationRule', { trafficPolicy: { tls: { mode: 'SIMPLE' } } }), /^spec\.host: /],
    [istio('DestinationRule', { host: 'a', trafficPolicy: { loadBalancer: { simple: 'RANDOM', consistentHash: { useSourceIp: true } } } }), /only one of simple, consistentHash may be set/],
    [istio('RequestAuthentication', { jwtRules: [null] }, security), /^spec\.jwtRules\[0\]/],
    [istio('WorkloadEntry', undefined), /^spec/],
    [{ kind: 'X' }, /^apiVersion: apiVersion is missing$/],
    [istio('PeerAuthentication', {}, 'networking.istio.io/v1'), /it belongs to security\.istio\.io\/v1/],
    [{ ...istio('PeerAuthentication', {}, security), metadata: { name: 'x', lables: { a: 'b' } } }, /^metadata\.lables: .*did you mean "labels"\?$/],
    [istio('VirtualServce', {}), /did you mean VirtualService\?/],
    [istio('EnvoyFilter', {}, 'networking.istio.io/v1'), /it serves networking\.istio\.io\/v1alpha3/],
    [istio('EnvoyFilter', { configPatches: [{ applyTo: 'CLUSTER', patch: { operation: 'ADD', value: 'text' } }] }, 'networking.istio.io/v1alpha3'), /^spec\.configPatches\[0\]\.patch\.value: expected a map/],
    ['text', /must be an object/],
    [null, /must be an object/],
    [istio('PeerAuthentication', { selector: { matchLabels: { app: 'a' } }, portLevelMtls: { http: { mode: 'STRICT' } } }, security), /number/],
    [istio('AuthorizationPolicy', { rules: [{ to: [{ operation: { ports: [80] } }] }] }, security), /^spec\.rules\[0\]\.to\[0\]\.operation\.ports\[0\]: .*put it in quotes$/],
    [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels: { 'istio-injection': true } } }, /^metadata\.labels\.istio-injection: expected a string, found boolean true; put it in quotes/],
    [{ ...istio('PeerAuthentication', {}, security), metadata: { name: 'x', namespace: 7, labels: ['a'], annotations: { n: 1 } } }, /^metadata\.namespace: .*number 7/],
  ]
  for (const [raw, pattern] of cases) {
    const found = said(raw)
    assert.ok(found.some((line) => pattern.test(line)), `${JSON.stringify(raw)}: ${found.join(' | ')}`)
    assert.equal(decode(raw, {}).object, undefined)
  }
})

test('one mistake is said once', () => {
  for (const raw of [istio('PeerAuthentication', { portLevelMtls: { 80: {} } }, security), istio('DestinationRule', { trafficPolicy: { tls: {} } })]) assert.equal(said(raw).length, 1, said(raw).join(' | '))
})

test('all served versions are taken, Kubernetes’ kinds as they are, strangers too', () => {
  for (const version of ['v1', 'v1beta1', 'v1alpha3']) assert.deepEqual(said(istio('VirtualService', { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }] }] }, `networking.istio.io/${version}`)), [])
  assert.deepEqual(decode({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { anything: 1 } }, {}).object?.metadata.namespace, 'default')
  assert.deepEqual(decode({ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a' } }, {}).problems, [])
})

test('a draft keeps what could be read', () => {
  const { draft, faults } = read(istio('PeerAuthentication', { mtls: { mode: 'STRICT', extra: 1 } }, security), {})
  assert.deepEqual(draft?.spec, { mtls: { mode: 'STRICT' } })
  assert.deepEqual(faults.map((f) => f.kind), ['unknown-field'])
})

test('names that are traps of JavaScript are ordinary names', () => {
  const raw = JSON.parse('{"apiVersion":"security.istio.io/v1","kind":"PeerAuthentication","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"__proto__":"a","constructor":"b"}},"toString":1}}') as unknown
  const { draft, faults } = read(raw, {})
  assert.deepEqual(faults.map((f) => f.path), ['spec.toString'])
  const spec = draft?.spec as { selector?: { matchLabels?: object } } | undefined
  assert.deepEqual(Object.keys(spec?.selector?.matchLabels ?? {}), ['__proto__', 'constructor'])
})
