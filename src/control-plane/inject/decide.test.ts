import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideInjection, injectionRequired, type InjectionCandidate, type InjectionSettings } from './decide.ts'

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

test('the injector itself, by the rows of Istio’s TestInjectRequired', () => {
  const value = (k: string, v = 'bar'): Labels => ({ [k]: v })
  const equals = { matchLabels: { foo: 'bar' } }
  const has = (key: string) => ({ matchExpressions: [{ key, operator: 'Exists' }] })
  const on = 'enabled' as const
  const off = 'disabled' as const
  const yesNote = { [inject]: 'true' }
  const noNote = { [inject]: 'false' }
  const both = { alwaysInjectSelector: [has('always')], neverInjectSelector: [has('never')] }
  const rows: readonly (readonly [string, InjectionSettings, Labels, Labels, boolean, Partial<InjectionCandidate>?])[] = [
    ['no word, enabled', { policy: on }, {}, {}, true], ['annotation true, enabled', { policy: on }, {}, yesNote, true], ['annotation false, enabled', { policy: on }, {}, noNote, false], ['no word, disabled', { policy: off }, {}, {}, false],
    ['annotation true, disabled', { policy: off }, {}, yesNote, true], ['annotation false, disabled', { policy: off }, {}, noNote, false], ['host network', { policy: on }, {}, {}, false, { hostNetwork: true }], ['another word for policy', { policy: 'invalid' }, {}, {}, false], ['another word for policy, asked', { policy: 'invalid' }, {}, yesNote, false],
    ['system namespace', { policy: on }, {}, {}, false, { namespace: 'kube-system' }], ['public namespace, asked', { policy: on }, yesNote, {}, false, { namespace: 'kube-public' }],
    ['always, no labels, enabled', { policy: on, alwaysInjectSelector: [equals] }, {}, {}, true], ['always, other value, enabled', { policy: on, alwaysInjectSelector: [equals] }, value('foo', 'bar1'), {}, true], ['always, no labels, disabled', { policy: off, alwaysInjectSelector: [equals] }, {}, {}, false], ['always, matching, disabled', { policy: off, alwaysInjectSelector: [equals] }, value('foo'), {}, true],
    ['never, no labels, enabled', { policy: on, neverInjectSelector: [equals] }, {}, {}, true], ['never, matching, enabled', { policy: on, neverInjectSelector: [equals] }, value('foo'), {}, false], ['never, no labels, disabled', { policy: off, neverInjectSelector: [equals] }, {}, {}, false], ['never, matching, disabled', { policy: off, neverInjectSelector: [equals] }, value('foo'), {}, false],
    ['never, empty value', { policy: on, neverInjectSelector: [has('foo')] }, { foo: '', foo2: 'bar2' }, {}, false], ['always, empty value', { policy: off, alwaysInjectSelector: [has('foo')] }, { foo: '', foo2: 'bar2' }, {}, true],
    ['always and never: always', { policy: off, ...both }, value('always'), {}, true], ['always and never: never', { policy: off, ...both }, value('never'), {}, false], ['always and never: both', { policy: off, ...both }, { always: 'bar', never: 'bar2' }, {}, false],
    ['annotation true beats never, enabled', { policy: on, neverInjectSelector: [has('foo')] }, value('foo'), yesNote, true], ['annotation false beats always, enabled', { policy: on, alwaysInjectSelector: [has('foo')] }, value('foo'), noNote, false], ['annotation false beats always, disabled', { policy: off, alwaysInjectSelector: [has('foo')] }, value('foo'), noNote, false], ['annotation true beats never, disabled', { policy: off, neverInjectSelector: [has('foo')] }, value('foo'), yesNote, true],
    ['one of several never', { policy: on, neverInjectSelector: [has('foo'), has('bar')] }, { label1: '', bar: 'anything' }, {}, false], ['one of several always', { policy: off, alwaysInjectSelector: [has('foo'), has('bar')] }, { label1: '', bar: 'anything' }, {}, true],
    ['label true, disabled', { policy: off }, yesNote, {}, true], ['label false, enabled', { policy: on }, noNote, {}, false], ['label true beats annotation false', { policy: on }, yesNote, noNote, true], ['label false beats annotation true', { policy: on }, noNote, yesNote, false], ['an empty word leaves it to the policy', { policy: off }, { [inject]: '' }, {}, false], ['an odd word leaves it to the policy', { policy: on }, { [inject]: 'odd' }, {}, true],
    ['an empty selector selects nobody', { policy: on, neverInjectSelector: [{}] }, {}, {}, true], ['a mirror pod', { policy: on }, yesNote, { 'kubernetes.io/config.mirror': 'x' }, false],
  ]
  for (const [what, settings, labels, annotations, expected, more] of rows) assert.equal(injectionRequired(candidate({}, labels, annotations, more), settings).value, expected, what)
})

test('what was overruled is said behind the winner', () => {
  const host = decideInjection(candidate({ 'istio-injection': 'enabled' }, {}, {}, { hostNetwork: true }))
  assert.deepEqual(host.because.map((r) => [r.rule, r.effect]), [['inject.host-network', 'chosen'], ['inject.namespace-enabled', 'overruled']])
})
