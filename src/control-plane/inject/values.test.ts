// Values and meshConfig that users change, by our own template and by one that is configured: held against the real istioctl.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { injectObject } from './inject-object.ts'
import { createInjector, type InjectorSource } from './injector.ts'

const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
type Obj = Record<string, unknown>
type Container = Obj & { name: string; args: string[]; env: { name: string; value?: string }[]; securityContext: Obj; lifecycle?: Obj }
const own = 'spec:\n  initContainers:\n  - name: istio-init\n    args: [x, "-u", "1337"]\n  containers:\n  - name: istio-proxy\n    image: {{ .ProxyImage }}\n    securityContext: {runAsUser: 0}\n    env:\n    - {name: ISTIO_META_NETWORK, value: "{{ .Values.global.network }}"}\n'

function inject(source: Partial<InjectorSource>, annotations: Obj = {}, more: Obj = {}, labels: Obj = {}) {
  const context = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml, ...source })
  assert.deepEqual(context.faults, [])
  const web = { name: 'web', image: 'x', readinessProbe: { httpGet: { path: '/', port: 80 } } }
  const result = injectObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', labels, annotations }, spec: { containers: [web], ...more } }, context)
  assert.ok(result.kind === 'injected', JSON.stringify(result))
  const pod = result.object as unknown as { metadata: { labels: Obj; annotations: Obj }; spec: { containers: Container[]; initContainers?: Container[] } }
  const named = (name: string) => [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c.name === name) as Container
  return { pod, proxy: named('istio-proxy'), init: named('istio-init'), web: named('web'), names: pod.spec.containers.map((c) => c.name) }
}

test('the agent listens where its ProxyConfig says; the port of the values is only kept from it', () => {
  for (const statusPort of [0, 123]) {
    const { pod, web } = inject({ values: { global: { proxy: { statusPort } } } })
    assert.deepEqual([pod.metadata.annotations['prometheus.io/port'], (web['readinessProbe'] as { httpGet: Obj }).httpGet['port']], ['15020', 15020])
  }
  assert.equal(inject({ meshConfig: { defaultConfig: { statusPort: 15999 } } }).pod.metadata.annotations['prometheus.io/port'], '15999')
})

test('what meshConfig has the application wait for, a pod can take back; what the values say, it can’t', () => {
  const not = { 'proxy.istio.io/config': 'holdApplicationUntilProxyStarts: false' }
  const byMesh = { meshConfig: { defaultConfig: { holdApplicationUntilProxyStarts: true } } }
  assert.deepEqual([inject(byMesh).names[0], inject(byMesh, not).names[0], inject({ values: { global: { proxy: { holdApplicationUntilProxyStarts: true } } } }, not).names[0]], ['istio-proxy', 'web', 'istio-proxy'])
})

test('network and cluster are said whatever template renders the sidecar; a pod’s label says another network', () => {
  for (const config of [{}, { templates: { sidecar: own } }]) {
    const values = { global: { network: 'n1', multiCluster: { clusterName: 'c1' } } }
    const said = (labels: Obj): unknown[] => {
      const { pod, proxy } = inject({ config, values }, {}, {}, labels)
      return [pod.metadata.labels['topology.istio.io/network'], ...['ISTIO_META_NETWORK', 'ISTIO_META_CLUSTER_ID'].map((n) => proxy.env.filter((e) => e.name === n).map((e) => e.value).join())]
    }
    assert.deepEqual([said({}), said({ 'topology.istio.io/network': 'n2' })], [['n1', 'n1', 'c1'], ['n2', 'n2', 'c1']])
  }
})

test('the rules let pass the uid that the user gave the sidecar, by a configured template too', () => {
  const more = { containers: [{ name: 'web', image: 'x' }, { name: 'istio-proxy', image: 'auto', securityContext: { runAsUser: 1234 } }] }
  const { init, proxy } = inject({ config: { templates: { sidecar: own } }, values: { global: { network: '' } }, meshConfig: { defaultConfig: { interceptionMode: 'TPROXY' } } }, {}, more)
  assert.deepEqual([init.args, proxy.securityContext['runAsUser']], [['x', '-u', '1234'], 0])
})

test('seccompProfile and hooks of the values', () => {
  const seccompProfile = { type: 'RuntimeDefault' }
  const lifecycle = { preStop: { exec: { command: ['sleep', '5'] } } }
  const { proxy, init } = inject({ values: { global: { proxy: { seccompProfile, lifecycle, holdApplicationUntilProxyStarts: true } } } })
  assert.deepEqual([proxy.securityContext['seccompProfile'], init.securityContext['seccompProfile'], proxy.lifecycle], [seccompProfile, seccompProfile, lifecycle])
  assert.equal(inject({ values: { global: { proxy: { seccompProfile: {} } } } }).proxy.securityContext['seccompProfile'], undefined)
})

test('Multus is told of our network by name and namespace in its JSON', () => {
  const config = { templates: { sidecar: 'metadata:\n  annotations:\n    n: \'{{ appendMultusNetwork (index .ObjectMeta.Annotations "n") "default/istio-cni" }}\'\n' } }
  const of = (n: string): unknown => inject({ config }, { n }).pod.metadata.annotations['n']
  assert.equal(of('[{"name": "a"}]'), '[{"name": "a"}, {"name": "istio-cni", "namespace": "default"}]')
  assert.equal(of('[{"name": "istio-cni", "namespace": "default"}]'), '[{"name": "istio-cni", "namespace": "default"}]')
})

test('a ProxyConfig that can’t be meant refuses the pod', () => {
  const context = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml })
  const kind = (config: string): string => injectObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', annotations: { 'proxy.istio.io/config': config } }, spec: { containers: [{ name: 'web' }] } }, context).kind
  const refused = ['proxyAdminPort: 0', 'drainDuration: 1.5s', 'drainDuration: 0s', 'serviceCluster: ""', 'configPath: ""', 'statsdUdpAddress: a', 'tracing: {zipkin: {address: nowhere}}', 'tracing: {lightstep: {address: "a:1"}}', 'privateKeyProvider: {cryptomb: {}}', 'privateKeyProvider: {}', 'discoveryAddress: "a:70000"', 'discoveryAddress: "a_b:1"']
  const taken = ['proxyAdminPort: 15000', 'drainDuration: 1m', 'serviceCluster: a', 'statsdUdpAddress: ""', 'tracing: {zipkin: {address: "$(HOST_IP):9411"}}', 'tracing: {}', 'privateKeyProvider: {cryptomb: {pollDelay: 10ms}}', 'discoveryAddress: "[::1]:15012"', 'discoveryAddress: "istiod.istio-system.svc:15012"']
  assert.deepEqual([refused.filter((c) => kind(c) !== 'faulty'), taken.filter((c) => kind(c) !== 'injected')], [[], []])
})
