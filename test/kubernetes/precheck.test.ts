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

test('webhooks that the API server can’t call are said in its own words; one attempt each, and nothing is kept', async () => {
  const clean = await said()
  assert.deepEqual(clean.filter((m) => m.includes('KITH0046')), [])
  const admission = '/apis/admissionregistration.k8s.io/v1'
  const labels = { 'istio.io/rev': 'default' }
  for (const plural of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) api.put(`${admission}/${plural}`, { metadata: { name: 'precheck', labels } })
  const tried: string[] = []
  api.instead = (request, response) => {
    const url = request.url ?? ''
    const webhook = url.includes('/pods?') ? 'rev.object.sidecar-injector.istio.io' : url.includes('/peerauthentications?') ? 'rev.validation.istio.io' : ''
    if (request.method !== 'POST' || webhook === '') return false
    tried.push(url)
    const message = `Internal error occurred: failed calling webhook "${webhook}": failed to call webhook: Post "https://istiod.istio-system.svc:443/x?timeout=10s": tls: failed to verify certificate: x509: certificate signed by unknown authority`
    response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', code: 500, message }))
    return true
  }
  const found = (await said()).filter((m) => m.includes('KITH0046'))
  api.instead = undefined
  assert.equal(found.length, 2)
  assert.match(found[0] ?? '', /^error KITH0046 the API server can't call a webhook of the control plane that runs: failed calling webhook "rev\.object\.sidecar-injector\.istio\.io": .*x509: certificate signed by unknown authority$/)
  assert.ok(tried.every((url) => url.includes('dryRun=All')), tried.join())
  // A refusal of another kind is no fault of the webhooks.
  api.refused.set('pods', 403)
  api.refused.set('peerauthentications', 422)
  assert.deepEqual((await said()).filter((m) => m.includes('KITH0046')), [])
  for (const plural of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) api.remove(`${admission}/${plural}`, 'precheck')
})

test('what may not even be asked is said', async () => {
  api.refused.set('namespaces', 403)
  assert.ok((await said()).some((m) => m.startsWith('warning IST0141 this can’t be checked') || m.startsWith("warning IST0141 this can't be checked")))
})
