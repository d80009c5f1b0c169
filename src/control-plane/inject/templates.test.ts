import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { createInjector, type InjectorSource } from './injector.ts'
import { injectObject } from './inject-object.ts'
import type { Obj } from './template-types.ts'

const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
const injectorOf = (config: Obj, more: Partial<InjectorSource> = {}) => createInjector({ config, values: {}, meshConfig: {}, revision: 'default', yaml, ...more })
interface PodLike {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> }
  spec: { containers: Obj[]; initContainers?: Obj[]; volumes?: Obj[]; [field: string]: unknown }
}
const deployment = (annotations: Record<string, string> = {}, spec: Obj = {}): Obj => ({
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'shop' },
  spec: { template: { metadata: { labels: { app: 'web' }, annotations }, spec: { containers: [{ name: 'web', image: 'x', env: [{ name: 'OWN', value: '1' }], readinessProbe: { httpGet: { port: 80 } } }], ...spec } } },
})
function inject(object: Obj, injector: ReturnType<typeof injectorOf>): { object: Obj; pod: PodLike } {
  const result = injectObject(object, injector)
  assert.ok(result.kind === 'injected', JSON.stringify(result))
  return { object: result.object, pod: (result.object['spec'] as { template: PodLike }).template }
}
const names = (list: Obj[] | undefined): unknown[] => (list ?? []).map((c) => c['name'])
const custom = `
metadata:
  labels:
    by: {{ .DeploymentMeta.Name | quote }}
spec:
  hostAliases:
  - ip: 10.0.0.1
    hostnames: [{{ annotation .ObjectMeta "example.com/alias" "none" }}]
  containers:
  {{- range .Spec.Containers }}
  {{- if ne .Name "istio-proxy" }}
  - name: {{ .Name }}
    env:
    - name: ADDED
      value: {{ len .Ports | quote }}
    - name: OWN
      value: theirs
  {{- end }}
  {{- end }}
  - name: extra
    image: extra:1
  volumes:
  - name: extra
    emptyDir: {}
`

test('an annotation names templates; they are laid over the pod one after another, and the user’s own stands above them', () => {
  const injector = injectorOf({ templates: { custom } })
  assert.deepEqual(injector.faults, [])
  const { object, pod } = inject(deployment({ 'inject.istio.io/templates': 'sidecar,custom', 'example.com/alias': 'db' }), injector)
  assert.deepEqual(names(pod.spec.containers), ['web', 'extra', 'istio-proxy'])
  assert.equal(pod.metadata.labels['by'], 'web')
  assert.deepEqual(pod.spec['hostAliases'], [{ ip: '10.0.0.1', hostnames: ['db'] }])
  assert.deepEqual(pod.spec.containers[0]?.['env'], [{ name: 'ADDED', value: '0' }, { name: 'OWN', value: '1' }])
  assert.ok(names(pod.spec.volumes).includes('extra'))
  assert.deepEqual(inject(object, injector).object, object)
  // The annotation taken back, so is what the template had added.
  const plain = structuredClone(object)
  delete (plain['spec'] as { template: PodLike }).template.metadata.annotations['inject.istio.io/templates']
  const again = inject(plain, injector).pod
  assert.deepEqual([names(again.spec.containers), again.spec.containers[0]?.['env']], [['web', 'istio-proxy'], [{ name: 'OWN', value: '1' }]])
})

test('defaults and aliases; a configured template takes the place of the built-in one', () => {
  const injector = injectorOf({ templates: { custom }, defaultTemplates: ['both'], aliases: { both: ['sidecar', 'custom'] } })
  assert.deepEqual(names(inject(deployment(), injector).pod.spec.containers), ['web', 'extra', 'istio-proxy'])
  const own = injectorOf({ templates: { sidecar: 'spec:\n  containers:\n  - name: istio-proxy\n    image: {{ .ProxyImage }}\n' } })
  const pod = inject(deployment(), own).pod
  assert.deepEqual([pod.spec.containers[1]?.['image'], names(pod.spec.initContainers), pod.metadata.labels['security.istio.io/tlsMode']], ['kith.dev/proxyv2:0.1.0', [], undefined])
})

test('without the sidecar nothing of the application goes by way of one', () => {
  const { pod } = inject(deployment({ 'inject.istio.io/templates': 'custom' }), injectorOf({ templates: { custom } }))
  assert.deepEqual(pod.spec.containers[0]?.['readinessProbe'], { httpGet: { port: 80 } })
  assert.equal(pod.metadata.annotations['prometheus.io/port'], undefined)
})

test('a gateway is the proxy itself', () => {
  const object = deployment({ 'inject.istio.io/templates': 'gateway' }, { containers: [{ name: 'istio-proxy', image: 'auto', ports: [{ containerPort: 8443 }] }] })
  const injector = injectorOf({}, { values: { global: { imagePullSecrets: ['regcred'] } } })
  const { object: once, pod } = inject(object, injector)
  assert.deepEqual([names(pod.spec.containers), pod.spec.initContainers, pod.metadata.annotations['istio.io/rev'], pod.spec['imagePullSecrets']], [['istio-proxy'], undefined, 'default', [{ name: 'regcred' }]])
  const [proxy] = pod.spec.containers as [{ args: string[]; ports: Obj[] }]
  assert.equal(proxy.args[1], 'router')
  assert.deepEqual(proxy.ports.map((p) => p['containerPort']), [15090, 8443])
  assert.deepEqual(inject(once, injector).object, once)
})

test('the API server’s pull policy for image auto does not hold for the image that takes its place', () => {
  const policyOf = (own: Obj, values: Obj = {}, templates = 'gateway'): unknown => {
    const containers = templates === 'gateway' ? [{ name: 'istio-proxy', ...own }] : [{ name: 'web', image: 'x' }, { name: 'istio-proxy', ...own }]
    const { pod } = inject(deployment({ 'inject.istio.io/templates': templates }, { containers }), injectorOf({}, { values: { global: values } }))
    const all = [...(pod.spec.containers as Obj[]), ...((pod.spec.initContainers ?? []) as Obj[])]
    return all.find((c) => c['name'] === 'istio-proxy')?.['imagePullPolicy']
  }
  for (const templates of ['gateway', 'sidecar']) {
    assert.equal(policyOf({ image: 'auto', imagePullPolicy: 'Always' }, {}, templates), undefined, templates)
    assert.equal(policyOf({ image: 'auto', imagePullPolicy: 'Always' }, { imagePullPolicy: 'Never' }, templates), 'Never', templates)
    assert.equal(policyOf({ image: 'auto', imagePullPolicy: 'Always' }, { imagePullPolicy: 'Always' }, templates), 'Always', templates)
    assert.equal(policyOf({ image: 'auto', imagePullPolicy: 'Never' }, {}, templates), 'Never', templates)
    assert.equal(policyOf({ image: 'mine:1', imagePullPolicy: 'Always' }, {}, templates), 'Always', templates)
  }
})

test('mistakes name the template and the place', () => {
  const faultsOf = (config: Obj, annotations: Record<string, string> = {}): string => {
    const result = injectObject(deployment(annotations), injectorOf(config))
    return result.kind === 'faulty' ? result.faults.join() : ''
  }
  assert.match(injectorOf({ templates: { bad: 'spec:\n  x: {{ if }}' } }).faults.join(), /^template bad:2:\d+: a value is missing$/)
  assert.match(faultsOf({}, { 'inject.istio.io/templates': 'nope' }), /there is no template "nope"; there are sidecar, gateway/)
  assert.match(faultsOf({}, { 'inject.istio.io/templates': 'grpc-agent' }), /proxyless gRPC is not offered/)
  assert.match(faultsOf({ templates: { sidecar: 'a: {{ .Values.none.deeper }}' } }), /template sidecar:1:7: \.Values\.none\.deeper is not set/)
  assert.match(faultsOf({ templates: { sidecar: 'a: [' } }), /template sidecar: what it renders is no YAML/)
})

test('asked again, the sidecar keeps what others gave it meanwhile; another version’s is made anew', () => {
  const injector = injectorOf({}, { values: { sidecarInjectorWebhook: { nativeSidecars: true } } })
  const { object } = inject(deployment(), injector)
  const changed = structuredClone(object)
  const pod = (changed['spec'] as { template: PodLike }).template
  const proxy = pod.spec.initContainers?.find((c) => c['name'] === 'istio-proxy') as { env: Obj[]; volumeMounts: Obj[]; securityContext: Obj; image: string }
  proxy.env.push({ name: 'THEIRS', value: '1' })
  proxy.volumeMounts.push({ name: 'kube-api-access-1', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }, { name: 'not-there', mountPath: '/none' })
  proxy.securityContext['seccompProfile'] = { type: 'RuntimeDefault' }
  pod.spec.volumes?.push({ name: 'kube-api-access-1', projected: { sources: [] } })
  pod.spec.containers.push({ name: 'late', image: 'late', livenessProbe: { tcpSocket: { port: 9 } } })
  const after = inject(changed, injector).pod
  const kept = after.spec.initContainers?.find((c) => c['name'] === 'istio-proxy') as typeof proxy
  assert.ok(kept.env.some((e) => e['name'] === 'THEIRS'))
  assert.deepEqual(names(kept.volumeMounts).filter((n) => n === 'kube-api-access-1' || n === 'not-there'), ['kube-api-access-1'])
  assert.deepEqual(kept.securityContext['seccompProfile'], { type: 'RuntimeDefault' })
  assert.match(JSON.stringify(kept.env.find((e) => e['name'] === 'ISTIO_KUBE_APP_PROBERS')), /app-health\/late\/livez/)
  proxy.image = 'kith.dev/proxyv2:0.0.1'
  const upgraded = inject(changed, injector).pod.spec.initContainers?.find((c) => c['name'] === 'istio-proxy') as typeof proxy
  assert.deepEqual([upgraded.image, upgraded.env.some((e) => e['name'] === 'THEIRS')], ['kith.dev/proxyv2:0.1.0', false])
})
