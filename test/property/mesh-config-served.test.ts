// A field of meshConfig that the table of settings calls served changes what a sidecar, an injected pod or the set of objects becomes; one that it does not changes none of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { decodeMeshConfig, unservedMeshConfig, type ApiObject } from '#api'
import { meshConfigServing } from '../../src/control-plane/api/not-served-settings.ts'
import { objectsOf } from '../../src/control-plane/server/cluster/discovery-selectors.ts'
import { generateEndpointsJson, generateJson } from '#generate'
import { createInjector, injectObject } from '#inject'
import { buildMesh } from '#mesh'
import { planContext, planEndpoints, planFrom } from '#plan'
import { decodeObjects, parseYaml } from '#sources'

const namespaces = ['foo', 'bar', 'other-root'].map((n) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${n}, labels: {istio-injection: enabled, team: ${n}}}}`)
const pod = (name: string, namespace: string, region: string, n: number): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: ${namespace}, labels: {app: ${name.slice(0, 3)}, istio-locality: ${region}.a}}, spec: {containers: [{name: a, ports: [{containerPort: 80}]}, {name: istio-proxy}]}, status: {phase: Running, podIP: 10.0.0.${n}}}`
const text = [
  ...namespaces, pod('cli', 'foo', 'east', 1), pod('web-1', 'bar', 'east', 2), pod('web-2', 'bar', 'west', 3), '{apiVersion: v1, kind: Service, metadata: {name: web, namespace: bar}, spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 9000, targetPort: 80}]}}',
  '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: web, namespace: bar}, spec: {host: web, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}, loadBalancer: {simple: RANDOM}}}}',
  '{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web, namespace: bar}, spec: {hosts: [web], http: [{headers: {request: {set: {x: z}}}, route: [{destination: {host: web, port: {number: 80}}}]}]}}',
  '{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: ext, namespace: bar}, spec: {hosts: [ext.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}}',
  '{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: other-root}, spec: {mtls: {mode: STRICT}}}',
].join('\n---\n')
const { objects, problems } = decodeObjects(parseYaml(text, 'mesh.yaml').documents)

/** Everything that comes of meshConfig, as text. */
function effects(meshConfig: object): string {
  const { config, problems: faults } = decodeMeshConfig(meshConfig, {})
  assert.deepEqual(faults, [], JSON.stringify(meshConfig))
  const chosen: readonly ApiObject[] = objectsOf(objects, config, 'istio-system')
  const mesh = buildMesh(chosen, { meshConfig: config })
  const proxies = mesh.workloads.map((w) => {
    const context = planContext(mesh, w)
    const plan = planFrom(context)
    return [generateJson({ ...plan, problems: [] }), planEndpoints(context, plan, new Set(plan.upstreams.map((u) => u.name))).map(generateEndpointsJson)]
  })
  const injector = createInjector({ config: {}, values: {}, meshConfig: config, revision: 'default', yaml: { parse: (t) => parse(t) as unknown, print: (v) => stringify(v) } })
  const made = injectObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', annotations: { 'prometheus.io/scrape': 'true' } }, spec: { containers: [{ name: 'web', image: 'x' }] } }, injector)
  return JSON.stringify([chosen.map((o) => [o.kind, o.metadata]), mesh.workloads.map((w) => w.identity), proxies, made])
}

// A value of each served field that is not what holds anyway.
const samples: Readonly<Record<string, unknown>> = {
  rootNamespace: 'other-root', enableAutoMtls: false, trustDomain: 'other.example', trustDomainAliases: ['old.example'], accessLogFile: '/dev/stdout', outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
  defaultDestinationRuleExportTo: ['.'], defaultServiceExportTo: ['.'], defaultVirtualServiceExportTo: ['.'], connectTimeout: '3s', protocolDetectionTimeout: '3s', meshMTLS: { minProtocolVersion: 'TLSV1_3' },
  defaultHttpRetryPolicy: { attempts: 7 }, defaultConfig: { proxyMetadata: { MINE: 'x' } }, localityLbSetting: { distribute: [{ from: 'east/*', to: { 'west/*': 100 } }] }, enablePrometheusMerge: false,
  pathNormalization: { normalization: 'MERGE_SLASHES' }, discoverySelectors: [{ matchLabels: { team: 'foo' } }], compat: { autoMtls: 'istio', clusterDomain: 'k8s.example' },
}
// Of the others, a value that its author would expect something of.
const others: Readonly<Record<string, unknown>> = {
  accessLogFormat: '%PROTOCOL%', accessLogEncoding: 'JSON', inboundTrafficPolicy: { mode: 'LOCALHOST' }, defaultTrafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } }, tcpKeepalive: { probes: 3 }, h2UpgradePolicy: 'UPGRADE',
  dnsRefreshRate: '7s', caCertificates: [{ pem: 'x' }], tlsDefaults: { minProtocolVersion: 'TLSV1_3' }, verifyCertificateAtClient: true, extensionProviders: [{ name: 'x' }],
  enableTracing: true, defaultProviders: { tracing: ['x'] }, certificates: [{ dnsNames: ['x'] }], configSources: [{ address: 'x' }], serviceSettings: [{ hosts: ['*'] }], proxyListenPort: 16001, proxyInboundListenPort: 16006, proxyHttpPort: 8080,
  ingressClass: 'x', ingressControllerMode: 'STRICT', ingressService: 'x', ingressSelector: 'x', disableEnvoyListenerLog: true, enableEnvoyAccessLogService: true, hboneIdleTimeout: '7s', values: { a: 'b' },
}

test('what the table says of each field of meshConfig is so', () => {
  assert.deepEqual(problems.filter((p) => p.severity === 'error'), [])
  const plain = effects({})
  const served = Object.keys(meshConfigServing).filter((field) => meshConfigServing[field as never] === true)
  assert.deepEqual(served.sort(), Object.keys(samples).sort())
  for (const field of served) assert.notEqual(effects({ [field]: samples[field] }), plain, `${field} is called served, and changes nothing`)
  const rest = Object.keys(meshConfigServing).filter((field) => !served.includes(field))
  assert.deepEqual(rest.sort(), Object.keys(others).sort())
  for (const field of rest) {
    const config = { [field]: others[field] }
    assert.equal(effects(config), plain, `${field} is called not served, and changes something`)
    assert.deepEqual(unservedMeshConfig(decodeMeshConfig(config, {}).config).map((s) => s.field), [field])
  }
})
