// What clients of one class share is what each would have been given alone: plans and resources made one after the other in one snapshot equal those made in a fresh one, whatever rules ask of clients.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { generate } from '#generate'
import { buildMesh, type Mesh } from '#mesh'
import { planContext, planEndpoints, planFrom } from '#plan'
import { decodeObjects, parseYaml } from '#sources'

const label = fc.record({ app: fc.constantFrom('a', 'b'), version: fc.constantFrom('v1', 'v2') }, { requiredKeys: [] })
const shape = fc.record({
  pods: fc.array(fc.record({ namespace: fc.constantFrom('foo', 'bar'), labels: label, node: fc.constantFrom('n1', 'n2'), six: fc.boolean() }), { minLength: 2, maxLength: 6 }),
  sourceLabels: fc.option(label), workloadSelector: fc.option(label), sidecar: fc.option(label), failover: fc.boolean(), exported: fc.boolean(),
})
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never

function meshOf(s: Shape): Mesh {
  const istio = (kind: string, name: string, namespace: string, spec: object) => ({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace }, spec })
  const objects = [
    ...['foo', 'bar'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'istio-injection': 'enabled' } } })),
    ...['n1', 'n2'].map((name) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { 'topology.kubernetes.io/region': name } } })),
    ...s.pods.map((p, i) => ({
      apiVersion: 'v1', kind: 'Pod', metadata: { name: `p${i}`, namespace: p.namespace, labels: { ...p.labels, 'security.istio.io/tlsMode': 'istio' } },
      spec: { nodeName: p.node, containers: [{ name: 'a', image: 'a' }, { name: 'istio-proxy', image: 'p' }] }, status: { phase: 'Running', podIP: p.six ? `fd00::${i + 1}` : `10.244.5.${i + 1}` },
    })),
    ...['foo', 'bar'].map((namespace) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace, ...(s.exported ? {} : { annotations: { 'networking.istio.io/exportTo': '.' } }) }, spec: { selector: { app: 'a' }, ports: [{ name: 'http', port: 80 }, { name: 'tcp', port: 90 }] } })),
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'db', namespace: 'bar' }, spec: { clusterIP: 'None', selector: { app: 'b' }, ports: [{ name: 'tcp', port: 5432 }] } },
    ...(s.sourceLabels === null ? [] : [istio('VirtualService', 'web', 'foo', { hosts: ['web'], http: [{ match: [{ sourceLabels: s.sourceLabels, uri: { prefix: '/' } }], route: [{ destination: { host: 'web' } }], timeout: '3s' }] })]),
    ...(s.workloadSelector === null ? [] : [istio('DestinationRule', 'web', 'foo', { host: 'web', workloadSelector: { matchLabels: s.workloadSelector }, trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } })]),
    ...(s.failover ? [istio('DestinationRule', 'other', 'bar', { host: 'web', trafficPolicy: { loadBalancer: { localityLbSetting: { failoverPriority: ['version'] } }, outlierDetection: { consecutive5xxErrors: 1 } } })] : []),
    ...(s.sidecar === null ? [] : [istio('Sidecar', 's', 'foo', { ...(Object.keys(s.sidecar).length === 0 ? {} : { workloadSelector: { labels: s.sidecar } }), egress: [{ hosts: ['./*'] }], outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } })]),
  ]
  return buildMesh(decodeObjects(parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects)
}

function configOf(mesh: Mesh, id: string): unknown {
  const context = planContext(mesh, mesh.workloads.find((w) => w.id === id) as Mesh['workloads'][number])
  const plan = planFrom(context)
  return { plan, endpoints: planEndpoints(context, plan), resources: generate(plan).map((r) => `${r.type} ${r.name} ${r.version}`) }
}

/** Of a headless service's pods, one is planned first: what it left out for itself, its siblings had to do without. */
const siblings: Shape = { pods: [{ namespace: 'bar', labels: { app: 'b' }, node: 'n1', six: false }, { namespace: 'bar', labels: {}, node: 'n1', six: false }], sourceLabels: null, workloadSelector: null, sidecar: null, failover: false, exported: false }

test('one snapshot for all, or a fresh one for each: the same plans, endpoints and resources', () => {
  fc.assert(
    fc.property(shape, (s) => {
      const mesh = meshOf(s)
      for (const { id } of mesh.workloads) assert.deepEqual(configOf(mesh, id), configOf(meshOf(s), id))
    }),
    { numRuns: 60, examples: [[siblings]] },
  )
})
