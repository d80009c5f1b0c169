import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LabelSelector } from '#lib/kubernetes/label-selector.ts'
import { decideInjection, injectKey, selects } from './decide.ts'
import { webhookConfigurations } from './webhook-configuration.ts'

interface Webhook {
  readonly name: string
  readonly clientConfig: Readonly<Record<string, unknown>>
  readonly namespaceSelector: LabelSelector
  readonly objectSelector: LabelSelector
  readonly [field: string]: unknown
}
const istioSystem = { namespace: 'istio-system' }
const webhooksOf = (options: Parameters<typeof webhookConfigurations>[0], at = 0): Webhook[] => webhookConfigurations(options)[at]?.['webhooks'] as Webhook[]
const drawn = (fields: Readonly<Record<string, readonly (string | undefined)[]>>): Record<string, string>[] =>
  Object.entries(fields).reduce<Record<string, string>[]>((all, [key, values]) => all.flatMap((one) => values.map((v) => (v === undefined ? one : { ...one, [key]: v }))), [{}])

test('the API server asks about just those pods that decide says yes to, and never twice', () => {
  const namespaces = drawn({ 'istio-injection': [undefined, 'enabled', 'disabled', 'odd'], 'istio.io/rev': [undefined, 'default', 'canary', 'else'] })
  const pods = drawn({ [injectKey]: [undefined, 'true', 'false', 'odd'], 'istio.io/rev': [undefined, 'default', 'canary', 'else'] })
  for (const revision of ['default', 'canary']) {
    for (const enableNamespacesByDefault of [false, true]) {
      const webhooks = webhooksOf({ revision, ...istioSystem, enableNamespacesByDefault })
      for (const namespaceLabels of namespaces) {
        for (const labels of pods) {
          const full = { ...namespaceLabels, 'kubernetes.io/metadata.name': 'shop' }
          const asked = webhooks.filter((w) => selects(w.namespaceSelector, full) && selects(w.objectSelector, labels)).length
          const decided = decideInjection({ namespace: 'shop', namespaceLabels, labels, annotations: {} }, { revision, enableNamespacesByDefault }).value
          assert.equal(asked, decided ? 1 : 0, JSON.stringify({ revision, enableNamespacesByDefault, namespaceLabels, labels }))
        }
      }
    }
  }
})

test('an outage never blocks Kubernetes’ own namespaces', () => {
  for (const w of webhooksOf({ revision: 'default', ...istioSystem, enableNamespacesByDefault: true })) {
    for (const namespace of ['kube-system', 'kube-public', 'kube-node-lease']) {
      for (const more of drawn({ 'istio-injection': [undefined, 'enabled'], 'istio.io/rev': [undefined, 'default'] })) assert.equal(selects(w.namespaceSelector, { ...more, 'kubernetes.io/metadata.name': namespace }), false, `${w.name} ${namespace}`)
    }
  }
})

test('names and ways for revisions, tags and other namespaces', () => {
  const shown = (options: Parameters<typeof webhookConfigurations>[0]): unknown => webhookConfigurations(options).map((c) => [c.metadata.name, ...(c['webhooks'] as Webhook[]).map((w) => w.name.split('.').slice(0, 2).join('.'))])
  const legacy = ['rev.namespace', 'rev.object', 'namespace.sidecar-injector', 'object.sidecar-injector']
  assert.deepEqual(shown({ revision: 'default', ...istioSystem }), [['istio-sidecar-injector', ...legacy], ['istio-validator-istio-system', 'rev.validation', 'validation.istio']])
  assert.deepEqual(shown({ revision: 'canary', ...istioSystem }), [['istio-sidecar-injector-canary', 'rev.namespace', 'rev.object'], ['istio-validator-canary-istio-system', 'rev.validation']])
  assert.deepEqual(shown({ revision: 'canary', ...istioSystem, tag: 'prod' }), [['istio-revision-tag-prod', 'rev.namespace', 'rev.object']])
  assert.deepEqual(shown({ revision: 'canary', ...istioSystem, tag: 'default' }), [['istio-revision-tag-default', ...legacy], ['istiod-default-validator', 'validation.istio']])
  assert.deepEqual(shown({ revision: 'default', namespace: 'mesh' }), [['istio-sidecar-injector-mesh', ...legacy], ['istio-validator-mesh', 'rev.validation', 'validation.istio']])
  assert.deepEqual(webhooksOf({ revision: 'canary', ...istioSystem, tag: 'prod' })[0]?.clientConfig, { service: { name: 'istiod-canary', namespace: 'istio-system', path: '/inject', port: 443 } })
  assert.deepEqual(webhooksOf({ revision: 'default', ...istioSystem, url: 'https://10.0.0.1:15017/', caBundle: 'PEM' }, 1)[0]?.clientConfig, { url: 'https://10.0.0.1:15017/validate', caBundle: 'UEVN' })
})
