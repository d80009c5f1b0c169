import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideInjection, type InjectionCandidate, type InjectionSettings } from './decide.ts'

type Labels = Readonly<Record<string, string>>
// Namespace labels, pod labels, pod annotations, expected, deciding rule: the table of Istio's webhooks for the default revision.
const inject = 'sidecar.istio.io/inject'
const cases: readonly (readonly [Labels, Labels, Labels, boolean, string])[] = [
  [{ 'istio-injection': 'enabled' }, {}, {}, true, 'inject.namespace-enabled'],
  [{ 'istio-injection': 'enabled' }, { [inject]: 'true' }, {}, true, 'inject.label'],
  [{ 'istio-injection': 'enabled' }, { [inject]: 'false' }, {}, false, 'inject.label'],
  [{ 'istio-injection': 'enabled' }, {}, { [inject]: 'false' }, false, 'inject.annotation'],
  [{ 'istio-injection': 'enabled' }, { [inject]: 'true' }, { [inject]: 'false' }, true, 'inject.label'],
  [{ 'istio-injection': 'enabled', 'istio.io/rev': 'canary' }, {}, {}, true, 'inject.namespace-enabled'],
  [{ 'istio-injection': 'disabled' }, { [inject]: 'true' }, {}, false, 'inject.namespace-disabled'],
  [{ 'istio.io/rev': 'default' }, {}, {}, true, 'inject.namespace-revision'],
  [{ 'istio.io/rev': 'canary' }, { [inject]: 'true' }, {}, false, 'inject.namespace-revision'],
  [{}, { [inject]: 'true' }, {}, true, 'inject.label'],
  [{}, { 'istio.io/rev': 'default' }, {}, true, 'inject.pod-revision'],
  [{}, { 'istio.io/rev': 'default', [inject]: 'false' }, {}, false, 'inject.label'],
  [{}, {}, { [inject]: 'true' }, false, 'inject.namespace-unlabelled'],
  [{}, {}, {}, false, 'inject.namespace-unlabelled'],
]

const candidate = (ns: Labels, labels: Labels, annotations: Labels, more: Partial<InjectionCandidate> = {}): InjectionCandidate => ({ namespace: 'foo', namespaceLabels: ns, labels, annotations, ...more })

test('who is injected, and by which rule', () => {
  for (const [ns, labels, annotations, expected, rule] of cases) {
    const decided = decideInjection(candidate(ns, labels, annotations))
    assert.deepEqual([decided.value, decided.because[0]?.rule], [expected, rule], JSON.stringify([ns, labels, annotations]))
  }
})

test('the injector’s own refusals beat every label', () => {
  const asked = { [inject]: 'true' }
  const ns = { 'istio-injection': 'enabled' }
  assert.equal(decideInjection(candidate(ns, asked, {}, { hostNetwork: true })).because[0]?.rule, 'inject.host-network')
  assert.equal(decideInjection(candidate(ns, asked, {}, { namespace: 'kube-system' })).because[0]?.rule, 'inject.ignored-namespace')
  assert.equal(decideInjection(candidate(ns, asked, {}, { os: 'windows' })).value, false)
})

test('selectors and policy speak where the pod does not', () => {
  const ns = { 'istio-injection': 'enabled' }
  const never: InjectionSettings = { neverInjectSelector: [{ matchLabels: { app: 'x' } }] }
  assert.equal(decideInjection(candidate(ns, { app: 'x' }, {}), never).value, false)
  assert.equal(decideInjection(candidate(ns, { app: 'x' }, { [inject]: 'true' }), never).value, true)
  assert.equal(decideInjection(candidate(ns, {}, {}), { policy: 'disabled' }).value, false)
  assert.equal(decideInjection(candidate(ns, { job: '1' }, {}), { policy: 'disabled', alwaysInjectSelector: [{ matchExpressions: [{ key: 'job', operator: 'Exists' }] }] }).value, true)
  assert.equal(decideInjection(candidate({}, {}, {}), { enableNamespacesByDefault: true }).value, true)
})
