import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkWebhooks } from './check-webhooks.ts'
import { webhookConfigurations } from './webhook-configuration.ts'

type Labels = Readonly<Record<string, string>>
const all = [
  ...webhookConfigurations({ revision: 'default', namespace: 'istio-system' }), ...webhookConfigurations({ revision: 'canary', namespace: 'istio-system' }), ...webhookConfigurations({ revision: 'canary', namespace: 'istio-system', tag: 'prod' }),
  { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration', metadata: { name: 'somebody-else' }, webhooks: [{ name: 'x.example.com' }] },
]
const check = (namespaceLabels: Labels, labels: Labels, more: object = {}): string[] => checkWebhooks(all, { namespace: 'shop', namespaceLabels, labels, annotations: {}, ...more }, () => ({})).map((c) => `${c.webhook} ${c.revision} ${c.injected}: ${c.reason}`)
const none = (webhook: string, revision: string, namespace: string, pod: string): string => `${webhook} ${revision} false: neither a namespace label (${namespace}) nor a pod label (${pod}) matches`
const canary = none('istio-sidecar-injector-canary', 'canary', 'istio.io/rev=canary', 'istio.io/rev=canary')
const prod = none('istio-revision-tag-prod', 'canary', 'istio.io/rev=prod', 'istio.io/rev=prod')

test('for each webhook of the cluster whether it injects, and by which label', () => {
  assert.deepEqual(check({ 'istio-injection': 'enabled' }, {}), [prod, 'istio-sidecar-injector default true: namespace label istio-injection=enabled matches', canary])
  assert.deepEqual(check({ 'istio.io/rev': 'prod' }, {})[0], 'istio-revision-tag-prod canary true: namespace label istio.io/rev=prod matches')
  assert.deepEqual(check({}, { 'istio.io/rev': 'canary' })[2], 'istio-sidecar-injector-canary canary true: pod label istio.io/rev=canary matches')
  assert.deepEqual(check({}, { 'sidecar.istio.io/inject': 'true' })[1], 'istio-sidecar-injector default true: pod label sidecar.istio.io/inject=true matches')
  for (const row of check({ 'istio-injection': 'disabled' }, {})) assert.match(row, /false: namespace label istio-injection=disabled prevents injection$/)
  for (const row of check({ 'istio-injection': 'enabled' }, { 'sidecar.istio.io/inject': 'false' })) assert.match(row, /false: pod label sidecar.istio.io\/inject=false prevents injection$/)
  for (const row of check({ 'istio-injection': 'enabled' }, {}, { namespace: 'kube-system' })) assert.match(row, /false: system namespaces are never injected$/)
  assert.match(check({ 'istio-injection': 'enabled' }, {}, { hostNetwork: true })[1] ?? '', /false: a pod on the host’s network is never injected$/)
  assert.match(check({ 'istio-injection': 'enabled' }, {}, { annotations: { 'sidecar.istio.io/inject': 'false' } })[1] ?? '', /false: the pod’s annotation/)
})
