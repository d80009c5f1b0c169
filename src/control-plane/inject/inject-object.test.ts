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
  for (const bad of [{ 'prometheus.io/port': 'web' }, { 'prometheus.io/port': '15090' }, { 'prometheus.io/port': '70000' }, { 'prometheus.istio.io/scrape-targets': '15000:/x' }, { 'prometheus.istio.io/scrape-targets': ':/x' }]) {
    const result = injectObject(deployment(bad), context)
    assert.ok(result.kind === 'faulty' && result.faults.join().includes(Object.keys(bad)[0] ?? ''), JSON.stringify(bad))
    assert.equal(injectObject(deployment({ ...bad, 'prometheus.io/scrape': 'false' }), context).kind, 'injected')
  }
})

test('a bad annotation refuses the pod and is named', () => {
  const bad = { 'traffic.sidecar.istio.io/excludeOutboundPorts': '70000', 'sidecar.istio.io/proxyCPU': 'lots', 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0', 'sidecar.istio.io/interceptionMode': 'MAGIC', 'proxy.istio.io/config': '[', 'sidecar.istio.io/userVolume': 'x', 'status.sidecar.istio.io/port': '-1' }
  for (const [name, value] of Object.entries(bad)) {
    const result = injectObject(deployment({ [name]: value }), context)
    assert.ok(result.kind === 'faulty' && result.faults.join().includes(name), name)
  }
})

test('what the API server would refuse is refused by field: a null among volumes, a label that is a number, a hook without form', () => {
  const faultsOf = (pod: Record<string, unknown>): readonly string[] => {
    const result = injectObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, ...pod }, context)
    assert.ok(result.kind === 'faulty')
    return result.faults
  }
  const containers = [{ name: 'a', image: 'x' }]
  assert.deepEqual(faultsOf({ spec: { containers, volumes: [{ name: 'v' }, null] } }), ['Pod: spec.volumes[1] must be an object'])
  assert.deepEqual(faultsOf({ metadata: { name: 'a', labels: { version: 1 } }, spec: { containers } }), ['Pod: metadata.labels must be a map of strings, not {"version":1}'])
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
