// Every kind of Istio's and every field of meshConfig is carried out, or what does not happen is said.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unmodelled } from './decode.ts'
import { istioKinds } from './kinds.ts'
import { meshConfig } from './kinds/mesh-config.ts'
import { kindServing, reachOf, unservedKind } from './not-served-kinds.ts'
import { environmentEffect, meshConfigServing, unservedMeshConfig, unservedSettings } from './not-served-settings.ts'
import type { ApiObject } from './object.ts'

const object = (apiVersion: string, kind: string, spec: object = {}, metadata: object = {}): ApiObject =>
  ({ apiVersion, kind, metadata: { name: 'x', namespace: 'foo', labels: {}, annotations: {}, ...metadata }, spec, raw: {}, origin: {} }) as ApiObject

test('every kind stands in the table, and no other', () => {
  const groups = { WasmPlugin: 'extensions.istio.io', TrafficExtension: 'extensions.istio.io', IstioOperator: 'install.istio.io' } as Record<string, string>
  const ours = [...Object.entries(istioKinds).map(([kind, { group }]) => `${group}/${kind}`), ...[...unmodelled].map((kind) => `${groups[kind] ?? ''}/${kind}`)]
  assert.deepEqual(ours.filter((name) => kindServing[name] === undefined), [])
  assert.deepEqual(Object.keys(kindServing).filter((name) => name.includes('istio.io/') && !ours.includes(name)), [])
})

test('every field of meshConfig stands in the table, and no other', () => {
  assert.deepEqual(Object.keys(meshConfigServing).sort(), Object.keys((meshConfig as { readonly fields: object }).fields).sort())
})

test('a kind that is not served is named, by its fields where these differ, and only where it is meant for a mesh', () => {
  const told = (o: ApiObject): string[] => unservedKind(o).map((p) => `${p.code} ${p.ref.path}`)
  const gateway = (gatewayClassName: string): ApiObject => object('gateway.networking.k8s.io/v1', 'Gateway', { gatewayClassName })
  const route = (kind: string): ApiObject => object('gateway.networking.k8s.io/v1', 'HTTPRoute', { parentRefs: [{ kind, name: 'x' }] })
  const cases: readonly (readonly [ApiObject, readonly string[]])[] = [
    [object('networking.istio.io/v1alpha3', 'EnvoyFilter'), ['KITH0121 ']], [object('networking.istio.io/v1', 'Gateway'), ['KITH0121 ']], [object('networking.istio.io/v1', 'WorkloadGroup'), ['KITH0121 ']],
    [object('telemetry.istio.io/v1', 'Telemetry', { tracing: [{}], accessLogging: [{}] }), ['KITH0121 spec.tracing', 'KITH0121 spec.accessLogging']], [object('telemetry.istio.io/v1', 'Telemetry'), ['KITH0121 ']],
    [object('networking.istio.io/v1beta1', 'ProxyConfig', { concurrency: 2 }), ['KITH0121 spec.concurrency']], [object('extensions.istio.io/v1alpha1', 'WasmPlugin'), ['KITH0121 ']],
    [gateway('istio'), ['KITH0121 ']], [gateway('istio-waypoint'), ['KITH0121 ']], [gateway('nginx'), []], [route('Service'), ['KITH0121 ']], [route('Gateway'), []],
    [object('networking.k8s.io/v1', 'Ingress', { ingressClassName: 'istio' }), ['KITH0121 ']], [object('networking.k8s.io/v1', 'Ingress', { ingressClassName: 'nginx' }), []],
    [object('networking.istio.io/v1', 'VirtualService', { gateways: ['mesh', 'gw'] }), ['KITH0121 spec.gateways[1]']], [object('networking.istio.io/v1', 'VirtualService', { hosts: ['a'] }), []],
    [object('networking.istio.io/v1', 'DestinationRule'), []], [object('v1', 'Service'), []],
  ]
  for (const [o, expected] of cases) assert.deepEqual(told(o), expected, `${o.kind} ${JSON.stringify(o.spec)}`)
  const limit = object('networking.istio.io/v1alpha3', 'EnvoyFilter', { configPatches: [{ applyTo: 'HTTP_FILTER', patch: { value: { name: 'envoy.filters.http.local_ratelimit' } } }] })
  assert.match(unservedKind(limit)[0]?.message ?? '', /HTTP_FILTER envoy\.filters\.http\.local_ratelimit/)
})

test('which end of a call an EnvoyFilter would have touched', () => {
  const sides = (...contexts: readonly (string | undefined)[]): string[] => [...reachOf(object('networking.istio.io/v1alpha3', 'EnvoyFilter', { configPatches: contexts.map((context) => ({ match: context === undefined ? {} : { context } })) })).sides].sort()
  assert.deepEqual([sides('SIDECAR_INBOUND'), sides('SIDECAR_OUTBOUND'), sides('GATEWAY'), sides(undefined), sides('SIDECAR_INBOUND', 'SIDECAR_OUTBOUND')], [['server'], ['client'], [], ['client', 'server'], ['client', 'server']])
})

test('fields of meshConfig and of the proxy’s configuration that change nothing are named; what is usual is not', () => {
  const fields = (config: object): string[] => unservedMeshConfig(config).map((s) => s.field)
  assert.deepEqual(fields({ defaultConfig: { discoveryAddress: 'a:1', concurrency: 2, proxyMetadata: { ISTIO_META_DNS_CAPTURE: 'true', TERMINATION_DRAIN_DURATION_SECONDS: '3', MINE: 'x' }, tracing: {} } }), ['defaultConfig.concurrency', 'defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE'])
  assert.deepEqual(fields({ meshMTLS: { minProtocolVersion: 'TLSV1_3', ecdhCurves: ['P-256'] }, inboundTrafficPolicy: { mode: 'LOCALHOST' }, accessLogFormat: 'x' }), ['accessLogFormat', 'inboundTrafficPolicy', 'meshMTLS.ecdhCurves'])
  assert.deepEqual(fields({ inboundTrafficPolicy: { mode: 'PASSTHROUGH' }, ingressControllerMode: 'OFF', enableTracing: false, defaultProviders: {}, tcpKeepalive: {} }), [])
  assert.equal(environmentEffect('ISTIO_META_NETWORK'), undefined)
  assert.equal(environmentEffect('ISTIO_META_SOMETHING'), 'nothing reads it')
  assert.equal(environmentEffect('MY_OWN'), undefined)
})

test('labels and annotations that change nothing are named at their place, of a pod and of a template', () => {
  const told = (o: ApiObject): string[] => unservedSettings(o).map((p) => p.ref.path)
  const config = { 'proxy.istio.io/config': 'proxyMetadata:\n  ISTIO_META_DNS_CAPTURE: "true"\nconcurrency: 4\n', 'sidecar.istio.io/logLevel': 'debug' }
  assert.deepEqual(told(object('v1', 'Pod', {}, { annotations: config })), ['metadata.annotations.proxy.istio.io/config', 'metadata.annotations.proxy.istio.io/config'])
  assert.deepEqual(told(object('apps/v1', 'Deployment', { template: { metadata: { annotations: { 'sidecar.istio.io/statsHistogramBuckets': '{}' } } } })), ['spec.template.metadata.annotations.sidecar.istio.io/statsHistogramBuckets'])
  assert.deepEqual(told(object('batch/v1', 'CronJob', { jobTemplate: { spec: { template: { metadata: { labels: { 'istio.io/dataplane-mode': 'ambient' } } } } } })), ['spec.jobTemplate.spec.template.metadata.labels.istio.io/dataplane-mode'])
  assert.deepEqual(told(object('v1', 'Namespace', {}, { labels: { 'istio.io/dataplane-mode': 'none', 'istio.io/use-waypoint': 'w' } })), ['metadata.labels.istio.io/use-waypoint'])
  assert.deepEqual(told(object('v1', 'Pod', {}, { annotations: { 'proxy.istio.io/config': ': no yaml [' } })), [])
})
