// What the real istioctl was asked about: shapes of pods that are allowed and seldom thought of.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { injectObject } from './inject-object.ts'
import { createInjector } from './injector.ts'

const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
const context = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml })
type Obj = Record<string, unknown>
type PodLike = { metadata: { labels: Record<string, string>; annotations: Record<string, string>; namespace?: string }; spec: { containers: Obj[]; initContainers?: Obj[]; volumes: Obj[] } }

const pod = (annotations: Obj = {}, spec: Obj = {}): Obj => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', annotations }, spec: { containers: [{ name: 'web', image: 'x' }], ...spec } })
function injected(object: Obj): { pod: PodLike; proxy: Obj; init: Obj | undefined } {
  const result = injectObject(object, context)
  assert.ok(result.kind === 'injected', JSON.stringify(result))
  const made = result.object as unknown as PodLike
  const named = (name: string): Obj | undefined => [...made.spec.containers, ...(made.spec.initContainers ?? [])].find((c) => c['name'] === name)
  return { pod: made, proxy: named('istio-proxy') ?? {}, init: named('istio-init') }
}
function argument(init: Obj | undefined, flag: string): string | undefined {
  const args = (init ?? {})['args'] as string[]
  return args[args.indexOf(flag) + 1]
}
const withProxy = (more: Obj, annotations: Obj = {}): Obj => pod(annotations, { containers: [{ name: 'web', image: 'x' }, { name: 'istio-proxy', image: 'auto', ...more }] })

test('what YAML took for a number, a truth value or nothing is text where text belongs', () => {
  const { pod: made } = injected(pod({ 'example.com/n': null, 'example.com/t': true }, { containers: [{ name: 'web', image: 5, args: ['-p', 80], env: [{ name: 'A', value: 1 }] }] }))
  assert.deepEqual([made.metadata.annotations['example.com/n'], made.metadata.annotations['example.com/t']], ['', 'true'])
  assert.deepEqual(made.spec.containers[0], { name: 'web', image: '5', args: ['-p', '80'], env: [{ name: 'A', value: '1' }] })
  const probe = { httpGet: { port: 80, httpHeaders: [{ name: 'X', value: true }] } }
  assert.match(JSON.stringify(injected(pod({}, { containers: [{ name: 'web', readinessProbe: probe }] })).proxy['env']), /value\\":\\"true/)
  assert.equal(injectObject(pod({}, { containers: [{ name: 'web', ports: [{ containerPort: '80' }] }] }), context).kind, 'faulty')
})

test('the kind alone tells where a pod is', () => {
  const { apiVersion: _version, ...object } = pod()
  assert.equal(injectObject(object, context).kind, 'injected')
})

test('a probe of the user’s own sidecar: times are laid over ours, a handler takes the place of ours', () => {
  const ready = (probe: Obj): Obj => injected(withProxy({ readinessProbe: probe })).proxy['readinessProbe'] as Obj
  assert.deepEqual(ready({ periodSeconds: 3 }), { httpGet: { path: '/healthz/ready', port: 15021 }, initialDelaySeconds: 0, periodSeconds: 3, timeoutSeconds: 3, failureThreshold: 4 })
  assert.deepEqual(ready({ tcpSocket: { port: 1 } }), { tcpSocket: { port: 1 }, initialDelaySeconds: 0, periodSeconds: 15, timeoutSeconds: 3, failureThreshold: 4 })
  assert.deepEqual((ready({ httpGet: { port: 80 } }))['httpGet'], { path: '/healthz/ready', port: 80 })
})

test('a volume of one of our names: of the same kind both are laid together, of another the user’s stands', () => {
  const volumes = injected(pod({}, { volumes: [{ name: 'istio-envoy', emptyDir: { sizeLimit: '1Gi' } }, { name: 'istio-data', hostPath: { path: '/x' } }] })).pod.spec.volumes
  assert.deepEqual(volumes.slice(0, 2), [{ name: 'istio-envoy', emptyDir: { sizeLimit: '1Gi', medium: 'Memory' } }, { name: 'istio-data', hostPath: { path: '/x' } }])
})

test('what sets up core dumps comes after the redirect, or after a native sidecar', () => {
  const order = (annotations: Obj): unknown[] => (injected(pod(annotations, { initContainers: [{ name: 'enable-core-dump' }, { name: 'first' }] })).pod.spec.initContainers ?? []).map((c) => c['name'])
  assert.deepEqual(order({}), ['first', 'istio-init', 'enable-core-dump'])
  assert.deepEqual(order({ 'sidecar.istio.io/nativeSidecar': 'true' }), ['istio-init', 'istio-proxy', 'enable-core-dump', 'first'])
})

test('the port of metrics by mutual TLS is announced, unless the user has', () => {
  const port = (object: Obj): unknown => injected(object).pod.metadata.annotations['prometheus.istio.io/secure-port']
  const env = [{ name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '15091' }]
  assert.equal(port(pod({ 'proxy.istio.io/config': 'proxyMetadata: {ENVOY_SECURE_MERGED_METRICS_PORT: "15091"}' })), '15091')
  assert.equal(port(withProxy({ env })), '15091')
  assert.equal(port(withProxy({ env }, { 'prometheus.istio.io/secure-port': '1' })), '1')
  assert.equal(port(pod({ 'proxy.istio.io/config': 'proxyMetadata: {ENVOY_SECURE_MERGED_METRICS_PORT: "0"}' })), undefined)
})

test('an image’s bare name is none; blanks around a port are nothing; the user’s list of ports stays where nothing is added', () => {
  assert.equal(injected(pod({ 'sidecar.istio.io/proxyImage': 'proxyv3' })).proxy['image'], injected(pod()).proxy['image'])
  assert.equal(argument(injected(pod({ 'status.sidecar.istio.io/port': ' 80' })).init, '-d'), '15090,15021,80')
  assert.equal(argument(injected(pod({ 'traffic.sidecar.istio.io/excludeInboundPorts': '15020, 4' })).init, '-d'), '15090,15021,15020, 4')
  assert.equal(argument(injected(pod({ 'traffic.sidecar.istio.io/excludeInboundPorts': '5, 4' })).init, '-d'), '15090,15021,5,4,15020')
})

test('TPROXY makes root of a sidecar’s own uid, and leaves a gateway’s', () => {
  const uid = (object: Obj): unknown => (injected(object).proxy['securityContext'] as Obj)['runAsUser']
  const tproxy = { 'sidecar.istio.io/interceptionMode': 'TPROXY' }
  assert.deepEqual([uid(pod(tproxy)), uid(withProxy({ securityContext: { runAsUser: 4444 } }, tproxy)), uid(pod({ ...tproxy, 'inject.istio.io/templates': 'gateway' }))], [0, 0, 1337])
})

test('a template that names a system namespace is left alone; a remembered override must be JSON', () => {
  const template = (namespace: string): Obj => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'kube-system' }, spec: { template: { metadata: { namespace }, spec: { containers: [{ name: 'web', image: 'x' }] } } } })
  assert.deepEqual(['kube-system', 'shop'].map((n) => injectObject(template(n), context).kind), ['untouched', 'injected'])
  assert.equal(injectObject(pod({ 'proxy.istio.io/overrides': 'x' }), context).kind, 'faulty')
})

test('a probe that points at the agent already is made no prober of: the agent would ask itself', () => {
  const probe = { httpGet: { path: '/app-health/web/readyz', port: 15020 } }
  const { pod: made, proxy } = injected(pod({}, { containers: [{ name: 'web', image: 'x', readinessProbe: probe }] }))
  assert.deepEqual([made.spec.containers[0]?.['readinessProbe'], JSON.stringify(proxy['env']).includes('ISTIO_KUBE_APP_PROBERS')], [probe, false])
})

test('a field of the wrong type is refused and named, wherever in the pod it stands', () => {
  const wrong: readonly (readonly [Obj, string])[] = [
    [{ affinity: [] }, 'affinity'], [{ tolerations: 'a' }, 'tolerations'], [{ hostAliases: [{ ip: '1.2.3.4', hostnames: 'x' }] }, 'hostnames'], [{ securityContext: { runAsUser: 'root' } }, 'runAsUser'], [{ volumes: [{ name: 'v', emptyDir: [] }] }, 'emptyDir'],
    [{ containers: [{ name: 'web', envFrom: {} }] }, 'envFrom'], [{ containers: [{ name: 'web', resources: { limits: { cpu: 'lots' } } }] }, 'limits'],
  ]
  for (const [spec, field] of wrong) {
    const result = injectObject(pod({}, spec), context)
    assert.ok(result.kind === 'faulty' && result.faults.join().includes(field), `${field}: ${JSON.stringify(result)}`)
  }
  for (const object of [{ ...pod(), apiVersion: 1 }, { apiVersion: 'v1', kind: 'List', items: { a: pod() } }, { apiVersion: 'v1', kind: 'List', items: ['a'] }]) assert.equal(injectObject(object, context).kind, 'faulty')
  assert.equal(injectObject(pod({}, { containers: [{ name: 'web', resources: { limits: { cpu: 1.5, memory: '64Mi' } } }] }), context).kind, 'injected')
})
