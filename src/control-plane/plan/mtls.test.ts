import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { decideMtls } from './mtls.ts'

/** One PeerAuthentication: scope `ns` or `ns/app`, its spec's inside, name, year of creation. */
const peer = (scope: string, inside: string, name = 'default', year = 2020): string => {
  const [namespace, app] = scope.split('/')
  const parts = [app === undefined ? '' : `selector: {matchLabels: {app: ${app}}}`, inside].filter((p) => p !== '')
  return `{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z"}, spec: {${parts.join(', ')}}}`
}
const mode = (m: string): string => `mtls: {mode: ${m}}`
function mesh(policies: readonly string[], options: { readonly rootNamespace?: string; readonly reversed?: boolean } = {}): Mesh {
  const { objects, problems } = decodeObjects(parseYaml(policies.join('\n---\n'), 'p.yaml').documents)
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  return buildMesh(options.reversed === true ? [...objects].reverse() : objects, { meshConfig: options.rootNamespace === undefined ? {} : { rootNamespace: options.rootNamespace } })
}
const web = { namespace: 'foo', labels: { app: 'web', version: 'v1' } }

// What it shows, policies, container port, mode, winning rule, winner's name.
const rows: readonly (readonly [string, readonly string[], number | null, string, string, string])[] = [
  ['nothing said', [], 80, 'PERMISSIVE', 'mtls.default', ''],
  ['mesh', [peer('istio-system', mode('STRICT'))], 80, 'STRICT', 'mtls.mesh', 'default'],
  ['a name is only a name', [peer('istio-system', mode('STRICT'), 'anything')], 80, 'STRICT', 'mtls.mesh', 'anything'],
  ['namespace over mesh', [peer('istio-system', mode('STRICT')), peer('foo', mode('DISABLE'))], 80, 'DISABLE', 'mtls.namespace', 'default'],
  ['workload over namespace', [peer('foo', mode('STRICT')), peer('foo/web', mode('DISABLE'), 'w')], 80, 'DISABLE', 'mtls.workload', 'w'],
  ['another namespace’s policy', [peer('bar', mode('STRICT'))], 80, 'PERMISSIVE', 'mtls.default', ''],
  ['another workload’s policy', [peer('foo/other', mode('STRICT'), 'w')], 80, 'PERMISSIVE', 'mtls.default', ''],
  ['an empty selector is none', [peer('foo', `selector: {matchLabels: {}}, ${mode('STRICT')}`)], 80, 'STRICT', 'mtls.namespace', 'default'],
  ['UNSET inherits', [peer('istio-system', mode('STRICT')), peer('foo', mode('UNSET'))], 80, 'STRICT', 'mtls.mesh', 'default'],
  ['no mtls inherits', [peer('foo', mode('STRICT')), peer('foo/web', '', 'w')], 80, 'STRICT', 'mtls.namespace', 'default'],
  ['mesh UNSET is PERMISSIVE', [peer('istio-system', mode('UNSET'))], 80, 'PERMISSIVE', 'mtls.default', ''],
  ['a root selector counts nowhere', [peer('istio-system/web', mode('STRICT'), 'w')], 80, 'PERMISSIVE', 'mtls.default', ''],
  ['the older one wins', [peer('foo', mode('STRICT'), 'a', 2021), peer('foo', mode('DISABLE'), 'b', 2020)], 80, 'DISABLE', 'mtls.namespace', 'b'],
  ['of one age, the smaller name', [peer('foo', mode('STRICT'), 'b'), peer('foo', mode('DISABLE'), 'a')], 80, 'DISABLE', 'mtls.namespace', 'a'],
  ['losers are dropped whole: an older UNSET hides a younger STRICT', [peer('foo', mode('UNSET'), 'a', 2019), peer('foo', mode('STRICT'), 'b')], 80, 'PERMISSIVE', 'mtls.default', ''],
  ['so among workload policies', [peer('foo/web', mode('DISABLE'), 'z', 2019), peer('foo/web', mode('STRICT'), 'a')], 80, 'DISABLE', 'mtls.workload', 'z'],
  ['a port of its own', [peer('foo/web', `${mode('STRICT')}, portLevelMtls: {80: {mode: DISABLE}}`, 'w')], 80, 'DISABLE', 'mtls.port', 'w'],
  ['other ports keep the workload’s mode', [peer('foo/web', `${mode('STRICT')}, portLevelMtls: {80: {mode: DISABLE}}`, 'w')], 81, 'STRICT', 'mtls.workload', 'w'],
  ['a port UNSET falls back to the resolved mode', [peer('foo', mode('STRICT')), peer('foo/web', 'portLevelMtls: {80: {mode: UNSET}}', 'w')], 80, 'STRICT', 'mtls.namespace', 'default'],
  ['ports of a loser don’t count', [peer('foo/web', mode('STRICT'), 'a', 2019), peer('foo/web', 'portLevelMtls: {80: {mode: DISABLE}}', 'b')], 80, 'STRICT', 'mtls.workload', 'a'],
  ['ports that nobody names', [peer('foo/web', `${mode('STRICT')}, portLevelMtls: {80: {mode: DISABLE}}`, 'w')], null, 'STRICT', 'mtls.workload', 'w'],
]

test('PeerAuthentication: mesh, namespace, workload, port; the older wins, losers are dropped whole', () => {
  for (const [what, policies, port, value, rule, name] of rows) {
    const decided = decideMtls(mesh(policies), web, port)
    const first = decided.because[0]
    assert.deepEqual([decided.value, first?.rule, first === undefined || first.source === 'default' ? '' : first.source.name, first?.effect], [value, rule, name, 'chosen'], what)
    assert.deepEqual(decideMtls(mesh(policies, { reversed: true }), web, port), decided, `${what}, the other way round`)
  }
})

test('every rule that had no say is told with its reason', () => {
  const decided = decideMtls(mesh([
    peer('istio-system', mode('STRICT')), peer('istio-system/web', mode('DISABLE'), 'lost'), peer('foo', mode('UNSET')), peer('foo', mode('DISABLE'), 'late', 2024), peer('foo/web', `${mode('PERMISSIVE')}, portLevelMtls: {80: {mode: STRICT}}`, 'w'),
  ]), web, 80)
  assert.deepEqual(decided.because.map((r) => [r.effect, r.rule, r.source === 'default' ? '' : `${r.source.namespace}/${r.source.name} ${r.source.path}`]), [
    ['chosen', 'mtls.port', 'foo/w spec.portLevelMtls.80.mode'],
    ['overruled', 'mtls.workload', 'foo/w spec.mtls.mode'],
    ['overruled', 'mtls.mesh', 'istio-system/default spec.mtls.mode'],
    ['overruled', 'mtls.default', ''],
    ['ignored', 'mtls.unset', 'foo/default spec.mtls'],
    ['ignored', 'mtls.younger-rival', 'foo/late spec.mtls.mode'],
    ['ignored', 'mtls.root-selector', 'istio-system/lost spec.selector'],
  ])
})

test('the root namespace is what meshConfig says', () => {
  const policies = [peer('mesh-root', mode('STRICT')), peer('istio-system', mode('DISABLE'))]
  assert.equal(decideMtls(mesh(policies, { rootNamespace: 'mesh-root' }), web, 80).value, 'STRICT')
  // For pods of the root namespace itself selectors count no more than for others.
  assert.equal(decideMtls(mesh([peer('istio-system/web', mode('STRICT'), 'w')]), { ...web, namespace: 'istio-system' }, 80).value, 'PERMISSIVE')
})
