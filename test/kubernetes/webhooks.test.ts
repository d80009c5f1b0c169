// The webhooks of a cluster's control plane against a small API server: caBundle, the injector's ConfigMap, kubelets, events.
import assert from 'node:assert/strict'
import { request } from 'node:https'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { silentLogger } from '#lib/log.ts'
import { selfSignedAuthority } from '#ca'
import type { MeshConfigSpec } from '#api'
import { webhookConfigurations, type AdmissionResponse } from '#inject'
import { decodeObjects, parseYaml } from '#sources'
import { ServingCertificate } from '../../src/control-plane/server/serving-certificate.ts'
import { nextSnapshot } from '../../src/control-plane/server/snapshot.ts'
import { clusterWebhooks } from '../../src/control-plane/server/webhooks/index.ts'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'

const system = 'istio-system'
const admission = '/apis/admissionregistration.k8s.io/v1'
const configMaps = `/api/v1/namespaces/${system}/configmaps`
type Config = { webhooks: { name: string; failurePolicy: string; clientConfig: { caBundle?: string } }[] }
const plural = (kind: string): string => `${admission}/${kind.toLowerCase()}s`

interface Options {
  readonly config?: object
  readonly kubelets?: readonly string[]
  readonly leads?: boolean
  readonly meshConfig?: MeshConfigSpec
  /** YAML of what the control plane knows already. */
  readonly known?: string
  /** Plurals that may not be read at first. */
  readonly refused?: readonly string[]
}

async function started(t: TestContext, { config, kubelets = ['v1.33.0'], leads = true, refused = [], meshConfig = {}, known = '' }: Options = {}) {
  const snapshot = known === '' ? undefined : nextSnapshot(undefined, decodeObjects(parseYaml(known, 'known.yaml').documents).objects, meshConfig)
  const api = await ApiServer.start()
  for (const plural of refused) api.refused.set(plural, 403)
  const injector = (data: object): void => void api.put(configMaps, { kind: 'ConfigMap', metadata: { name: 'istio-sidecar-injector' }, data })
  if (config !== undefined) injector(config)
  kubelets.forEach((kubeletVersion, i) => api.put('/api/v1/nodes', { kind: 'Node', metadata: { name: `n${i}` }, status: { nodeInfo: { kubeletVersion } } }))
  for (const o of webhookConfigurations({ revision: 'default', namespace: system })) api.put(plural(o.kind), o)
  for (const o of webhookConfigurations({ revision: 'canary', namespace: system })) api.put(plural(o.kind), o)
  let authority = await selfSignedAuthority('cluster.local', Date.now())
  const serving = new ServingCertificate(() => authority, ['istiod.istio-system.svc'], Date.now, silentLogger)
  await serving.renew()
  const listeners: ((roots: string) => void)[] = []
  const client = clientOf(api)
  const lines: Line[] = []
  const registry = new Registry()
  const running = await clusterWebhooks({
    client, namespace: system, revision: 'default', host: '127.0.0.1', port: 0, serving, registry, log: remember(lines), snapshot: () => snapshot, meshConfig: () => meshConfig,
    leadership: { isLeader: () => leads, watch: (l) => l(leads), release: async () => undefined },
    onRoots(listener) {
      listeners.push(listener)
      listener(authority.roots)
    },
  })
  t.after(async () => {
    await running.close()
    serving.close()
    client.close()
    await api.down().catch(() => undefined)
  })
  const port = lines.find((l) => l.message === 'webhooks are served')?.fields['port'] as number
  const bundle = (name = 'istio-sidecar-injector', kind = 'MutatingWebhookConfiguration'): (string | undefined)[] => ((api.read(plural(kind), name) as unknown as Config).webhooks).map((w) => w.clientConfig.caBundle)
  const review = (object: object, more: object = {}, path = '/inject'): Promise<AdmissionResponse> => {
    const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u', operation: 'CREATE', namespace: 'shop', object, ...more } })
    return new Promise((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port, servername: 'istiod.istio-system.svc', ca: authority.roots, method: 'POST', path, agent: false, headers: { 'content-type': 'application/json' } }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (c: Buffer) => chunks.push(c)).on('end', () => resolve((JSON.parse(Buffer.concat(chunks).toString()) as { response: AdmissionResponse }).response))
      })
      call.on('error', reject).end(body)
    })
  }
  const ready = (): Promise<string> => new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, servername: 'istiod.istio-system.svc', ca: authority.roots, path: '/ready', agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (c: Buffer) => chunks.push(c)).on('end', () => resolve(`${response.statusCode} ${Buffer.concat(chunks).toString()}`))
    })
    call.on('error', reject).end()
  })
  return {
    ready, notes: running.notes,
    api, injector, bundle, review, registry, lines, roots: () => Buffer.from(authority.roots).toString('base64'),
    async replaceRoot() {
      authority = await selfSignedAuthority('cluster.local', Date.now())
      await serving.renew()
      for (const listener of listeners) listener(authority.roots)
    },
  }
}

const pod = (spec: object = {}, metadata: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'web-1-', ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'rs', controller: true }], ...metadata }, spec: { containers: [{ name: 'web', image: 'x' }], ...spec } })
const patchOf = (response: AdmissionResponse): string => Buffer.from(response.patch ?? '', 'base64').toString()
const isNative = (response: AdmissionResponse): boolean => patchOf(response).includes('"restartPolicy":"Always"')

test('caBundle is written into this revision’s webhooks, mended, and follows a new root; then validation fails closed', async (t) => {
  const { api, bundle, roots, replaceRoot, registry } = await started(t)
  const all = (values: readonly (string | undefined)[]): boolean => values.every((b) => b === roots())
  await eventually('the bundle', () => [...bundle(), ...bundle('istio-validator-istio-system', 'ValidatingWebhookConfiguration')], all)
  assert.deepEqual((api.read(plural('ValidatingWebhookConfiguration'), 'istio-validator-istio-system') as unknown as Config).webhooks.map((w) => w.failurePolicy), ['Fail', 'Fail'])
  assert.deepEqual(bundle('istio-sidecar-injector-canary'), [undefined, undefined])
  const [fresh] = webhookConfigurations({ revision: 'default', namespace: system, caBundle: 'somebody else’s' })
  api.put(plural('MutatingWebhookConfiguration'), fresh as never)
  await eventually('mended', bundle, all)
  await replaceRoot()
  await eventually('the new root', bundle, all)
  assert.match(await registry.metrics(), /webhook_patch_attempts_total\{name="istio-sidecar-injector"\} [3-9]/)
})

test('another replica writes only where the API server could not reach any', async (t) => {
  const { api, bundle, roots } = await started(t, { leads: false })
  await eventually('the empty one', bundle, (values) => values.every((b) => b === roots()))
  const [fresh] = webhookConfigurations({ revision: 'default', namespace: system, caBundle: Buffer.from(roots(), 'base64').toString() + '-----BEGIN CERTIFICATE-----\nMore\n-----END CERTIFICATE-----\n' })
  api.put(plural('MutatingWebhookConfiguration'), fresh as never)
  const before = bundle()
  await pause(300)
  assert.deepEqual(bundle(), before)
  assert.equal(api.requests.filter((r) => r.startsWith('PATCH')).length, 2)
})

test('the injector’s ConfigMap is followed; one that can’t be read leaves the last one in force', async (t) => {
  const { injector, review, lines } = await started(t, { config: { config: 'policy: enabled', values: '{"global": {"hub": "h1", "tag": "t", "proxy": {"image": "p"}}}' } })
  assert.match(patchOf(await review(pod())), /"image":"h1\/p:t"/)
  injector({ config: 'policy: enabled', values: '{"global": {"hub": "h2", "tag": "t", "proxy": {"image": "p"}}}' })
  await eventually('the new image', async () => patchOf(await review(pod())), (p) => p.includes('"image":"h2/p:t"'))
  injector({ config: 'templates: {sidecar: "{{ if }}"}', values: '{}' })
  await eventually('the complaint', () => lines.some((l) => String(l.fields['reason']).includes('template sidecar:1:')), (said) => said)
  assert.match(patchOf(await review(pod())), /"image":"h2\/p:t"/)
})

test('with a configuration that can’t be read from the start, no pod is let in by guess', async (t) => {
  const { injector, review } = await started(t, { config: { config: 'templates: {x: "{{ nosuch }}"}' } })
  const refused = await review(pod())
  assert.equal(refused.allowed, false)
  assert.match(refused.status?.message ?? '', /istio-sidecar-injector can’t be read: template x:1:4: there is no function nosuch/)
  injector({ config: 'policy: enabled' })
  await eventually('mended', async () => (await review(pod())).allowed, (allowed) => allowed)
})

test('where the injector’s ConfigMap may not be read, no pod is let in by guess; where there is none, the defaults hold', async (t) => {
  const { api, injector, review, lines } = await started(t, { refused: ['configmaps'] })
  const refused = await review(pod())
  assert.equal(refused.allowed, false)
  assert.match(refused.status?.message ?? '', /ConfigMap istio-system\/istio-sidecar-injector can’t be read: .*refused/)
  assert.ok(lines.some((l) => l.level === 'error' && /no pod is let in until it can/.test(l.message)))
  injector({ config: 'policy: enabled', values: '{"global": {"hub": "h9", "tag": "t", "proxy": {"image": "p"}}}' })
  api.refused.delete('configmaps')
  await eventually('mended', async () => patchOf(await review(pod())), (p) => p.includes('"image":"h9/'), 40_000)
  const none = await started(t)
  assert.equal((await none.review(pod())).allowed, true)
  assert.ok(none.lines.some((l) => /the defaults hold/.test(l.message)))
})

test('native sidecars where every kubelet knows them, or the pod’s own', async (t) => {
  const { api, review } = await started(t, { kubelets: ['v1.33.1', 'v1.32.9'] })
  assert.equal(isNative(await review(pod())), false)
  assert.equal(isNative(await review(pod({ nodeName: 'n0' }))), true)
  assert.equal(isNative(await review(pod({}, { annotations: { 'sidecar.istio.io/nativeSidecar': 'true' } }))), true)
  api.remove('/api/v1/nodes', 'n1')
  await eventually('the old one gone', async () => isNative(await review(pod())), (native) => native)
})

test('an owner hears once why its pods got no sidecar; not of a dry run', async (t) => {
  const { api, review } = await started(t)
  const events = (): Record<string, unknown>[] => api.requests.filter((r) => r === 'POST /api/v1/namespaces/shop/events').map(() => ({}))
  await review(pod({ hostNetwork: true }), { dryRun: true })
  await review(pod())
  assert.equal(events().length, 0)
  for (let i = 0; i < 3; i++) assert.equal((await review(pod({ hostNetwork: true }))).allowed, true)
  await eventually('the event', events, (e) => e.length === 1)
})

test('a VirtualService for another namespace’s host is warned of; meshConfig can refuse it, with the snapshot or by the name alone', async (t) => {
  const known = '{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: api, namespace: bar}, spec: {hosts: [api.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}}'
  const object = (host: string, exportTo = ['*']): object => ({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'evil', namespace: 'legacy' }, spec: { hosts: [host], exportTo, http: [{ directResponse: { status: 418 } }] } })
  const warning = await started(t, { known })
  for (const host of ['httpbin.bar.svc.cluster.local', 'api.example.com']) {
    const answer = await warning.review(object(host), {}, '/validate')
    assert.equal(answer.allowed, true)
    assert.match(answer.warnings?.join() ?? '', /^spec\.hosts\[0\]: \S+ belongs to namespace bar.*compat\.foreignHosts: refuse/)
  }
  assert.deepEqual(await warning.review(object('api.example.com', ['.']), {}, '/validate'), { uid: 'u', allowed: true })
  const refusing = await started(t, { meshConfig: { compat: { foreignHosts: 'refuse' } } })
  const refused = await refusing.review(object('httpbin.bar.svc.cluster.local'), {}, '/validate')
  assert.equal(refused.allowed, false)
  assert.match(refused.status?.message ?? '', /belongs to namespace bar: compat\.foreignHosts is refuse.*exportTo: \["\."\]/)
})

test('a caBundle that does not verify what is served is said in /ready, log and metric, until it does', async (t) => {
  const { api, bundle, lines, notes, ready, registry, roots } = await started(t)
  await eventually('the bundle', () => [...bundle(), ...bundle('istio-validator-istio-system', 'ValidatingWebhookConfiguration')], (all) => all.every((b) => b === roots()))
  await eventually('nothing amiss', notes, (all) => all.length === 0)
  assert.equal(await ready(), '200 ready\n')
  assert.match(await registry.metrics(), /kith_webhook_trusted\{name="istio-sidecar-injector"\} 1\n/)
  // Somebody else's root of the same name, and no right to mend it.
  api.instead = (call, response) => {
    if (call.method !== 'PATCH') return false
    response.writeHead(403, { 'content-type': 'application/json' }).end('{"kind":"Status","code":403,"message":"no"}')
    return true
  }
  const { roots: foreign } = await selfSignedAuthority('cluster.local', Date.now())
  api.put(plural('MutatingWebhookConfiguration'), webhookConfigurations({ revision: 'default', namespace: system, caBundle: foreign })[0] as never)
  await eventually('said', () => lines.some((l) => l.level === 'error' && l.message.startsWith('the API server can’t call a webhook')), (said) => said, 15_000)
  assert.match(await ready(), /^200 ready\nMutatingWebhookConfiguration istio-sidecar-injector: the API server can’t call the webhook rev\.namespace\.sidecar-injector\.istio\.io: its caBundle does not verify the certificate that is served: /)
  assert.match(await registry.metrics(), /kith_webhook_trusted\{name="istio-sidecar-injector"\} 0\n/)
  assert.match(await registry.metrics(), /kith_webhook_trusted\{name="istio-validator-istio-system"\} 1\n/)
  api.instead = undefined
  await eventually('mended', () => lines.some((l) => l.message === 'the API server can call the webhooks again'), (said) => said, 15_000)
  assert.equal(await ready(), '200 ready\n')
  assert.equal(lines.filter((l) => l.message.startsWith('the API server can’t call a webhook')).length, 4, 'each webhook once')
})
