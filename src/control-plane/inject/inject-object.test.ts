import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { injectObject } from './inject-object.ts'
import { createInjector } from './injector.ts'

const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
const context = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml })
type Obj = Record<string, unknown>
type PodLike = { metadata: { labels: Record<string, string>; annotations: Record<string, string> }; spec: { containers: Obj[]; initContainers?: Obj[]; volumes: Obj[] } }

const deployment = (annotations: Record<string, string> = {}, container: Obj = {}, spec: Obj = {}): Obj => ({
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'shop' },
  spec: { template: { metadata: { labels: { app: 'web' }, annotations }, spec: { containers: [{ name: 'web', image: 'x', ports: [{ name: 'http', containerPort: 8080 }], ...container }], ...spec } } },
})
function injected(object: Obj): { object: Obj; pod: PodLike; proxy: Obj; warnings: readonly string[] } {
  const result = injectObject(object, context)
  assert.equal(result.kind, 'injected', JSON.stringify(result))
  assert.ok(result.kind === 'injected')
  const pod = (result.object['spec'] as { template: PodLike }).template
  const proxy = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c['name'] === 'istio-proxy')
  return { object: result.object, pod, proxy: proxy as Obj, warnings: result.warnings }
}
const names = (list: Obj[] | undefined): unknown[] => (list ?? []).map((c) => c['name'])

test('injecting what is injected already changes nothing', () => {
  const cases = [
    deployment(), deployment({ 'sidecar.istio.io/nativeSidecar': 'true' }), deployment({ 'prometheus.io/port': '9090', 'prometheus.io/scrape': 'true' }),
    deployment({}, { readinessProbe: { httpGet: { port: 'http', path: '/ready' } }, lifecycle: { preStop: { httpGet: { port: 8080, path: '/bye' } } } }),
    deployment({}, {}, { volumes: [{ name: 'own', emptyDir: {} }], initContainers: [{ name: 'first', image: 'i' }] }),
  ]
  for (const object of cases) {
    const once = injected(object)
    assert.deepEqual(injected(once.object).object, once.object)
  }
})

test('the sidecar is told where names end', () => {
  const result = injectObject(deployment(), createInjector({ config: {}, values: { global: { proxy: { clusterDomain: 'k8s.corp' } } }, meshConfig: {}, revision: 'default', yaml }))
  assert.ok(result.kind === 'injected')
  const { containers } = (result.object['spec'] as { template: PodLike }).template.spec
  const args = containers.find((c) => c['name'] === 'istio-proxy')?.['args'] as string[] | undefined
  assert.deepEqual(args?.slice(2, 4), ['--domain', '$(POD_NAMESPACE).svc.k8s.corp'])
})

test('where the sidecar stands: last, first when the application must wait, first init container when native', () => {
  const init = { initContainers: [{ name: 'seed', image: 'i' }] }
  const classic = injected(deployment({}, {}, init)).pod.spec
  assert.deepEqual([names(classic.containers), names(classic.initContainers)], [['web', 'istio-proxy'], ['seed', 'istio-init']])
  const hold = injected(deployment({ 'proxy.istio.io/config': 'holdApplicationUntilProxyStarts: true' }, {}, init)).pod.spec
  assert.deepEqual(names(hold.containers), ['istio-proxy', 'web'])
  const native = injected(deployment({ 'sidecar.istio.io/nativeSidecar': 'true' }, {}, init)).pod.spec
  assert.deepEqual([names(native.containers), names(native.initContainers)], [['web'], ['istio-init', 'istio-proxy', 'seed']])
})

test('probes go by way of the agent, their ports resolved; one that names no port stays, with a warning', () => {
  const { proxy, pod } = injected(deployment({}, { readinessProbe: { httpGet: { port: 'http', path: '/ready', scheme: 'HTTPS' }, timeoutSeconds: 3 }, livenessProbe: { exec: { command: ['true'] } } }))
  const env = (proxy['env'] as { name: string; value?: string }[]).find((e) => e.name === 'ISTIO_KUBE_APP_PROBERS')
  assert.deepEqual(JSON.parse(env?.value ?? ''), { '/app-health/web/readyz': { httpGet: { port: 8080, path: '/ready', scheme: 'HTTPS' }, timeoutSeconds: 3 } })
  const web = pod.spec.containers[0] as Obj
  assert.deepEqual(web['readinessProbe'], { timeoutSeconds: 3, httpGet: { path: '/app-health/web/readyz', port: 15020, scheme: 'HTTP' } })
  assert.deepEqual(web['livenessProbe'], { exec: { command: ['true'] } })
  const lost = injected(deployment({}, { readinessProbe: { tcpSocket: { port: 'nowhere' } } }))
  assert.deepEqual((lost.pod.spec.containers[0] as Obj)['readinessProbe'], { tcpSocket: { port: 'nowhere' } })
  assert.match(lost.warnings.join(), /names the port "nowhere"/)
})

test('what Prometheus was told goes to the agent', () => {
  const { pod, proxy } = injected(deployment({ 'prometheus.io/port': '9090', 'prometheus.io/scrape': 'true', 'prometheus.io/path': '/m' }))
  assert.equal(pod.metadata.annotations['prometheus.io/port'], '15020')
  const env = (proxy['env'] as { name: string; value?: string }[]).find((e) => e.name === 'ISTIO_PROMETHEUS_ANNOTATIONS')
  assert.deepEqual(JSON.parse(env?.value ?? ''), { scrape: 'true', path: '/m', port: '9090' })
  assert.equal(injected(deployment({ 'prometheus.io/scrape': 'false' })).pod.metadata.annotations['prometheus.io/port'], undefined)
})

test('several endpoints of metrics, and those that can’t be scraped', () => {
  const { proxy, pod } = injected(deployment({ 'prometheus.istio.io/scrape-targets': '8080:/metrics, 9100' }))
  const env = (proxy['env'] as { name: string; value?: string }[]).find((e) => e.name === 'ISTIO_PROMETHEUS_ANNOTATIONS')
  assert.deepEqual(JSON.parse(env?.value ?? ''), { scrape: '', path: '/metrics', port: '8080', targets: [{ port: '8080', path: '/metrics' }, { port: '9100', path: '/metrics' }] })
  assert.equal(pod.metadata.annotations['prometheus.istio.io/scrape-targets'], undefined)
  for (const bad of [{ 'prometheus.io/port': 'web' }, { 'prometheus.io/port': '15090' }, { 'prometheus.io/port': '70000' }, { 'prometheus.istio.io/scrape-targets': '15000:/x' }]) {
    const result = injectObject(deployment(bad), context)
    assert.ok(result.kind === 'faulty' && result.faults.join().includes(Object.keys(bad)[0] ?? ''), JSON.stringify(bad))
    assert.equal(injectObject(deployment({ ...bad, 'prometheus.io/scrape': 'false' }), context).kind, 'injected')
  }
  const passedOver = injected(deployment({ 'prometheus.istio.io/scrape-targets': '8080,:/x' }))
  assert.match(passedOver.warnings.join(), /scrape-targets has an entry without a port/)
  assert.equal(passedOver.pod.metadata.annotations['prometheus.istio.io/scrape-targets'], undefined)
})

test('a bad annotation refuses the pod and is named', () => {
  const bad = { 'traffic.sidecar.istio.io/excludeOutboundPorts': '70000', 'sidecar.istio.io/proxyCPU': 'lots', 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0', 'sidecar.istio.io/interceptionMode': 'MAGIC', 'proxy.istio.io/config': '[', 'sidecar.istio.io/userVolume': 'x', 'status.sidecar.istio.io/port': '-1' }
  for (const [name, value] of Object.entries(bad)) {
    const result = injectObject(deployment({ [name]: value }), context)
    assert.ok(result.kind === 'faulty' && result.faults.join().includes(name), name)
  }
})

test('what the API server would refuse is refused by field: a null among volumes, a label that is a list, a hook without form', () => {
  const faultsOf = (pod: Record<string, unknown>): readonly string[] => {
    const result = injectObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, ...pod }, context)
    assert.ok(result.kind === 'faulty')
    return result.faults
  }
  const containers = [{ name: 'a', image: 'x' }]
  assert.deepEqual(faultsOf({ spec: { containers, volumes: [{ name: 'v' }, null] } }), ['Pod: spec.volumes[1] must be an object'])
  assert.deepEqual(faultsOf({ metadata: { name: 'a', labels: { version: [1] } }, spec: { containers } }), ['Pod: metadata.labels must be a map of strings, not {"version":[1]}'])
  assert.deepEqual(faultsOf({ spec: { containers: [{ ...containers[0], lifecycle: { preStop: 'sleep' } }] } }), ['Pod: spec.containers[0].lifecycle.preStop must be an object'])
  const cron = injectObject({ apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: 'a' }, spec: { jobTemplate: { spec: { template: { spec: { containers: [null] } } } } } }, context)
  assert.deepEqual(cron.kind === 'faulty' ? cron.faults : cron, ['CronJob: spec.jobTemplate.spec.template.spec.containers[0] must be an object'])
})

test('the user’s own istio-proxy is laid over ours, its uid goes to the redirect', () => {
  const { proxy, pod } = injected(deployment({}, {}, { containers: [{ name: 'web', image: 'x' }, { name: 'istio-proxy', image: 'auto', securityContext: { runAsUser: 4444 }, env: [{ name: 'MORE', value: '1' }] }] }))
  assert.equal((proxy['securityContext'] as Obj)['runAsUser'], 4444)
  assert.notEqual(proxy['image'], 'auto')
  const args = (pod.spec.initContainers as Obj[])[0]?.['args'] as string[]
  assert.equal(args[args.indexOf('-u') + 1], '4444')
})

test('names that every object has are names like others', () => {
  const odd = JSON.parse('{"toString": "x", "constructor": "y", "__proto__": "z"}') as Record<string, string>
  assert.deepEqual(injected(deployment(odd)).pod.metadata.annotations['toString'], 'x')
  assert.equal(injectObject({ apiVersion: 'v1', kind: 'constructor', spec: {} }, context).kind, 'untouched')
  const result = injectObject(deployment({ 'inject.istio.io/templates': 'toString' }), context)
  assert.ok(result.kind === 'faulty' && result.faults.join().includes('there is no template "toString"'))
})

// Each row as istioctl kube-inject answers it (istio/istio eed52ebb66ad).
test('annotations that istioctl refuses, and those that it takes', () => {
  const taken: readonly (readonly [string, string])[] = [
    ['traffic.sidecar.istio.io/excludeInboundPorts', ' 80 ,90'], ['readiness.status.sidecar.istio.io/applicationPorts', 'x'], ['traffic.sidecar.istio.io/excludeInterfaces', 'eth1, eth2'], ['k8s.v1.cni.cncf.io/networks', '['],
    ['sidecar.istio.io/userVolume', '[{"name": "v", "emptyDir": {}}]'], ['sidecar.istio.io/userVolumeMount', '[]'], ['sidecar.istio.io/userVolume', 'null'], ['proxy.istio.io/config', 'foo: bar'], ['proxy.istio.io/config', 'concurrency: "2"'],
  ]
  const refused: readonly (readonly [string, string])[] = [
    ['traffic.sidecar.istio.io/includeOutboundIPRanges', '10.0.0.0/8, 1.2.3.4/32'], ['traffic.sidecar.istio.io/excludeOutboundIPRanges', '10.0.0.0/08'], ['traffic.sidecar.istio.io/excludeOutboundIPRanges', 'fe80::1%eth0/64'],
    ['traffic.sidecar.istio.io/kubevirtInterfaces', 'a b'], ['istio.io/reroute-virtual-interfaces', 'a-name-too-long-for-one'], ['readiness.status.sidecar.istio.io/periodSeconds', '4294967295'],
    ['sidecar.istio.io/userVolume', '{"v": null}'], ['sidecar.istio.io/userVolumeMount', '{"v": {}}'], ['sidecar.istio.io/userVolume', ''],
    ['proxy.istio.io/config', 'holdApplicationUntilProxyStarts: "true"'], ['proxy.istio.io/config', 'proxyMetadata: {A: 5}'], ['proxy.istio.io/config', 'terminationDrainDuration: 10'], ['proxy.istio.io/config', 'statusPort: 0'],
    ['proxy.istio.io/config', 'interceptionMode: X'], ['proxy.istio.io/config', 'discoveryAddress: x'], ['proxy.istio.io/config', 'envoyAccessLogService: {address: x}'],
  ]
  for (const [key, value] of taken) assert.equal(injectObject(deployment({ [key]: value }), context).kind, 'injected', `${key}: ${value}`)
  for (const [key, value] of refused) {
    const result = injectObject(deployment({ [key]: value }), context)
    assert.ok(result.kind === 'faulty' && result.faults.every((f) => f.includes(key)), `${key}: ${value}: ${JSON.stringify(result)}`)
  }
})

test('only "true" and "false" decide; another word is said to decide nothing', () => {
  for (const word of ['no', 'False', '0']) {
    const { warnings } = injected(deployment({ 'sidecar.istio.io/inject': word }))
    assert.ok(warnings.some((w) => w.includes(`"${word}"`)), word)
  }
  // YAML's own false, without quotes.
  const off = injectObject(deployment({ 'sidecar.istio.io/inject': false as never }), context)
  assert.equal(off.kind, 'untouched')
})

test('a pod’s own ProxyConfig: interception, the agent’s port, the tunnel’s label, names in snake_case', () => {
  const own = (config: string, more: Record<string, string> = {}) => injected(deployment({ 'proxy.istio.io/config': config, ...more }, { readinessProbe: { httpGet: { port: 80 } } }))
  const probePort = (pod: PodLike): unknown => ((pod.spec.containers.find((c) => c['name'] === 'web') as { readinessProbe: { httpGet: { port: unknown } } }).readinessProbe.httpGet.port)
  assert.deepEqual(names(own('interceptionMode: NONE').pod.spec.initContainers), [])
  assert.equal((own('interceptionMode: TPROXY').proxy['securityContext'] as Obj)['runAsUser'], 0)
  const moved = own('statusPort: 1234')
  assert.equal(moved.pod.metadata.annotations['prometheus.io/port'], '1234')
  assert.equal(probePort(moved.pod), 1234)
  assert.equal(probePort(own('statusPort: 1234', { 'status.sidecar.istio.io/port': '99' }).pod), 99)
  assert.equal(own('proxyMetadata: {ISTIO_META_ENABLE_HBONE: "true"}').pod.metadata.labels['networking.istio.io/tunnel'], 'http')
  assert.equal(names(own('hold_application_until_proxy_starts: true').pod.spec.containers)[0], 'istio-proxy')
})

test('words that stand for yes and no differ from annotation to annotation, as in Istio', () => {
  for (const word of ['true', 'x', '0', 'False']) assert.deepEqual(names(injected(deployment({ 'sidecar.istio.io/nativeSidecar': word })).pod.spec.initContainers), ['istio-init', 'istio-proxy'], word)
  const path = (word: string): unknown => (injected(deployment({ 'sidecar.istio.io/rewriteAppHTTPProbers': word }, { readinessProbe: { httpGet: { path: '/r', port: 80 } } })).pod.spec.containers[0] as { readinessProbe: { httpGet: { path: string } } }).readinessProbe.httpGet.path
  for (const word of ['T', '1', 'yes', '']) assert.equal(path(word), '/app-health/web/readyz', word)
  for (const word of ['F', '0', 'False']) assert.equal(path(word), '/r', word)
})

test('an empty label is no label; mounts as a list, names of fields in any case', () => {
  const object = deployment({ 'sidecar.istio.io/userVolumeMount': '[{"name": "v", "mountPath": "/m", "readonly": true}]' })
  ;(object as { spec: { template: { metadata: { labels: Record<string, string> } } } }).spec.template.metadata.labels = { app: '', version: '', 'security.istio.io/tlsMode': '' }
  const { pod, proxy } = injected(object)
  assert.deepEqual([pod.metadata.labels['service.istio.io/canonical-name'], pod.metadata.labels['service.istio.io/canonical-revision'], pod.metadata.labels['security.istio.io/tlsMode']], ['web', 'latest', 'istio'])
  assert.deepEqual((proxy['volumeMounts'] as Obj[]).find((m) => m['name'] === 'v'), { name: 'v', mountPath: '/m', readOnly: true })
})

test('an application that waited for its sidecar waits for the next as well', () => {
  const once = injected(deployment({ 'proxy.istio.io/config': 'holdApplicationUntilProxyStarts: true' })).object
  delete ((once['spec'] as { template: PodLike }).template.metadata.annotations as Record<string, string | undefined>)['proxy.istio.io/config']
  const again = injected(once)
  assert.ok((again.proxy['lifecycle'] as Obj | undefined)?.['postStart'] !== undefined)
  assert.equal(names(again.pod.spec.containers)[0], 'istio-proxy')
})

test('what a CronJob says of its Jobs, its pods are injected by', () => {
  const cron = (annotations: Record<string, string>): Obj => ({ apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: 'c' }, spec: { jobTemplate: { metadata: { labels: { app: 'j' }, annotations }, spec: { template: { spec: { containers: [{ name: 'a', image: 'x' }] } } } } } })
  assert.equal(injectObject(cron({ 'sidecar.istio.io/interceptionMode': 'X' }), context).kind, 'faulty')
  const result = injectObject(cron({ 'sidecar.istio.io/interceptionMode': 'NONE', 'kubectl.kubernetes.io/default-container': 'z', other: 'x' }), context)
  assert.ok(result.kind === 'injected')
  assert.equal(JSON.stringify(result.object).includes('istio-init'), false)
  const pod = (result.object['spec'] as { jobTemplate: { spec: { template: PodLike } } }).jobTemplate.spec.template
  assert.equal(pod.metadata.labels['service.istio.io/canonical-name'], 'j')
  assert.deepEqual([pod.metadata.labels['app'], pod.metadata.annotations['other'], pod.metadata.annotations['kubectl.kubernetes.io/default-container']], [undefined, undefined, undefined])
})
