// Whatever address form a call takes (a Service, a headless service, a pod of it by name, a bare address), what goes to a STRICT port of a pod is mutual TLS that pins this pod, and a pod that takes none gets none.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { chooseSocket, compile, type RuntimeConfig } from '#engine'
import { buildMesh, type Mesh } from '#mesh'
import { decideMtls } from '#plan'
import { decodeObjects, parseYaml } from '#sources'
import { configOf } from '../golden/golden-case.ts'

const mode = fc.constantFrom('STRICT', 'PERMISSIVE', 'DISABLE')
const shape = fc.record({
  mesh: mode, namespace: fc.option(mode), port: fc.option(mode), sidecars: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }), headless: fc.boolean(), excluded: fc.boolean(),
})

type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never
const target = 5432

function meshOf(s: Shape): Mesh {
  const labels = (sidecar: boolean) => ({ app: 'db', ...(sidecar ? { 'security.istio.io/tlsMode': 'istio' } : {}) })
  const policy = (name: string, namespace: string, spec: object) => ({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name, namespace }, spec })
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bar', labels: { 'istio-injection': 'enabled' } } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'client', namespace: 'foo' }, spec: { template: { metadata: { labels: { app: 'client' } }, spec: { containers: [{ name: 'a', image: 'a' }] } } } },
    ...s.sidecars.map((sidecar, i) => ({
      apiVersion: 'v1', kind: 'Pod', metadata: { name: `db-${i}`, namespace: 'bar', labels: labels(sidecar), ...(s.excluded ? { annotations: { 'traffic.sidecar.istio.io/excludeInboundPorts': '9999' } } : {}) },
      spec: { serviceAccountName: `db-${i}`, containers: [{ name: 'db', image: 'db' }, ...(sidecar ? [{ name: 'istio-proxy', image: 'proxy' }] : [])] }, status: { phase: 'Running', podIP: `10.244.3.${i + 1}` },
    })),
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'db', namespace: 'bar' }, spec: { ...(s.headless ? { clusterIP: 'None' } : {}), selector: { app: 'db' }, ports: [{ name: 'tcp', port: target }] } },
    policy('default', 'istio-system', { mtls: { mode: s.mesh } }),
    ...(s.namespace === null ? [] : [policy('default', 'bar', { mtls: { mode: s.namespace } })]),
    ...(s.port === null ? [] : [policy('db', 'bar', { selector: { matchLabels: { app: 'db' } }, portLevelMtls: { [target]: { mode: s.port } } })]),
  ]
  return buildMesh(decodeObjects(parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects)
}

/** Each cluster that may carry the call, with what it would put on the wire to this pod's port. */
function wires(config: RuntimeConfig, address: string, port: number, service: boolean): { tls: boolean; pins: (id: string) => boolean }[] {
  const of = (name: string) => {
    const cluster = config.clusters.get(name)
    if (cluster === undefined) return []
    const endpoint = cluster.discovery === 'EDS' ? config.endpoints.get(cluster.edsName)?.all.find((e) => e.address === address) : { address, port, socketMatch: {} }
    if (endpoint === undefined) return []
    const { tls } = chooseSocket(cluster, endpoint)
    const sans = tls?.validation?.sans ?? []
    return [{ tls: tls !== null, pins: (id: string) => sans.some((s) => s.test(id)) }]
  }
  return [...of('PassthroughCluster'), ...(service ? of(`outbound|${target}||db.bar.svc.cluster.local`) : [])]
}

test('STRICT is never called in plaintext, and whoever takes no mutual TLS is sent none', () => {
  fc.assert(
    fc.property(shape, (s) => {
      const mesh = meshOf(s)
      const { config, errors } = compile(configOf(mesh, 'client.foo').resources)
      assert.deepEqual(errors, [])
      for (const w of mesh.workloads.filter((x) => x.namespace === 'bar')) {
        for (const port of [target, 8080, ...(s.excluded ? [9999] : [])]) {
          const address = w.addresses[0] as string
          const found = wires(config, address, port, port === target)
          assert.ok(found.length > (port === target ? 1 : 0))
          const takes = w.sidecar.value && port !== 9999 && decideMtls(mesh, w, port).value !== 'DISABLE'
          for (const wire of found) {
            assert.equal(wire.tls, takes, `${w.id} port ${port}`)
            if (!takes) continue
            assert.ok(wire.pins(w.identity))
            assert.ok(!wire.pins('spiffe://cluster.local/ns/bar/sa/stranger'))
          }
        }
      }
    }),
    { numRuns: 60 },
  )
})
