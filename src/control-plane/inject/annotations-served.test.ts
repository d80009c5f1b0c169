// An annotation that the table of settings calls served changes the injected pod; one that it does not is named by the injection.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { annotationServing } from '#api'
import { injectObject } from './inject-object.ts'
import { createInjector } from './injector.ts'

const context = createInjector({ config: {}, values: {}, meshConfig: {}, revision: 'default', yaml: { parse: (t) => parse(t) as unknown, print: (v) => stringify(v) } })

// A value of each that is not what holds anyway.
const samples: Readonly<Record<string, string>> = {
  'prometheus.istio.io/merge-metrics': 'false', 'sidecar.istio.io/rewriteAppHTTPProbers': 'false', 'sidecar.istio.io/proxyImage': 'a/b:c', 'sidecar.istio.io/proxyImageType': 'debug', 'sidecar.istio.io/proxyCPU': '7m',
  'sidecar.istio.io/proxyCPULimit': '70m', 'sidecar.istio.io/proxyMemory': '7Mi', 'sidecar.istio.io/proxyMemoryLimit': '70Mi', 'sidecar.istio.io/interceptionMode': 'NONE', 'sidecar.istio.io/userVolume': '[{"name": "v", "emptyDir": {}}]',
  'sidecar.istio.io/userVolumeMount': '[{"name": "v", "mountPath": "/v"}]', 'sidecar.istio.io/logLevel': 'debug', 'sidecar.istio.io/componentLogLevel': 'misc:debug', 'sidecar.istio.io/agentLogLevel': 'default:debug',
  'sidecar.istio.io/nativeSidecar': 'true', 'status.sidecar.istio.io/port': '16020', 'readiness.status.sidecar.istio.io/initialDelaySeconds': '7', 'readiness.status.sidecar.istio.io/periodSeconds': '7',
  'readiness.status.sidecar.istio.io/failureThreshold': '7', 'traffic.sidecar.istio.io/includeOutboundIPRanges': '10.0.0.0/8', 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0/8',
  'traffic.sidecar.istio.io/includeInboundPorts': '81', 'traffic.sidecar.istio.io/excludeInboundPorts': '81', 'traffic.sidecar.istio.io/includeOutboundPorts': '81', 'traffic.sidecar.istio.io/excludeOutboundPorts': '81',
  'traffic.sidecar.istio.io/excludeInterfaces': 'eth7', 'traffic.sidecar.istio.io/kubevirtInterfaces': 'eth7', 'istio.io/reroute-virtual-interfaces': 'eth7', 'proxy.istio.io/config': '{"terminationDrainDuration": "7s"}',
  'inject.istio.io/templates': 'gateway', 'sidecar.istio.io/inject': 'false',
}
/** Not the injection's: written by it, or for other kinds of objects. */
const elsewhere = ['sidecar.istio.io/status', 'proxy.istio.io/overrides', 'istio.io/rev', 'galley.istio.io/analyze-suppress', 'istio.io/dry-run', 'networking.istio.io/exportTo', 'kubernetes.io/ingress.class']

function inject(annotations: Readonly<Record<string, string>>): { readonly made: string; readonly warnings: readonly string[] } {
  const probe = { httpGet: { path: '/', port: 80 } }
  const annotated = { 'prometheus.io/scrape': 'true', ...annotations }
  const result = injectObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', annotations: annotated }, spec: { containers: [{ name: 'web', image: 'x', readinessProbe: probe }] } }, context)
  if (result.kind === 'faulty') assert.fail(JSON.stringify(result))
  const pod = result.kind === 'injected' ? (result.object as { metadata: { labels?: object }; spec: object }) : undefined
  return { made: JSON.stringify([pod?.metadata.labels, pod?.spec]), warnings: result.warnings }
}

test('an annotation that is served changes the pod; one that is not is named, and changes nothing that counts', () => {
  const served = Object.keys(annotationServing).filter((name) => annotationServing[name] === true && !elsewhere.includes(name))
  assert.deepEqual(served.sort(), Object.keys(samples).sort())
  const plain = inject({})
  for (const name of served) {
    const { made, warnings } = inject({ [name]: samples[name] as string })
    assert.notEqual(made, plain.made, name)
    assert.deepEqual(warnings.filter((w) => w.includes('is not served by this mesh')), [], name)
  }
  for (const name of Object.keys(annotationServing).filter((n) => annotationServing[n] !== true)) {
    assert.match(inject({ [name]: 'x' }).warnings.join('\n'), new RegExp(`${name} is not served by this mesh: `), name)
  }
})
