// Commands that read a cluster, against an API server on loopback: what they take from it, and what they say when it refuses.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { KithError } from '#lib/errors.ts'
import { webhookConfigurations } from '#inject'
import { readCluster } from '../../src/cli/cluster-objects.ts'
import { waitForRollout } from '../../src/cli/install/rollout.ts'
import { ApiServer, clientOf } from './api-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'kith-commands-'))
const kubeconfig = join(folder, 'kubeconfig')
let api: ApiServer

before(async () => {
  api = await ApiServer.start()
  writeFileSync(kubeconfig, api.kubeconfig)
  const meta = (name: string, namespace: string, more: object = {}) => ({ name, namespace, ...more })
  api.put('/api/v1/namespaces', { metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } })
  for (const [name, ip, sidecar] of [['sleep', '10.0.0.1', true], ['httpbin', '10.0.0.2', false]] as const) {
    api.put('/api/v1/namespaces/foo/pods', {
      metadata: meta(name, 'foo', { labels: { app: name } }), status: { phase: 'Running', podIP: ip },
      spec: { serviceAccountName: name, containers: [{ name, image: name, ports: [{ containerPort: 80 }] }, ...(sidecar ? [{ name: 'istio-proxy', image: 'p' }] : [])] },
    })
  }
  api.put('/api/v1/namespaces/foo/services', { metadata: meta('httpbin', 'foo'), spec: { selector: { app: 'httpbin' }, clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 8000, targetPort: 80 }] } })
  api.put('/apis/security.istio.io/v1/namespaces/foo/peerauthentications', { metadata: meta('default', 'foo', { managedFields: [{ manager: 'x' }] }), spec: { mtls: { mode: 'STRICT' } } })
  api.put('/api/v1/namespaces/istio-system/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta('istio', 'istio-system'), data: { mesh: 'trustDomain: example.org\n' } })
})
beforeEach(() => api.refused.clear())
after(async () => {
  await api.down()
  rmSync(folder, { recursive: true, force: true })
})

/** Not spawnSync: the API server lives in this process. */
function kith(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '../../src/cli/main.ts'), ...args], { cwd: folder, env: { ...process.env, KUBECONFIG: kubeconfig, HOME: folder, XDG_RUNTIME_DIR: folder, TMPDIR: folder, ...environment } })
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (t: string) => (out += t))
    child.stderr.setEncoding('utf8').on('data', (t: string) => (err += t))
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

test('explain takes pods as they are, not as injection would have made them, and meshConfig from its ConfigMap', async () => {
  const { code, out, err } = await kith(['explain', 'sleep.foo', 'http://httpbin.foo:8000/'])
  assert.equal(code, 0, err)
  assert.match(out, /plaintext\n\nclient {3}foo\/sleep, sidecar as spiffe:\/\/example\.org\/ns\/foo\/sa\/sleep/)
  assert.match(out, /server {3}foo\/httpbin port 80, no sidecar/)
})

test('analyze reads the context’s namespace, or all; a file lies over the cluster with --use-kube', async () => {
  const one = await kith(['analyze', '-n', 'foo'])
  assert.match(one.out, /Warning \[IST0103\] \(Pod foo\/httpbin\)/)
  const other = await kith(['analyze'])
  assert.equal(other.out, '')
  assert.match(other.err, /No validation issues found when analyzing namespace: default/)
  const file = join(folder, 'route.yaml')
  writeFileSync(file, 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r, namespace: foo}\nspec: {hosts: [httpbin], http: [{route: [{destination: {host: httpbin}}]}]}\n')
  assert.equal((await kith(['analyze', file, '-n', 'foo'])).code, 79, 'alone, the file names a host that is nowhere')
  assert.equal((await kith(['analyze', file, '-n', 'foo', '--use-kube'])).code, 0)
})

test('check-inject says where a sidecar is asked for in vain, of files and of a cluster, of one workload and of all', async () => {
  const label = { 'sidecar.istio.io/inject': 'true' }
  const spec = { template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web' }] } } }
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'plain', labels: label }, spec }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'old-1', namespace: 'plain', labels: label, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { containers: [{ name: 'a', image: 'a' }] }, status: { phase: 'Running', podIP: '10.0.0.9' } }
  const file = join(folder, 'web.yaml')
  writeFileSync(file, [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'plain' } }, deployment, pod].map((o) => JSON.stringify(o)).join('\n---\n'))
  const misplaced = /note: Deployment plain\/web metadata\.labels\.sidecar\.istio\.io\/inject.*write sidecar\.istio\.io\/inject: "true" to spec\.template\.metadata\.labels/
  const older = /note: Pod plain\/old-1.*made at 2026-01-01T00:00:00Z, before that held.*delete it and create it again/
  const ofFiles = await kith(['check-inject', '-f', file])
  for (const note of [misplaced, older]) assert.match(ofFiles.out, note)
  assert.doesNotMatch((await kith(['check-inject', '-f', file, 'old-1'])).out, misplaced)

  api.put('/api/v1/namespaces', { metadata: { name: 'plain' } })
  api.put('/apis/apps/v1/namespaces/plain/deployments', deployment)
  api.put('/api/v1/namespaces/plain/pods', pod)
  api.put('/api/v1/namespaces/plain/pods', { ...pod, metadata: { name: 'web-5d4f9-x', namespace: 'plain', labels: { app: 'web', 'pod-template-hash': '5d4f9' }, ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f9', uid: 'u', controller: true }] } })
  for (const o of webhookConfigurations({ revision: 'default', namespace: 'istio-system' })) api.put('/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', o as never)
  const all = await kith(['check-inject', '-n', 'plain'])
  for (const note of [misplaced, older]) assert.match(all.out, note, all.err)
  for (const name of ['deployment/web', 'pod/web-5d4f9-x']) assert.match((await kith(['check-inject', '-n', 'plain', name])).out, misplaced, name)
  assert.match((await kith(['check-inject', '-n', 'plain', 'pod/old-1'])).out, older)
})

test('analyze names what of a cluster the mesh does not serve, also of kinds that others have brought', async () => {
  const wasm = '/apis/extensions.istio.io/v1alpha1/namespaces/brought/wasmplugins'
  api.put('/api/v1/namespaces', { metadata: { name: 'brought', labels: { 'istio-injection': 'enabled', 'pod-security.kubernetes.io/enforce': 'restricted' } } })
  api.put(wasm, { apiVersion: 'extensions.istio.io/v1alpha1', kind: 'WasmPlugin', metadata: { name: 'w', namespace: 'brought' }, spec: {} })
  const { out, err } = await kith(['analyze', '-n', 'brought'])
  assert.match(out, /Warning \[KITH0121\] \(WasmPlugin brought\/w\)/, err)
  assert.match(out, /Warning \[KITH0124\] \(Namespace brought\).*Pod Security restricted refuses every pod here that gets a sidecar/)
  api.remove(wasm, 'w')
  api.remove('/api/v1/namespaces', 'brought')
})

test('what may not be read is said, and the rest counts; without pods there is no answer', async () => {
  const client = clientOf(api)
  api.refused.set('virtualservices', 403).set('destinationrules', 404).set('nodes', 403)
  const { problems, documents } = await readCluster(client)
  assert.deepEqual(problems.map((p) => p.message.slice(0, 40)).sort(), ["Node objects can't be read, so what they", "VirtualService objects can't be read, so", 'this cluster does not know DestinationRu'])
  assert.ok(documents.length >= 5)
  assert.ok(documents.every((d) => !JSON.stringify(d.value).includes('managedFields')))
  api.refused.set('pods', 403)
  await assert.rejects(readCluster(client), (e) => e instanceof KithError && e.code === 'K8S_FORBIDDEN')
  client.close()
})

test('a cluster that is away, or none at all, is a sentence that helps', async () => {
  const forbidden = await (api.refused.set('pods', 403), kith(['explain', 'a.b', 'c:80']))
  assert.match(forbidden.err, /K8S_FORBIDDEN/)
  assert.match(forbidden.err, /kubectl auth can-i --list/)
  const nowhere = join(folder, 'nowhere')
  writeFileSync(nowhere, api.kubeconfig.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1'))
  const away = await kith(['explain', 'a.b', 'c:80', '--kubeconfig', nowhere])
  assert.equal(away.code, 1)
  assert.match(away.err, /can't be reached: .*\nIs the cluster up, and is this the right context\?/)
  const none = await kith(['explain', 'a.b', 'c:80'], { KUBECONFIG: '' })
  assert.match(none.err, /name files or folders with -f, run one here with kith up \(--local\), or point KUBECONFIG at a cluster/)
})

test('a rollout that can’t succeed ends at once, with what the pod says', async () => {
  const client = clientOf(api)
  api.put('/apis/apps/v1/namespaces/istio-system/deployments', { metadata: { name: 'istiod' }, spec: { replicas: 1, selector: { matchLabels: { app: 'istiod' } } }, status: { observedGeneration: 1, updatedReplicas: 1, replicas: 1 } })
  api.put('/api/v1/namespaces/istio-system/pods', { metadata: { name: 'istiod-1', labels: { app: 'istiod' } }, status: { containerStatuses: [{ name: 'discovery', state: { waiting: { reason: 'ErrImageNeverPull', message: 'no image x' } } }] } })
  const said: string[] = []
  await assert.rejects(waitForRollout(client, 'istio-system', 'istiod', 60_000, (t) => said.push(t)), (e) => e instanceof KithError && e.code === 'INSTALL_NOT_READY' && /ErrImageNeverPull: no image x/.test(e.message))
  assert.deepEqual(said, ['0 of 1 replicas ready (ErrImageNeverPull: no image x)'])
  api.put('/apis/apps/v1/namespaces/istio-system/deployments', { metadata: { name: 'istiod' }, spec: { replicas: 1, selector: { matchLabels: { app: 'istiod' } } }, status: { observedGeneration: 9, updatedReplicas: 1, replicas: 1, availableReplicas: 1 } })
  await waitForRollout(client, 'istio-system', 'istiod', 1000, () => undefined)
  client.close()
})
