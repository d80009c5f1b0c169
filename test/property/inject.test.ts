// Injection over drawn pods: once is as good as twice, what is not ours stays, the webhook's patch gives the same pod, a file keeps its other bytes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { applyPatch } from 'rfc6902'
import { parse, stringify } from 'yaml'
import { createInjector, injectObject, reviewAdmission, type Injector } from '#inject'
import { injectText } from '../../src/cli/commands/kube-inject.ts'

type Obj = Record<string, unknown>
const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
const custom = 'spec:\n  containers:\n  {{- range .Spec.Containers }}\n  - name: {{ .Name }}\n    env: [{name: INDEXED, value: "{{ .Name | upper }}"}]\n  {{- end }}\n'
const injectors = [{}, { sidecarInjectorWebhook: { nativeSidecars: true } }, { pilot: { cni: { enabled: true } }, global: { network: 'n1', imagePullSecrets: ['s'] } }].map((values) => createInjector({ config: { templates: { custom } }, values, meshConfig: {}, revision: 'default', yaml }))

const port = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom('http', 'nowhere'))
const handler = fc.oneof(fc.record({ httpGet: fc.record({ port, path: fc.constantFrom('/', '/ready') }) }), fc.record({ tcpSocket: fc.record({ port }) }), fc.record({ grpc: fc.record({ port: fc.integer({ min: 1, max: 9 }) }) }), fc.constant({ exec: { command: ['true'] } }))
const probe = fc.tuple(handler, fc.record({ timeoutSeconds: fc.integer({ min: 1, max: 9 }) }, { requiredKeys: [] })).map(([h, more]): Obj => ({ ...h, ...more }))
const container = (name: fc.Arbitrary<string>): fc.Arbitrary<Obj> => fc.record({
  name, image: fc.constantFrom('x', 'auto'), env: fc.constant([{ name: 'A', value: '1' }]), ports: fc.constant([{ name: 'http', containerPort: 8080 }]), readinessProbe: probe, livenessProbe: probe, lifecycle: fc.record({ preStop: handler }), unknownField: fc.constant({ kept: [1, null, 'x'] }),
}, { requiredKeys: ['name', 'image'] })
const list = (names: readonly string[], least: number): fc.Arbitrary<Obj[]> => fc.uniqueArray(container(fc.constantFrom(...names)), { selector: (c) => c['name'], minLength: least, maxLength: 3 })
const annotations = fc.record({
  'sidecar.istio.io/nativeSidecar': fc.constantFrom('true', 'false'), 'inject.istio.io/templates': fc.constantFrom('sidecar', 'sidecar,custom', 'custom', 'gateway'), 'prometheus.io/port': fc.constantFrom('9090', '15020'), 'prometheus.io/scrape': fc.constantFrom('true', 'false'),
  'proxy.istio.io/config': fc.constantFrom('holdApplicationUntilProxyStarts: true', '{}'), 'sidecar.istio.io/interceptionMode': fc.constantFrom('TPROXY', 'NONE', 'REDIRECT'), 'sidecar.istio.io/rewriteAppHTTPProbers': fc.constantFrom('true', 'false'), 'example.com/own': fc.string(),
  'sidecar.istio.io/userVolume': fc.constant('{"u": {"emptyDir": {}}}'),
}, { requiredKeys: [] })
const podSpec = fc.record({
  containers: list(['web', 'log', 'istio-proxy'], 1), initContainers: list(['seed', 'first'], 0), volumes: fc.constant([{ name: 'own', emptyDir: {} }, { name: 'istio-data', hostPath: { path: '/x' } }]), dnsPolicy: fc.constantFrom('ClusterFirst', 'None'), ownField: fc.constant({ a: [1] }),
}, { requiredKeys: ['containers'] })
const deployment = fc.tuple(podSpec, annotations).map(([spec, a]): Obj => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'shop' }, spec: { replicas: 1, template: { metadata: { labels: { app: 'web' }, annotations: a }, spec } } }))
const drawn = fc.tuple(fc.nat(injectors.length - 1), deployment)
interface Template { metadata: { labels: Obj; annotations: Obj }; spec: { containers: Obj[]; initContainers?: Obj[]; volumes?: Obj[]; [f: string]: unknown } }
const templateOf = (o: Obj): Template => (o['spec'] as { template: Template }).template
const ours = /^istio-(proxy|init|validation)$/

test('once is as good as twice, and what is not ours stays as it was', () => {
  fc.assert(fc.property(drawn, ([which, object]) => {
    const injector = injectors[which] as Injector
    const before = JSON.stringify(object)
    const once = injectObject(object, injector)
    assert.ok(once.kind === 'injected')
    assert.equal(JSON.stringify(object), before, 'the input was changed')
    const twice = injectObject(once.object, injector)
    assert.ok(twice.kind === 'injected')
    assert.deepEqual(twice.object, once.object)
    const [was, is] = [templateOf(object), templateOf(once.object)]
    const { containers: _c, initContainers: _i, volumes: _v, imagePullSecrets: _s, ...rest } = was.spec
    for (const [field, value] of Object.entries(rest)) assert.deepEqual(is.spec[field], value, field)
    assert.deepEqual((is.spec.volumes ?? []).slice(0, (was.spec.volumes ?? []).length), was.spec.volumes ?? [])
    const all = [...is.spec.containers, ...(is.spec.initContainers ?? [])]
    for (const own of [...was.spec.containers, ...(was.spec.initContainers ?? [])].filter((c) => !ours.test(String(c['name'])))) {
      const found = all.filter((c) => c['name'] === own['name'])
      assert.equal(found.length, 1)
      for (const [field, value] of Object.entries(own)) if (!/Probe$|^lifecycle$|^env$|^image$/.test(field)) assert.deepEqual(found[0]?.[field], value, field)
    }
    assert.equal(all.length, new Set(all.map((c) => c['name'])).size, 'a container stands twice')
  }), { numRuns: 300 })
})

test('the webhook’s patch gives the pod that kube-inject prints', () => {
  fc.assert(fc.property(drawn, ([which, object]) => {
    const injector = injectors[which] as Injector
    const { metadata, spec } = templateOf(object)
    const pod: Obj = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop', ...metadata }, spec }
    const printed = injectObject(pod, injector)
    assert.ok(printed.kind === 'injected')
    const { response } = reviewAdmission({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u', namespace: 'shop', operation: 'CREATE', object: pod } }, injector).answer
    const patched = JSON.parse(JSON.stringify(pod)) as Obj
    assert.deepEqual(applyPatch(patched, JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()) as never).filter((e) => e !== null), [])
    assert.deepEqual(patched, JSON.parse(JSON.stringify(printed.object)))
  }), { numRuns: 200 })
})

test('of a file, what is not injected keeps its bytes', () => {
  const other = fc.constantFrom('# only words\n', 'apiVersion: v1\nkind: Service   # a service\nmetadata: {name: web}\n', 'kind: ConfigMap\napiVersion: v1\ndata:\n  a: |\n    kind: Deployment\n    ---x\n', '\n\n', 'a: [1,   2]\r\n', 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: h}\nspec: {template: {spec: {hostNetwork: true, containers: []}}} # host\n')
  const injected = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: x}]}}}\n'
  fc.assert(fc.property(fc.array(fc.oneof(other, fc.constant(injected)), { minLength: 1, maxLength: 6 }), (parts) => {
    const { output } = injectText(parts.join('---\n'), 'in.yaml', injectors[0] as never)
    let from = 0
    for (const part of parts) {
      const wanted = part === injected ? 'istio-proxy' : part
      const at = output.indexOf(wanted, from)
      assert.notEqual(at, -1, JSON.stringify(wanted))
      from = at + wanted.length
    }
  }), { numRuns: 100 })
})

test('whatever is sent, there is an answer, and it never lets a pod in by mistake', () => {
  const junk = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 5, depthSize: 'medium' }, fc.constantFrom(null, 0, -1, 1e300, true, '', 'x', '{', '[]', 'istio-proxy', 'auto', '__proto__'), fc.array(tie('any'), { maxLength: 3 }), fc.dictionary(fc.constantFrom('name', 'env', 'value', 'ports', 'containerPort', 'httpGet', 'port', 'readinessProbe', 'lifecycle', 'preStop', 'securityContext', 'runAsUser', 'image', 'volumeMounts', 'mountPath', '__proto__', 'constructor', 'toString', 'labels', 'annotations', 'ownerReferences', 'controller', 'kind'), tie('any'), { maxKeys: 5, noNullPrototype: true })),
  })).any
  const annotationName = fc.constantFrom('sidecar.istio.io/status', 'proxy.istio.io/overrides', 'proxy.istio.io/config', 'inject.istio.io/templates', 'sidecar.istio.io/userVolume', 'sidecar.istio.io/userVolumeMount', 'k8s.v1.cni.cncf.io/networks', 'prometheus.io/port', 'prometheus.istio.io/scrape-targets', 'sidecar.istio.io/nativeSidecar', 'status.sidecar.istio.io/port', 'sidecar.istio.io/init-containers-before-proxy')
  const text = fc.oneof(fc.string(), junk.map((j) => JSON.stringify(j) ?? ''), fc.constantFrom('{"containers":["web"],"initContainers":[1,null]}', '{"containers":[{"name":"web"},null,1]}', 'sidecar,custom', '"x"'))
  const metadata = fc.record({ name: junk, generateName: junk, labels: fc.oneof(junk, fc.dictionary(fc.constantFrom('app', 'pod-template-hash', 'deploymentconfig'), fc.oneof(fc.string(), junk))), annotations: fc.oneof(junk, fc.dictionary(annotationName, text, { noNullPrototype: true })), ownerReferences: fc.oneof(junk, fc.array(fc.record({ controller: fc.constant(true), kind: junk, name: junk, apiVersion: junk }))) }, { requiredKeys: [] })
  const spec = fc.record({ containers: fc.oneof(junk, fc.array(junk, { maxLength: 3 })), initContainers: fc.oneof(junk, fc.array(junk, { maxLength: 2 })), volumes: junk, hostNetwork: junk, os: junk, securityContext: junk, imagePullSecrets: junk, dnsConfig: junk }, { requiredKeys: [] })
  const object = fc.oneof(junk, fc.record({ kind: fc.constant('Pod'), metadata: fc.oneof(metadata, junk), spec: fc.oneof(spec, junk) }, { requiredKeys: ['kind'] }))
  fc.assert(fc.property(fc.nat(injectors.length - 1), object, (which, o) => {
    const { answer, outcome } = reviewAdmission(JSON.parse(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u', namespace: 'shop', object: o } })), injectors[which] as Injector)
    assert.equal(answer.response.allowed, outcome === 'injected' || outcome === 'skipped')
  }), { numRuns: 3000 })
})
