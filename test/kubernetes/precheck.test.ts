// What precheck finds in a cluster that is not as it should be, against an API server on loopback. That it finds nothing in a good one is held by the cluster lane.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { resolveValues } from '#deploy'
import { planInstall } from '../../src/cli/install/plan-install.ts'
import { precheck } from '../../src/cli/install/precheck.ts'
import { ApiServer, clientOf } from './api-server.ts'

let api: ApiServer
before(async () => void (api = await ApiServer.start()))
beforeEach(() => {
  api.refused.clear()
  api.allowed = true
})
after(() => api.down())

const plan = (revision = '') => planInstall(resolveValues([{ from: 'test', value: { revision } }]).values)
async function said(revision?: string): Promise<string[]> {
  const client = clientOf(api)
  try {
    return (await precheck(client, plan(revision))).map((p) => `${p.severity} ${p.code} ${p.message}`)
  } finally {
    client.close()
  }
}

test('every kind that may not be written is named, once', async () => {
  assert.deepEqual(await said(), [])
  api.allowed = false
  const missing = (await said()).filter((m) => m.includes('IST0141'))
  assert.equal(missing.length, new Set(plan().objects.map((o) => `${o.kind} ${o.metadata.namespace}`)).size)
  assert.ok(missing.includes('error IST0141 Missing required permission to create and patch resource apps/Deployment in namespace istio-system'))
  assert.ok(missing.includes('error IST0141 Missing required permission to create and patch resource apiextensions.k8s.io/CustomResourceDefinition'))
})

test('another control plane under the same name, its webhook, and pod security that refuses the init container', async () => {
  api.put('/apis/apps/v1/namespaces/istio-system/deployments', { metadata: { name: 'istiod', labels: { app: 'istiod' } }, spec: {} })
  api.put('/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', { metadata: { name: 'istio-sidecar-injector', labels: { app: 'sidecar-injector', 'istio.io/rev': 'default' } } })
  api.put('/api/v1/namespaces', { metadata: { name: 'shop', labels: { 'istio-injection': 'enabled', 'pod-security.kubernetes.io/enforce': 'baseline' } } })
  api.put('/api/v1/namespaces', { metadata: { name: 'other', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } })
  const own = await said()
  assert.deepEqual(own, [
    'error KITH0043 Deployment istio-system/istiod was not made by kith: another control plane runs here under the same name',
    'error KITH0043 MutatingWebhookConfiguration istio-sidecar-injector belongs to another injector',
    'warning KITH0045 namespace shop asks for sidecars and enforces pod security "baseline", which refuses the init container that redirects traffic',
  ])
  // Beside it, as a revision, there is nothing in the way.
  assert.deepEqual((await said('canary')).filter((m) => m.startsWith('error')), [])
})

test('what may not even be asked is said', async () => {
  api.refused.set('namespaces', 403)
  assert.ok((await said()).some((m) => m.startsWith('warning IST0141 this can’t be checked') || m.startsWith("warning IST0141 this can't be checked")))
})
